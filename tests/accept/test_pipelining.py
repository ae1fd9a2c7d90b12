"""What waits its turn comes out as it went in."""

from proxy.accept.pipelining import Event, HeldEvents


def test_events_come_out_in_order_and_requests_are_counted() -> None:
    held = HeldEvents()
    assert not held
    events = [
        (Event.BEGIN, ("GET", b"/a")),
        (Event.BODY, (b"abc",)),
        (Event.END, ()),
        (Event.REFUSE, ("reason",)),
    ]
    for event, arguments in events:
        held.hold(event, *arguments)
    seen = []
    while held:
        seen.append((held.requests, held.starts_next, held.take()))
    assert [event for _, _, event in seen] == events
    assert [requests for requests, _, _ in seen] == [2, 1, 1, 1]
    assert [starts for _, starts, _ in seen] == [True, False, False, True]
    assert held.requests == 0


def test_clear_forgets_everything() -> None:
    held = HeldEvents()
    held.hold(Event.BEGIN)
    held.hold(Event.FAIL)
    assert repr(held) == "<HeldEvents [1 requests]>"
    held.clear()
    assert (held.requests, bool(held), held.starts_next) == (0, False, False)
