"""What goes upstream of a request: the body that came early waits, and not without bounds."""

import pytest

from proxy.interfaces import Taker
from proxy.outgoing import MAX_EARLY_BODY_BYTES, EarlyBody
from tests.kit.local_proxy import LocalProxy, get
from tests.kit.recorder import RecordingUpstream
from tests.kit.scripted import ScriptedClient


class Waiting:
    """A client that notes when it is asked to wait."""

    is_blocked = False
    asks_to_switch = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def write(self, data: bytes) -> None: ...

    def pause_request(self) -> None:
        self.asked.append("wait")

    def resume_request(self) -> None:
        self.asked.append("go on")

    def reset_unless_finished(self) -> None: ...

    def finish(self, *, keep_alive: bool) -> None: ...

    def hand_over(self, taker: Taker) -> None: ...

    def abort(self) -> None: ...


@pytest.mark.parametrize(
    ("over", "asked"), [(-1, []), (0, []), (1, ["wait", "go on"])], ids=["below", "at", "above"]
)
def test_a_client_that_sends_too_much_too_early_is_asked_to_wait(over: int, asked: list[str]) -> None:
    client = Waiting()
    early = EarlyBody(client)
    early.add(b"a")
    early.add(b"b" * (MAX_EARLY_BODY_BYTES + over - 1))
    assert b"".join(early.take()) == b"a" + b"b" * (MAX_EARLY_BODY_BYTES + over - 1)
    assert client.asked == asked


@pytest.mark.parametrize(("over", "is_kept"), [(-1, True), (0, True), (1, False)])
def test_what_is_sent_is_kept_up_to_the_limit_for_a_second_time(over: int, is_kept: bool) -> None:
    early: EarlyBody | None = EarlyBody(Waiting())
    assert early is not None
    early = early.keep(b"a")
    assert early is not None
    assert (early.keep(b"b" * (MAX_EARLY_BODY_BYTES + over - 1)) is not None) is is_kept


async def test_our_lines_are_the_last_ones() -> None:
    async with RecordingUpstream() as upstream, LocalProxy(upstream.url) as proxy:
        async with ScriptedClient(proxy.port) as client:
            assert (await client.request(get("/", b"X-Own: a", b"Cookie: b=c"))).status == 200
        lines = upstream.requests[0].split(b"\r\n")
        names = [line.partition(b":")[0] for line in lines[1:-2]]
        assert names.index(b"X-Own") < names.index(b"X-Forwarded-For") < names.index(b"X-Rolegate-Subject")
        assert names[-1] == b"X-Rolegate-Request-Id"
        assert len(names) == len(set(names))
