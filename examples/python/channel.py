"""How to reach a gateway: over HTTP or through its Unix socket, with a token or without."""

import collections

import grpc


def connect(url: str, token: str | None = None) -> grpc.Channel:
    """A channel to the gateway at `url`, as `tarn gateway` prints it: http://HOST:PORT or unix:FILE.

    Nothing is sent yet. `token` is what the gateway's --token-file holds, and goes along with every call. Nothing is
    encrypted: over a network, put the connection into a tunnel.
    """
    options = [("grpc.enable_http_proxy", 0)]  # the web's proxy would not know the way
    if url.startswith("unix:"):
        target = url
        # gRPC would name the gateway by the socket's path, which is no host name; HTTP/2 servers in Rust refuse that.
        options.append(("grpc.default_authority", "localhost"))
    elif url.startswith("http://"):
        target = url.removeprefix("http://").rstrip("/")
    else:
        raise ValueError("a gateway is at http://HOST:PORT or unix:FILE")
    channel = grpc.insecure_channel(target, options)
    return grpc.intercept_channel(channel, Bearer(token)) if token else channel


def token_in(path: str | None) -> str | None:
    """The token in a file's first line, if there is a file."""
    if path is None:
        return None
    with open(path) as file:
        return file.readline().strip()


class _Details(
    collections.namedtuple("_Details", "method timeout metadata credentials wait_for_ready compression"),
    grpc.ClientCallDetails,
):
    """What gRPC is told about a call. Its own class is abstract, so a plain tuple stands in for it."""


class Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends `authorization: Bearer TOKEN` with every call, whichever of the four kinds it is."""

    def __init__(self, token: str):
        self._header = ("authorization", f"Bearer {token}")

    def _send(self, call_on, details, request):
        metadata = [*(details.metadata or ()), self._header]
        return call_on(
            _Details(
                details.method,
                details.timeout,
                metadata,
                details.credentials,
                details.wait_for_ready,
                details.compression,
            ),
            request,
        )

    intercept_unary_unary = _send
    intercept_unary_stream = _send
    intercept_stream_unary = _send
    intercept_stream_stream = _send
