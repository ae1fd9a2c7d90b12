import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import AuditError
from proxy.record.chain import Chain
from proxy.record.sinks.stdout import CHUNK_BYTES, StdoutSink
from tests.record.audit_trail import read_chain

ROOT = Path(__file__).parents[3]


class Pipe:
    """A pipe: a sink at one end, and a reader that reads when it is told to."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.sink = StdoutSink(self.writing)
        self.sink.open()
        self.received = bytearray()

    def read(self, size: int = 2**20) -> None:
        try:
            self.received += os.read(self.reading, size)
        except BlockingIOError:
            pass

    def close(self) -> None:
        self.sink.close()
        for fd in (self.reading, self.writing):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def batch(chain: Chain, count: int, size: int = 900) -> bytes:
    return chain.seal([f'"a":"{"x" * size}"'] * count)


def test_what_is_written_arrives(pipe: Pipe) -> None:
    data = batch(Chain(), 3)
    pipe.sink.write(data)
    pipe.read()
    assert pipe.received == data


def test_a_reader_that_stalls_fails_the_batch_at_once_and_never_blocks(pipe: Pipe) -> None:
    data, started = batch(Chain(), 10_000), time.monotonic()
    with pytest.raises(AuditError, match="nobody reads the standard output"):
        pipe.sink.write(data)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("record_size", [50, 900, 3900, 4000, 5000, 20_000, 300_000])
@pytest.mark.parametrize("read_size", [1, 1000, 4096, 10_000, 2**20])
def test_it_goes_on_exactly_where_it_stopped(pipe: Pipe, record_size: int, read_size: int) -> None:
    """What a pipe took cannot be taken back: no byte is lost, none comes twice."""
    chain = Chain()
    sent = b""
    while len(sent) < 400_000:
        data = batch(chain, 7, record_size)
        sent += data
        while True:
            try:
                pipe.sink.write(data)
                break
            except AuditError:
                for _ in range(max(1, 8192 // read_size)):
                    pipe.read(read_size)
    while len(pipe.received) < len(sent):
        pipe.read()
    assert pipe.received == sent
    read_chain(bytes(pipe.received))


def test_a_recovery_may_come_with_more_behind_the_same_bytes(pipe: Pipe) -> None:
    chain = Chain()
    first = batch(chain, 400)
    with pytest.raises(AuditError):
        pipe.sink.write(first)
    pipe.read()
    data = first + batch(chain, 3)
    for _ in range(100):
        try:
            pipe.sink.write(data)
            break
        except AuditError:
            pipe.read()
    pipe.read()
    assert pipe.received == data


def test_a_reader_that_left_is_an_error(pipe: Pipe) -> None:
    os.close(pipe.reading)
    pipe.reading = -1
    for _ in range(2):
        with pytest.raises(AuditError, match="standard output"):
            pipe.sink.write(b"x\n")


def test_another_writer_to_the_same_pipe_cannot_make_it_block(pipe: Pipe) -> None:
    """The standard error often ends in the same pipe, and may fill it between our asking and our writing."""

    class AskedTooEarly(StdoutSink):
        def _can_write(self) -> bool:
            return True

    sink = AskedTooEarly(pipe.writing)
    sink.open()
    with pytest.raises(AuditError, match="Resource temporarily unavailable"):
        sink.write(batch(Chain(), 1000))
    sink.close()
    # Ours alone does not wait: the flag is not on the pipe of the others.
    assert os.get_blocking(pipe.writing)


def test_lines_of_others_do_not_end_up_inside_ours(pipe: Pipe) -> None:
    class Interrupted(StdoutSink):
        def _can_write(self) -> bool:
            os.write(pipe.writing, b"# a message\n")
            return super()._can_write()

    sink = Interrupted(pipe.writing)
    sink.open()
    data = batch(Chain(), 30)
    sink.write(data)
    sink.close()
    pipe.read()
    lines = bytes(pipe.received).splitlines(keepends=True)
    assert lines.count(b"# a message\n") > 5
    assert b"".join(line for line in lines if line != b"# a message\n") == data


def test_a_file_is_appended_to_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        sink = StdoutSink(file.fileno())
        sink.open()
        sink.write(b"x" * (3 * CHUNK_BYTES) + b"\n")
        sink.close()
        file.write(b"after\n")
    assert path.read_bytes() == b"before\n" + b"x" * (3 * CHUNK_BYTES) + b"\nafter\n"


def test_a_full_device_is_an_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink = StdoutSink(full.fileno())
        sink.open()
        with pytest.raises(AuditError, match="cannot write the standard output: No space left on device"):
            sink.write(b"x\n")


def test_a_socket_is_written_to_without_blocking() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = StdoutSink(ours.fileno())
        sink.open()
        data, started = batch(Chain(), 10_000), time.monotonic()
        with pytest.raises(AuditError):
            sink.write(data)
        assert time.monotonic() - started < 5


def test_closing_leaves_the_standard_output_open(pipe: Pipe) -> None:
    pipe.sink.close()
    os.write(pipe.writing, b"still open\n")
    with pytest.raises(AuditError):
        pipe.sink.write(b"x\n")
    assert pipe.sink.open() == b""
    assert not pipe.sink.has_moved()


def test_without_a_standard_output_it_does_not_open() -> None:
    program = (
        "import os; os.close(1)\n"
        "from proxy.record.sinks.stdout import StdoutSink; from proxy.errors import AuditError\n"
        "try: StdoutSink().open()\n"
        "except AuditError as error: os.write(2, str(error).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == "cannot open the standard output: Bad file descriptor"


def test_it_is_printed_by_its_descriptor() -> None:
    assert repr(StdoutSink()) == "<StdoutSink fd=1>"
