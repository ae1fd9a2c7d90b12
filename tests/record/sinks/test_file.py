"""
Real failures of real files.

A full disk is a tmpfs of 64 KiB where mounting is permitted, and a limit on the size of files, which the
kernel enforces as well, where it is not.
"""

import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import AuditError
from proxy.record.chain import Chain
from proxy.record.sinks.file import MAX_TAIL_BYTES, FileSink
from tests.record.audit_trail import read_chain
from tests.record.sinks.mounts import fill, remount, small_disk

RECORD = Chain().seal(['"a":1'])
BIG = Chain().seal([f'"a":"{"x" * 900}"'] * 40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def sink(path: Path) -> Iterator[FileSink]:
    sink = FileSink(path)
    yield sink
    sink.close()


def test_it_is_created_for_its_owner_alone_and_opened_append_only(path: Path, sink: FileSink) -> None:
    before = os.umask(0)
    try:
        assert sink.open() == b""
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    flags = int(Path(f"/proc/self/fdinfo/{sink._fd}").read_text().split("flags:")[1].split()[0], 8)
    assert flags & os.O_APPEND
    assert flags & os.O_CLOEXEC


def test_what_is_written_can_be_read_at_once(path: Path, sink: FileSink) -> None:
    sink.open()
    sink.write(RECORD)
    assert path.read_bytes() == RECORD


def test_it_appends_wherever_somebody_else_left_the_end(path: Path, sink: FileSink) -> None:
    path.write_bytes(RECORD)
    assert sink.open() == RECORD[:-1]
    with path.open("ab") as other:
        other.write(b"more\n")
    sink.write(RECORD)
    assert path.read_bytes() == RECORD + b"more\n" + RECORD


def test_the_last_whole_line_is_returned(path: Path, sink: FileSink) -> None:
    chain = Chain()
    path.write_bytes(chain.seal([f'"a":"{"x" * 900}"'] * 600) + chain.seal(['"b":2']))
    assert b'"seq":601' in sink.open()


# A torn last line


@pytest.mark.parametrize("length", [1, 4, 5, 6, 20, len(RECORD) - 1])
def test_part_of_a_record_is_cut_off_before_the_next_is_written(
    path: Path, sink: FileSink, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Chain().seal(['"a":1', '"a":2'])
    path.write_bytes(whole + RECORD[:length])
    assert sink.open() == whole.splitlines()[-1]
    assert f"ends in part of a record; {length} bytes will be cut off" in caplog.text
    assert path.read_bytes() == whole + RECORD[:length], "nothing is changed before the line is recognised"
    sink.write(b"next\n")
    assert path.read_bytes() == whole + b"next\n"


def test_a_file_that_is_only_part_of_a_record_becomes_empty(path: Path, sink: FileSink) -> None:
    path.write_bytes(RECORD[:30])
    assert sink.open() == b""
    sink.write(RECORD)
    assert path.read_bytes() == RECORD


@pytest.mark.parametrize(
    "content",
    [
        b"secret: of somebody else",
        b"# audit\nlast line of a configuration",
        RECORD + b"{}",
        RECORD + b' {"v":1',
        b"x" * (2 * MAX_TAIL_BYTES),
        RECORD + b'{"v":1' + b"x" * MAX_TAIL_BYTES,
        b"x" * 100 + b'{"v":1'.ljust(MAX_TAIL_BYTES, b"x"),
    ],
)
def test_the_end_of_a_foreign_file_is_not_cut_off(path: Path, sink: FileSink, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(AuditError, match="ends in something that is no audit record; move it away"):
        sink.open()
    assert path.read_bytes() == content
    with pytest.raises(AuditError):
        sink.write(RECORD)
    assert path.read_bytes() == content


# One writer


def test_a_second_writer_is_refused_until_the_first_is_gone(path: Path, sink: FileSink) -> None:
    sink.open()
    other = FileSink(path)
    with pytest.raises(AuditError, match="is being written by another process"):
        other.open()
    sink.close()
    assert other.open() == b""
    other.close()


def test_the_file_is_free_again_after_a_kill(path: Path, sink: FileSink) -> None:
    program = "import sys, time; from pathlib import Path; from proxy.record.sinks.file import FileSink\n"
    program += f"FileSink(Path({str(path)!r})).open(); print(1, flush=True); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        with pytest.raises(AuditError):
            sink.open()
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        assert sink.open() == b""


# A full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of 64 KiB, or None."""
    with small_disk(tmp_path / "disk") as is_mounted:
        yield tmp_path / "disk" if is_mounted else None


def test_on_a_full_disk_a_batch_is_kept_whole_or_not_at_all(disk: Path | None, tmp_path: Path) -> None:
    if disk is None:
        run_with_a_limit_on_files(tmp_path)
        return
    sink = FileSink(disk / "audit.jsonl")
    sink.open()
    sink.write(RECORD)
    ballast = fill(sink.path, leave=8192)
    with pytest.raises(AuditError, match="No space left on device"):
        sink.write(BIG)
    assert sink.path.read_bytes() == RECORD
    assert sink.open() == RECORD[:-1]
    ballast.unlink()
    sink.write(BIG)
    assert sink.path.read_bytes() == RECORD + BIG
    sink.close()


def test_at_the_size_limit_of_files_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    run_with_a_limit_on_files(tmp_path)


ROOT = Path(__file__).parents[3]
LIMITED = """
import resource, sys
from pathlib import Path
from proxy.errors import AuditError
from proxy.record.sinks.file import FileSink
from tests.record.sinks.test_file import BIG, RECORD
sink = FileSink(Path(sys.argv[1]))
sink.open()
sink.write(RECORD)
resource.setrlimit(resource.RLIMIT_FSIZE, (len(RECORD) + 2000, resource.RLIM_INFINITY))
try:
    sink.write(BIG)
except AuditError as error:
    assert sink.path.read_bytes() == RECORD
    sink.open()
    sink.write(RECORD)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sink.write(BIG)
    assert sink.path.read_bytes() == RECORD + RECORD + BIG
    print(error)
"""


def run_with_a_limit_on_files(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "audit.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert done.stderr == ""
    assert done.stdout.rstrip().endswith("audit.jsonl`: File too large")


def test_a_device_that_is_always_full_takes_nothing(path: Path, sink: FileSink) -> None:
    path.symlink_to("/dev/full")
    assert sink.open() == b""
    for _ in range(2):
        with pytest.raises(AuditError, match="No space left on device"):
            sink.write(RECORD)


def test_a_batch_of_which_nothing_can_be_cut_off_is_not_written_a_second_time(
    path: Path, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append-only file (`chattr +a`) cannot be shortened; whole lines of a failed batch would stay."""

    def refuse(fd: int, size: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    sink.open()
    sink.write(RECORD)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_only_part)
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(AuditError):
            sink.write(BIG)
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", refuse)
        for _ in range(2):
            sink.open()
            with pytest.raises(AuditError, match="Operation not permitted"):
                sink.write(BIG)
    sink.open()
    sink.write(BIG)
    assert path.read_bytes() == RECORD + BIG


def test_a_file_that_somebody_emptied_is_not_filled_up_with_zeros(
    path: Path, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.open()
    sink.write(RECORD)
    os.truncate(path, 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_only_part)
        with pytest.raises(AuditError):
            sink.write(BIG)
    assert path.read_bytes() == b""
    sink.write(RECORD)
    assert path.read_bytes() == RECORD


def test_what_could_not_be_cut_off_and_is_gone_by_now_is_not_filled_up_with_zeros(
    path: Path, sink: FileSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.open()
    sink.write(RECORD)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_only_part)
        patched.setattr(os, "ftruncate", lambda fd, size: os.open("/missing", os.O_RDONLY))
        with pytest.raises(AuditError):
            sink.write(BIG)
    os.truncate(path, 0)
    sink.open()
    sink.write(RECORD)
    assert path.read_bytes() == RECORD


real_write = os.write


def write_only_part(fd: int, data: bytes) -> int:
    if len(data) < len(BIG):
        raise OSError(28, "No space left on device")
    return real_write(fd, data[:5000])


# Other ways of being unable to write


def test_a_read_only_disk_is_noticed_and_recovered_from(disk: Path | None, tmp_path: Path) -> None:
    folder = disk or tmp_path
    sink = FileSink(folder / "audit.jsonl")
    if disk is None:
        sink.path.mkdir()
        with pytest.raises(AuditError, match="Is a directory"):
            sink.open()
        sink.path.rmdir()
    else:
        assert remount(disk, "ro")
        with pytest.raises(AuditError, match="Read-only file system"):
            sink.open()
        assert remount(disk, "rw")
    assert sink.open() == b""
    sink.write(RECORD)
    assert sink.path.read_bytes() == RECORD
    sink.close()


def test_a_removed_file_is_not_written_to(path: Path, sink: FileSink) -> None:
    sink.open()
    sink.write(RECORD)
    path.unlink()
    assert sink.has_moved()
    with pytest.raises(AuditError, match="was removed"):
        sink.write(RECORD)
    assert sink.open() == b""
    assert not sink.has_moved()
    sink.write(RECORD)
    assert path.read_bytes() == RECORD


def test_a_renamed_file_is_followed_by_a_new_one(path: Path, sink: FileSink) -> None:
    chain = Chain()
    sink.open()
    sink.write(chain.seal(['"a":1']))
    rotated = path.rename(path.with_suffix(".1"))
    assert sink.has_moved()
    sink.write(chain.seal(['"a":2']))
    sink.open()
    sink.write(chain.seal(['"a":3']))
    assert len(read_chain(rotated.read_bytes() + path.read_bytes())) == 3
    assert len(read_chain(rotated.read_bytes())) == 2


def test_a_file_that_was_replaced_is_noticed(path: Path, sink: FileSink) -> None:
    sink.open()
    other = path.with_suffix(".new")
    other.write_bytes(b"")
    other.rename(path)
    assert sink.has_moved()
    with pytest.raises(AuditError, match="was removed"):
        sink.write(RECORD)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: os.mkfifo(path), "is a pipe; write to the standard output instead"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("missing/audit.jsonl"), "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused(path: Path, sink: FileSink, make: object, message: str) -> None:
    assert callable(make)
    make(path)
    before = open_descriptors()
    started = time.monotonic()
    with pytest.raises(AuditError, match=message):
        sink.open()
    assert time.monotonic() - started < 1
    assert len(open_descriptors()) == len(before)


def test_a_closed_sink_takes_nothing(path: Path, sink: FileSink) -> None:
    sink.open()
    sink.close()
    sink.close()
    assert sink.has_moved()
    with pytest.raises(AuditError):
        sink.write(RECORD)
    assert repr(sink) == f"<FileSink {path} closed>"


def test_without_a_free_descriptor_the_reason_is_named(sink: FileSink) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(open_descriptors()) + 1
    held = [os.dup(0) for _ in range(used)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        with pytest.raises(AuditError, match="Too many open files"):
            sink.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


def open_descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]


def test_it_is_printed_by_its_path(path: Path, sink: FileSink) -> None:
    logging.getLogger("rolegate.audit").debug("%r", sink)
    sink.open()
    assert repr(sink) == f"<FileSink {path}>"
