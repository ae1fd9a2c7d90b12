"""What waits its turn comes out as it went in."""

from proxy.accept.pipelining import Event, HeldEvents


def test_events_come_out_in_order_and_requests_are_counted() -> None:
    held = HeldEvents()
    assert (bool(held), held.requests) == (False, 0)
    held.add(Event.BEGIN, "GET", b"/a")
    held.add(Event.BODY, b"abc")
    held.add(Event.END)
    held.add(Event.REFUSE, "reason")
    assert held.requests == 2
    assert held.starts_next
    assert held.pop() == (Event.BEGIN, ("GET", b"/a"))
    assert held.requests == 1
    assert not held.starts_next
    assert held.pop() == (Event.BODY, (b"abc",))
    assert held.pop() == (Event.END, ())
    assert held.starts_next
    assert held.pop() == (Event.REFUSE, ("reason",))
    assert (held.requests, bool(held)) == (0, False)


def test_clear_forgets_everything() -> None:
    held = HeldEvents()
    held.add(Event.BEGIN)
    held.add(Event.FAIL)
    assert repr(held) == "<HeldEvents [1 requests]>"
    held.clear()
    assert (held.requests, bool(held), held.starts_next) == (0, False, False)
