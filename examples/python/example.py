"""A tour of tarn's gateway. What is said of it here is tried, and the program fails if it is not so.

python example.py http://127.0.0.1:4180 [--token-file FILE]
python example.py unix:/path/of/the/socket
"""

import argparse
import io
import os
import sys
import tempfile

import grpc
from tarn.gateway.v1 import gateway_pb2 as pb
from tarn.gateway.v1 import gateway_pb2_grpc as rpc

import gateway
from channel import connect, token_in


def check(holds: bool, promise: str) -> None:
    """Says what was just shown, or ends the program."""
    if not holds:
        sys.exit(f"example: it should be so and is not: {promise}")
    print(f"  - {promise}")


def is_published(task: pb.Task) -> bool:
    """Whether the task ended well. Otherwise its outcome says how it ended: STALE, CONTENDED, NOT_ENOUGH_SERVERS, …"""
    return task.state == pb.ENDED and task.outcome.kind == pb.PUBLISHED


def a_first_version(stub, file: pb.CreateFileAnswer) -> pb.Task:
    print("A first version")
    # A ticket says what a version is to follow. `create` is to follow nothing: the file must not have a version yet.
    answer = gateway.publish(stub, file.write_cap, io.BytesIO(b"Monday\n"), create=True, idempotency_key=b"monday")
    # The gateway has it now, and will publish it even if it is killed before. How that ends is told by the task.
    seen = []

    def note(task: pb.Task) -> None:
        phase = task.progress.phase
        seen.append(pb.Phase.Name(phase) if phase else pb.TaskState.Name(task.state))

    task = gateway.finished(stub, answer.task, tell=note)
    check(is_published(task), f"a task is watched to its end: {', '.join(dict.fromkeys(seen))}, PUBLISHED")
    servers = len(task.outcome.placement)
    check(len(task.outcome.version) == 32, f"it became version {task.outcome.sequence_number}, on {servers} servers")
    return task


def a_chain_and_a_watch(stub, file: pb.CreateFileAnswer, first: pb.Task) -> list[pb.Task]:
    print("Three versions one after another, submitted in the wrong order, and a watch that is cut off")
    # The cursor of a watch is the version that is known already. None came after it so far, so this watch waits.
    watch = gateway.versions(stub, file.verify_cap, after=first.outcome.version)

    # Each says by its key what it is to follow. Nobody waits for anything here, and the last comes first.
    accepted = {}
    for before, day in [("wednesday", "thursday"), ("tuesday", "wednesday"), ("monday", "tuesday")]:
        content = io.BytesIO(f"{day.title()}\n".encode())
        answer = gateway.publish(stub, file.write_cap, content, after_key=before.encode(), idempotency_key=day.encode())
        accepted[day] = answer.task
    held = [accepted[day].state == pb.HELD for day in ("thursday", "wednesday")]
    check(all(held), "a task is HELD for what it follows, though that has not come yet")

    # The watch tells one of them. Then it is lost, as connections are.
    told = [next(watch)]
    watch.cancel()
    check(told[0].predecessor == first.outcome.version, "a watch tells the version that follows its cursor")

    tasks = [gateway.finished(stub, accepted[day]) for day in ("tuesday", "wednesday", "thursday")]
    check(all(is_published(task) for task in tasks), "all three are published")
    numbers = [task.outcome.sequence_number for task in (first, *tasks)]
    check(numbers == sorted(set(numbers)), "in the order of their tickets, not in that of their arrival")

    # The rest was published while nobody watched. Of the watch before, its last version is all that has to be kept.
    watch = gateway.versions(stub, file.verify_cap, after=told[-1].version)
    while len(told) < len(tasks):
        told.append(next(watch))
    watch.cancel()
    check(
        [version.version for version in told] == [task.outcome.version for task in tasks],
        "a new watch with that cursor missed none: " + ", ".join(f"version {v.sequence_number}" for v in told),
    )
    before = [first.outcome.version, *(version.version for version in told)]
    check(
        all(version.predecessor == before[at] and not version.gap for at, version in enumerate(told)),
        "each was built on the one before, and the gateway says that nothing lies between",
    )
    return tasks


def the_same_again(stub, file: pb.CreateFileAnswer, task: pb.Task) -> None:
    print("The same submission again, as if its answer had been lost")
    ticket_and_key = dict(after_key=b"wednesday", idempotency_key=b"thursday")
    again = gateway.publish(stub, file.write_cap, io.BytesIO(b"Thursday\n"), **ticket_and_key)
    check(again.repeated and again.task.task_id == task.task_id, "under the same key it is the same task")
    try:
        gateway.publish(stub, file.write_cap, io.BytesIO(b"Friday\n"), **ticket_and_key)
        code = grpc.StatusCode.OK
    except grpc.RpcError as error:
        code = error.code()
    check(code == grpc.StatusCode.ALREADY_EXISTS, f"other content under that key is refused: {code.name}")


def too_late(stub, file: pb.CreateFileAnswer, old: bytes, newest: pb.Outcome) -> None:
    print("A publish on top of a version that is not the newest any more")
    answer = gateway.publish(stub, file.write_cap, io.BytesIO(b"Tuesday, I think\n"), after_version=old)
    outcome = gateway.finished(stub, answer.task).outcome
    check(outcome.kind == pb.STALE, f"it ends {pb.OutcomeKind.Name(outcome.kind)}: {outcome.sentence}")
    check(
        outcome.version == newest.version,
        f"and tells what is there now: version {outcome.sequence_number}, {outcome.version.hex()[:8]}…",
    )


def a_long_content(stub, file: pb.CreateFileAnswer, newest: bytes) -> None:
    print("A long content, sent and read in pieces")
    with tempfile.TemporaryFile() as content, tempfile.TemporaryFile() as copy:
        for _ in range(9):
            content.write(os.urandom(1 << 20))
        content.write(b"and a piece that is not full")

        # It is to follow the version that we know and no other, so nobody's work is overwritten unseen.
        answer = gateway.publish(stub, file.write_cap, content, after_version=newest)
        task = gateway.finished(stub, answer.task)
        check(is_published(task), f"{task.length:,} bytes are published on top of the newest version")

        header = gateway.read(stub, file.read_cap, copy)
        check(header.version == task.outcome.version and header.confirmed, "that version is what is read")
        check(gateway.measure(copy) == gateway.measure(content), "and it has the same bytes")

        offset, length, part = (4 << 20) - 100, 200, io.BytesIO()
        gateway.read(stub, file.read_cap, part, offset=offset, length=length)
        content.seek(offset)
        check(part.getvalue() == content.read(length), f"so has a range of {length} bytes in the middle")


def tour(stub: rpc.GatewayStub) -> None:
    described = stub.Describe(pb.DescribeRequest(), timeout=gateway.PATIENCE)
    print(f"{described.software}, which publishes to {len(described.servers)} servers")

    # A new file is keys and a choice of servers. Whoever has one of its caps has that right for ever: the write cap to
    # write, the read cap to read, the verify cap to see and to watch. Keep the write cap; nobody can tell it again.
    file = stub.CreateFile(pb.CreateFileRequest(), timeout=gateway.PATIENCE)

    first = a_first_version(stub, file)
    tuesday, _, thursday = a_chain_and_a_watch(stub, file, first)
    the_same_again(stub, file, thursday)
    too_late(stub, file, tuesday.outcome.version, thursday.outcome)
    a_long_content(stub, file, thursday.outcome.version)


def main() -> None:
    parser = argparse.ArgumentParser(description="A tour of tarn's gateway.")
    parser.add_argument("url", metavar="URL", help="where the gateway is: http://HOST:PORT or unix:FILE")
    parser.add_argument("--token-file", metavar="FILE", help="a file whose first line is the gateway's token")
    args = parser.parse_args()
    try:
        with connect(args.url, token_in(args.token_file)) as channel:
            tour(rpc.GatewayStub(channel))
    except grpc.RpcError as error:
        sys.exit(f"example: the gateway at {args.url} says {error.code().name}: {error.details()}")
    except StopIteration:
        sys.exit(f"example: the gateway at {args.url} ended a stream before its time")
    except (OSError, ValueError) as error:
        sys.exit(f"example: {error}")


if __name__ == "__main__":
    main()
