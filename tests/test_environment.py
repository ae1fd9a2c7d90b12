import pytest

from proxy.environment import MAX_REMEMBERED_LINES, Environment
from proxy.live import Holder
from proxy.tasks import TaskOwner
from proxy.wire.forwarded import forwarding_lines
from tests.test_live import live


class NoTrail:
    def decide(self, flow: object, who_and_what: str, waiting: object) -> bool:
        return False

    def outcome(self, flow: object, duration_s: float) -> None:
        """Nobody records here."""


@pytest.fixture
def environment() -> Environment:
    return Environment(Holder(live()), NoTrail(), TaskOwner(), lambda: 0.0)


def test_forwarding_lines_are_those_of_this_client_and_host(environment: Environment) -> None:
    for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        for authority in (b"a.example", b"b.example:81"):
            expected = forwarding_lines(client, authority, "http")
            assert environment.forwarding_lines(client, authority, "http", ()) == expected
            assert environment.forwarding_lines(client, authority, "http", ()) == expected


def test_forwarding_lines_of_one_client_are_made_once(environment: Environment) -> None:
    lines = environment.forwarding_lines("192.0.2.1", b"a", "http", ())
    assert environment.forwarding_lines("192.0.2.1", b"a", "http", ()) is lines


def test_a_chain_of_proxies_is_not_taken_for_a_client_without_one(environment: Environment) -> None:
    plain = environment.forwarding_lines("192.0.2.1", b"a", "http", ())
    chained = environment.forwarding_lines("192.0.2.1", b"a", "http", ("10.0.0.1",))
    assert b"192.0.2.1, 10.0.0.1" in chained
    assert environment.forwarding_lines("192.0.2.1", b"a", "http", ()) == plain


def test_a_flood_of_hosts_does_not_grow_the_memory(environment: Environment) -> None:
    for number in range(3 * MAX_REMEMBERED_LINES):
        environment.forwarding_lines("192.0.2.1", b"h%d.example" % number, "http", ())
        assert len(environment._forwarding) <= MAX_REMEMBERED_LINES


def test_a_new_environment_is_quiet(environment: Environment) -> None:
    assert (environment.in_flight, environment.is_draining, len(environment.tasks)) == (0, False, 0)


def test_lines_of_one_scheme_are_not_those_of_the_other(environment: Environment) -> None:
    plain = environment.forwarding_lines("192.0.2.1", b"a", "http", ())
    secured = environment.forwarding_lines("192.0.2.1", b"a", "https", ())
    assert (b"Proto: http\r\n" in plain, b"Proto: https\r\n" in secured) == (True, True)
    assert environment.forwarding_lines("192.0.2.1", b"a", "http", ()) is plain
    assert b"Proto: https\r\n" in environment.forwarding_lines("192.0.2.1", b"a", "https", ("10.0.0.1",))
