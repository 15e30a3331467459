"""The gateway's calls, as a Python program would want them. All the rest is in the generated code already.

`run` generates that code from proto/tarn/gateway/v1/gateway.proto, which is where every field is explained.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tarn.gateway.v1 import gateway_pb2 as pb

# A content is sent in pieces of any size up to 8 MiB.
PIECE = 1 << 20

# Seconds that a call may take, a watch included, so that nothing here hangs. None is for ever.
PATIENCE = 60


def publish(stub, write_cap: str, content: BinaryIO, timeout: float | None = PATIENCE, **header) -> pb.PublishAnswer:
    """Submits `content` as the file's next version, and returns once the gateway has it durably.

    From then on the task needs no caller, and outlives the gateway being killed. How it ends, the task itself tells:
    see `finished`. `header` has the other fields of PublishHeader: a ticket (create, after_version, after_task,
    after_key, overwrite), an idempotency_key, labels.
    """
    length, sha256 = measure(content)

    def parts() -> Iterator[pb.PublishRequest]:
        # With length and digest in the header, what is cut short or damaged on its way is refused: DATA_LOSS.
        yield pb.PublishRequest(header=pb.PublishHeader(write_cap=write_cap, length=length, sha256=sha256, **header))
        while piece := content.read(PIECE):
            yield pb.PublishRequest(body=piece)

    return stub.Publish(parts(), timeout=timeout)


def finished(
    stub, task: pb.Task, timeout: float | None = PATIENCE, tell: Callable[[pb.Task], None] | None = None
) -> pb.Task:
    """Watches a task to its end, and returns what it is then. `tell` is called with it now and after every change.

    A watch can be dropped and taken up again at any time: the task knows nothing of it.
    """
    last = task
    for last in stub.WatchTask(pb.WatchTaskRequest(task_id=task.task_id), timeout=timeout):
        if tell:
            tell(last)
    return last


def versions(stub, cap: str, after: bytes = b"", timeout: float | None = PATIENCE) -> Iterator[pb.FileVersion]:
    """New versions of a file in their order, whoever publishes them. They never end: `cancel()` what this returns.

    `after` is the cursor, the version that was told last: none is missed of those that followed it, however long nobody
    watched. Without it the newest version is told first. Any cap will do.
    """
    return stub.WatchFile(pb.WatchFileRequest(cap=cap, after=after), timeout=timeout)


def read(stub, cap: str, into: BinaryIO, timeout: float | None = PATIENCE, **request) -> pb.ReadHeader:
    """Writes a file's content to `into` as it comes, and returns what was read.

    `request` has the other fields of ReadRequest: version, offset, length, strict.
    """
    answers = stub.Read(pb.ReadRequest(cap=cap, **request), timeout=timeout)
    header = next(answers).header
    for answer in answers:
        into.write(answer.body)
    return header


def measure(content: BinaryIO) -> tuple[int, bytes]:
    """A content's length and SHA-256; leaves it at its beginning."""
    content.seek(0)
    sha256 = hashlib.sha256()
    while piece := content.read(PIECE):
        sha256.update(piece)
    length = content.tell()
    content.seek(0)
    return length, sha256.digest()
