"""Calls a gateway by what it says of itself: no generated code, no .proto file.

    python call.py URL list [SERVICE]                 its services, or the methods of one
    python call.py URL describe SYMBOL                a service, method, message or enum, with its comments
    python call.py [-d JSON] URL SERVICE/METHOD       calls it; the answers are JSON, one a line

URL is http://HOST:PORT or unix:FILE. Messages to send are JSON, one after another (a method that takes a stream takes
several); `-d @` reads them from standard input. Bytes are base64 in JSON, and 64-bit numbers are strings.

grpcurl (https://github.com/fullstorydev/grpcurl) does the same and much more, and means the same by -d, -H and
-max-time: `grpcurl -plaintext [-d JSON] HOST:PORT …`. This is for who has only Python.
"""

import argparse
import json
import os
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from channel import connect, token_in


class ReflectionV1:
    """A channel for the library's reflection client, which still asks for v1alpha. In v1 only the name is new."""

    def __init__(self, channel: grpc.Channel):
        self._channel = channel

    def stream_stream(self, method: str, *args, **kwargs):
        return self._channel.stream_stream(method.replace(".v1alpha.", ".v1."), *args, **kwargs)


class Server:
    """What a server says of itself, and calls to it."""

    def __init__(self, channel: grpc.Channel):
        self._channel = channel
        self.files = ProtoReflectionDescriptorDatabase(ReflectionV1(channel))
        self._pool = descriptor_pool.DescriptorPool(self.files)

    def methods(self, service: str) -> list[str]:
        return [method.full_name for method in self._pool.FindServiceByName(service).methods]

    def call(self, method: str, messages: str, metadata: list, timeout: float | None):
        """Sends the messages and yields the answers, all of them JSON."""
        service, _, name = method.replace("/", ".").rpartition(".")
        method = self._pool.FindServiceByName(service).FindMethodByName(name)
        request = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)
        requests = [json_format.ParseDict(value, request(), descriptor_pool=self._pool) for value in parsed(messages)]
        if not method.client_streaming and len(requests) != 1:
            requests = requests or [request()]
            if len(requests) > 1:
                raise ValueError(f"{name} takes one message, not {len(requests)}")
        # On the wire the four kinds of call differ in how many messages are sent, and in nothing else.
        call = self._channel.stream_stream(
            f"/{service}/{name}", request_serializer=request.SerializeToString, response_deserializer=answer.FromString
        )
        for message in call(iter(requests), metadata=metadata, timeout=timeout):
            yield json_format.MessageToJson(message, indent=None, descriptor_pool=self._pool, ensure_ascii=False)


def parsed(text: str):
    """The JSON values that follow one another in a text."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


def described(symbol: str, file) -> list[str]:
    """What a .proto file says of one symbol, its comments included."""
    comments = {tuple(location.path): location for location in file.source_code_info.location}

    def told(path, text, body=(), note=""):
        """A line, and what is in its braces, under its comments."""
        location = comments.get(path)
        if location and location.leading_comments:
            yield from (f"//{line}" for line in location.leading_comments.splitlines())
        trailing = location.trailing_comments.rstrip() if location else ""
        yield text + (f"  //{note}{trailing}" if note or trailing else "")
        yield from (f"  {line}" for line in body)
        if text.endswith("{"):
            yield "}"

    def of_service(service, path):
        lines = [line for at, method in enumerate(service.method) for line in of_method(method, (*path, 2, at))]
        return told(path, f"service {service.name} {{", lines)

    def of_method(method, path):
        takes = "stream " * method.client_streaming + method.input_type
        gives = "stream " * method.server_streaming + method.output_type
        return told(path, f"rpc {method.name}({takes}) returns ({gives});")

    def of_message(message, path):
        lines = [line for at, field in enumerate(message.field) for line in of_field(message, field, (*path, 2, at))]
        return told(path, f"message {message.name} {{", lines)

    def of_field(message, field, path):
        kind = field.type_name or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        how = "repeated " if field.label == Field.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        alone = field.HasField("oneof_index") and not field.proto3_optional
        note = f" one of {message.oneof_decl[field.oneof_index].name}:" if alone else ""
        return told(path, f"{how}{kind} {field.name} = {field.number};", note=note)

    def of_enum(enum, path):
        values = (told((*path, 2, at), f"{value.name} = {value.number};") for at, value in enumerate(enum.value))
        return told(path, f"enum {enum.name} {{", [line for lines in values for line in lines])

    # Where in a file things are, as descriptor.proto numbers them: messages 4, enums 5, services 6.
    kinds = ((4, file.message_type, of_message), (5, file.enum_type, of_enum), (6, file.service, of_service))
    for number, things, tell in kinds:
        for at, thing in enumerate(things):
            name = f"{file.package}.{thing.name}"
            if name == symbol:
                return list(tell(thing, (number, at)))
            if number == 6 and symbol.startswith(f"{name}."):
                for of, method in enumerate(thing.method):
                    if symbol == f"{name}.{method.name}":
                        return list(of_method(method, (number, at, 2, of)))
    raise KeyError(f"Couldn't find {symbol}")


def run(args) -> None:
    headers = [header.split(":", 1) for header in args.header]
    metadata = [(name.strip().lower(), value.strip()) for name, value in headers]
    with connect(args.url, token_in(args.token_file)) as channel:
        server = Server(channel)
        match args.what:
            case ["list"]:
                lines = sorted(server.files.get_services())
            case ["list", service]:
                lines = server.methods(service)
            case ["describe", symbol]:
                symbol = symbol.replace("/", ".")
                lines = described(symbol, server.files.FindFileContainingSymbol(symbol))
            case [method] if "/" in method:
                messages = sys.stdin.read() if args.data == "@" else args.data
                lines = server.call(method, messages, metadata, args.max_time)
            case _:
                sys.exit("call: list, describe SYMBOL or SERVICE/METHOD is wanted")
        for line in lines:
            print(line, flush=True)


def main() -> None:
    about, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-d", dest="data", metavar="JSON", default="", help="what to send, or @ for standard input")
    parser.add_argument("-H", dest="header", metavar="HEADER", action="append", default=[], help="name: value")
    parser.add_argument("-max-time", type=float, metavar="SECONDS", help="how long a call may take")
    parser.add_argument("--token-file", metavar="FILE", help="a file whose first line is the gateway's token")
    parser.add_argument("url", metavar="URL", help="http://HOST:PORT or unix:FILE")
    parser.add_argument("what", nargs="+", metavar="WHAT", help="list, describe SYMBOL, or SERVICE/METHOD")
    args = parser.parse_args()
    try:
        run(args)
    except grpc.RpcError as error:
        sys.exit(f"call: {error.code().name}: {error.details()}")
    except KeyError as error:
        sys.exit(f"call: {error.args[0]}")
    except (ValueError, OSError, json_format.Error) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever reads has what it wanted.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        sys.exit(f"call: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
