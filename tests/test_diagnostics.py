import json
import logging
import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxy.diagnostics import (
    MAX_FAREWELL_S,
    MAX_WAITING_MESSAGES,
    DroppingQueueHandler,
    JsonFormatter,
    TextFormatter,
    log_unraisable,
    start_logging,
)

ROOT = Path(__file__).parents[1]


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "rolegate.x", "levelname": "INFO", "msg": message, **more})
    made.args = arguments or None
    made.created, made.msecs = 1_790_000_000.25, 250.0
    return made


def error() -> logging.LogRecord:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        return record("it failed", exc_info=sys.exc_info())


def test_text_is_one_line_with_the_time_in_utc() -> None:
    assert TextFormatter().format(record("a %s", "b")) == "14:13:20 INFO    a b"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\x85b", "a\x7fb"])
def test_text_from_elsewhere_cannot_pose_as_another_message(text: str) -> None:
    line = TextFormatter().format(record("the issuer says %s", text))
    assert line.isprintable()
    assert line.startswith("14:13:20 INFO    the issuer says a\\x")


def test_text_has_the_traceback_behind_it() -> None:
    lines = TextFormatter().format(error()).splitlines()
    assert lines[0] == "14:13:20 INFO    it failed"
    assert lines[1].startswith("Traceback")


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(record("a %s", 'b"\n\u2028\ud800'))
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-09-21T14:13:20.250Z",
        "level": "info",
        "logger": "rolegate.x",
        "message": 'a b"\n\u2028\ud800',
    }


def test_json_has_the_traceback_in_a_member_of_its_own() -> None:
    line = JsonFormatter().format(error())
    assert "\n" not in line
    assert json.loads(line)["message"] == "it failed"
    assert json.loads(line)["exception"].startswith("Traceback")


def test_a_full_queue_drops_messages_and_never_waits() -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(2)
    handler = DroppingQueueHandler(waiting)
    for number in range(5):
        handler.handle(record("message %d", number))
    assert [waiting.get_nowait().getMessage() for _ in range(2)] == ["message 0", "message 1"]


def test_a_sentence_is_complete_before_it_is_handed_over() -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    held = ["before"]
    DroppingQueueHandler(waiting).handle(record("it was %s", held))
    held[0] = "after"
    assert waiting.get_nowait().getMessage() == "it was ['before']"


# The whole of it


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_messages_come_out_in_order_and_the_last_before_the_end(pipe: tuple[int, int]) -> None:
    stop = start_logging("json", fd=pipe[1])
    for number in range(50):
        logging.getLogger("rolegate.test").info("message %d", number)
    logging.getLogger("rolegate.test").debug("too detailed")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("rolegate.test").exception("at last")
    stop()
    lines = [json.loads(line) for line in os.read(pipe[0], 2**20).splitlines()]
    assert [line["message"] for line in lines] == [*(f"message {number}" for number in range(50)), "at last"]
    assert "ValueError: x" in lines[-1]["exception"]


def test_a_reader_that_stalls_holds_up_neither_the_messages_nor_the_end(pipe: tuple[int, int]) -> None:
    stop = start_logging("text", fd=pipe[1])
    started = time.monotonic()
    for number in range(2 * MAX_WAITING_MESSAGES):
        logging.getLogger("rolegate.test").info("message %d %s", number, "x" * 20)
    assert time.monotonic() - started < 5
    started = time.monotonic()
    stop()
    assert time.monotonic() - started < 2 * MAX_FAREWELL_S + 2


def test_a_reader_that_left_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stop = start_logging("text", fd=writing)
    logging.getLogger("rolegate.test").info("nobody hears this")
    stop()
    os.close(writing)


def test_the_last_message_before_an_exit_is_written() -> None:
    program = (
        "import logging; from proxy.diagnostics import start_logging; start_logging('text');"
        "logging.getLogger('rolegate').error('cannot listen'); raise SystemExit(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.endswith("ERROR   cannot listen\n")
    assert done.stderr.count("\n") == 1


def test_libraries_speak_up_only_when_something_is_wrong(pipe: tuple[int, int]) -> None:
    stop = start_logging("text", fd=pipe[1])
    logging.getLogger("asyncio").info("debugging")
    logging.getLogger("aiohttp.access").info("GET /?token=secret")
    logging.getLogger("aiohttp.server").warning("something")
    stop()
    assert os.read(pipe[0], 2**16).decode().splitlines()[0].endswith("WARNING something")


class Spoilt:
    def __del__(self) -> None:
        raise ZeroDivisionError


def test_what_python_cannot_raise_is_a_message(pipe: tuple[int, int]) -> None:
    before = sys.unraisablehook
    stop = start_logging("json", fd=pipe[1])
    Spoilt()
    stop()
    assert sys.unraisablehook is before
    (line,) = os.read(pipe[0], 65536).splitlines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_what_a_client_can_cause_is_no_message(caplog: pytest.LogCaptureFixture) -> None:
    found = SimpleNamespace(exc_value=UnicodeError("x"), object=b"\xff.example.com")
    log_unraisable(found)
    assert [record.levelname for record in caplog.records if record.levelno > logging.DEBUG] == []
    found = SimpleNamespace(exc_value=None, object=None)
    log_unraisable(found)
    assert [record.levelname for record in caplog.records if record.levelno > logging.DEBUG] == ["ERROR"]
