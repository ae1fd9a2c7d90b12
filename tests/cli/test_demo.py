"""The demonstration as people run it: a process, lines to paste, Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.kit.ports import LOOPBACK, answers, wait_until
from tests.kit.processes import Process

COMMAND = str(Path(sys.executable).with_name("rolegate"))

# A proxy of the environment would take curl's requests elsewhere.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}",
}


class RunningDemo(Process):
    """`rolegate demo` with ports that the system chooses."""

    name = "demo"

    def prepare(self) -> Sequence[str]:
        (self.folder / "tmp").mkdir(exist_ok=True)
        return [COMMAND, "demo", "--port", "0", "--admin-port", "0"]

    def environment(self) -> Mapping[str, str]:
        return {**ENVIRONMENT, "TMPDIR": str(self.folder / "tmp")}

    def is_ready(self) -> bool:
        return "Decisions as they happen" in self.printed()

    def printed(self) -> str:
        return self.stdout_path.read_text()

    def cases(self) -> list[tuple[int, str]]:
        """Return the lines to paste, with the status that each promises."""
        found = re.findall(r"^  ([0-9]{3})  .*\n  (curl .*)$", self.printed(), re.MULTILINE)
        return [(int(status), command) for status, command in found]

    def entry(self, name: str) -> str:
        found = re.search(rf"^  {name} +(.*)$", self.printed(), re.MULTILINE)
        assert found is not None, self.printed()
        return found[1]

    def lines(self) -> list[str]:
        """Return the decisions shown so far."""
        return re.findall(r"^[0-9]{2}:[0-9]{2}:[0-9]{2}  .*$", self.printed(), re.MULTILINE)

    def left_behind(self) -> list[Path]:
        return list((self.folder / "tmp").iterdir())


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    with RunningDemo() as running:
        yield running


@pytest.mark.component("curl")
def test_each_line_to_paste_answers_as_it_promises_and_shows_as_a_decision(demo: RunningDemo) -> None:
    cases = demo.cases()
    assert {status for status, _ in cases} == {200, 400, 401, 403}
    before = len(demo.lines())
    for expected, command in cases:
        done = shell(command)
        assert done.stdout.startswith(f"HTTP/1.1 {expected} "), command + done.stdout + done.stderr
    wait_until(lambda: len(demo.lines()) >= before + len(cases), what="a line for each request")
    assert [line.split()[1] for line in demo.lines()[before:]] == [str(status) for status, _ in cases]


@pytest.mark.component("curl")
def test_every_status_of_the_same_line_comes_with_a_fresh_token(demo: RunningDemo) -> None:
    _, command = demo.cases()[0]
    fetch = re.search(r"\$\((.*?)\)", command)
    assert fetch is not None
    first = shell(fetch[1]).stdout
    time.sleep(1.1)  # `iat` counts whole seconds
    assert shell(fetch[1]).stdout != first


@pytest.mark.component("curl")
def test_upstream_is_told_who_asks_and_does_not_get_the_token(demo: RunningDemo) -> None:
    answer = shell(demo.cases()[0][1]).stdout
    assert '"X-Rolegate-Roles": "deployer"' in answer
    assert '"authorization": "not received"' in answer


@pytest.mark.component("curl")
def test_explain_line_explains_the_same_denial(demo: RunningDemo) -> None:
    done = shell(demo.entry("why"))
    assert done.returncode == 1, done.stderr
    assert "denied (no-rule-matched)" in done.stdout


def test_configuration_passes_the_check(demo: RunningDemo) -> None:
    done = shell(f"rolegate check --config {demo.entry('config')}")
    assert done.returncode == 0, done.stderr


def test_metrics_and_tokens_are_where_it_says(demo: RunningDemo) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert b"rolegate_" in opener.open(demo.entry("metrics"), timeout=5).read()
    listed = opener.open(demo.entry("tokens"), timeout=5).read().decode()
    for url in re.findall(r"http://\S+", listed):
        assert opener.open(url, timeout=5).read().count(b".") == 2


def test_output_for_a_file_is_plain(demo: RunningDemo) -> None:
    assert "\x1b" not in demo.printed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything_without_a_trace(number: signal.Signals) -> None:
    with RunningDemo() as demo:
        port = int(demo.entry("metrics").split(":")[2].split("/")[0])
        assert answers(port)
        assert demo.left_behind()
        demo.send_signal(number)
        wait_until(lambda: not demo.is_running, what="the end of the demo")
        assert demo.terminate() == 0
        assert "Traceback" not in demo.log_text()
        assert demo.left_behind() == []
        assert not answers(port)


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_port_that_is_taken_is_named_with_a_remedy(option: str, tmp_path: Path) -> None:
    import socket

    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--admin-port": "0", option: str(port)}
        command = [COMMAND, "demo", *(word for pair in ports.items() for word in pair)]
        done = subprocess.run(
            command,
            env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"cannot listen on {LOOPBACK}:{port}: address already in use; choose another port with "
        f"`rolegate demo {option} NUMBER`, 0 for any free one\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["-1", "65536", "http", "1.5", "８０"])
def test_port_that_is_none_is_refused(text: str) -> None:
    done = subprocess.run([COMMAND, "demo", f"--port={text}"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert "expected a number from 0 to 65535" in done.stderr


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_terminal_gets_colour_unless_it_wants_none(no_color: str, is_coloured: bool) -> None:
    parent, child = pty.openpty()
    environment = {**ENVIRONMENT, "NO_COLOR": no_color, "TERM": "xterm"}
    with subprocess.Popen(
        [COMMAND, "demo", "--port", "0", "--admin-port", "0"], stdout=child, stderr=child, env=environment
    ) as running:
        os.close(child)
        printed = read_until(parent, b"reason")
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 0
    os.close(parent)
    assert (b"\x1b[" in printed) is is_coloured


def read_until(descriptor: int, end: bytes) -> bytes:
    """Return what a terminal is shown up to `end`; a program that ends earlier raises OSError."""
    seen = b""
    while end not in seen.split(b"Decisions", 1)[-1] or b"Decisions" not in seen:
        seen += os.read(descriptor, 65536)
    return seen


def test_shell_with_a_proxy_is_told_what_to_type_first() -> None:
    class Behind(RunningDemo):
        def environment(self) -> Mapping[str, str]:
            return {**super().environment(), "http_proxy": "http://proxy.test:3128"}

    with Behind() as demo:
        assert f"export NO_PROXY={LOOPBACK}" in demo.printed()


def test_no_hint_without_a_proxy(demo: RunningDemo) -> None:
    assert "NO_PROXY" not in demo.printed()
