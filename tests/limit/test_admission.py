import os

import pytest

from proxy.limit.admission import ADMITTED, Admission, Limit, Places
from proxy.limit.presence import Presence
from proxy.limit.table import Table
from proxy.model.decision import Decision, Reason
from proxy.model.identity import Identity, IdentityKind
from proxy.model.rate_limit import Per, RateLimit

NOW = 5000.0
CLIENT = "192.0.2.7"


def an_identity(
    subject: str = "s", *, issuer: str = "idp", roles: frozenset[str] = frozenset({"ci"})
) -> Identity:
    return Identity(
        issuer=issuer,
        subject=subject,
        kind=IdentityKind.WORKLOAD,
        roles=roles,
        claims={},
        audiences=frozenset(),
        groups=None,
        session=None,
        actor=None,
        expires_at=1e12,
        header_lines=b"",
        audit_fields="",
    )


def a_limit(
    per: Per,
    *,
    burst: int = 2,
    name: str = "few",
    route: str = "api",
    roles: frozenset[str] = frozenset(),
    allowed: frozenset[str] = frozenset({"ci", "agent"}),
) -> Limit:
    limit = RateLimit(name=name, per=per, count=60, window_s=60.0, burst=burst, roles=roles)
    return Limit(limit, route, allowed, [0])


def an_admission(*limits: Limit, table: Table | None = None, max_in_flight: int | None = None) -> Admission:
    table = Table.create(1000) if table is None else table
    return Admission(limits, table, Places(), max_in_flight, "api")


def refusals(
    admission: Admission, *asked: tuple[Identity | None, str], now: float = NOW
) -> list[Decision | None]:
    return [admission.admit(identity, client, now).refusal for identity, client in asked]


REFUSED = Decision(allowed=False, reason=Reason.RATE_LIMITED, rule="rate_limits.few")


@pytest.mark.parametrize(
    ("per", "same", "other"),
    [
        (Per.IDENTITY, (an_identity(), "192.0.2.8"), (an_identity("t"), CLIENT)),
        (Per.IDENTITY, (an_identity(), "192.0.2.8"), (an_identity(issuer="idp2"), CLIENT)),
        (Per.ROLE, (an_identity("t"), "192.0.2.8"), (an_identity(roles=frozenset({"agent"})), CLIENT)),
        (Per.CLIENT, (an_identity("t"), CLIENT), (an_identity(), "192.0.2.8")),
    ],
)
def test_each_has_a_budget_of_its_own(
    per: Per, same: tuple[Identity | None, str], other: tuple[Identity | None, str]
) -> None:
    admission, me = an_admission(a_limit(per)), (an_identity(), CLIENT)
    assert refusals(admission, me, me, me, same) == [None, None, REFUSED, REFUSED]
    assert refusals(admission, other, other, other) == [None, None, REFUSED]


def test_a_route_has_one_budget_for_all_and_another_route_another() -> None:
    table = Table.create(1000)
    one, two = (an_admission(a_limit(Per.ROUTE, route=name), table=table) for name in ("one", "two"))
    assert refusals(one, (an_identity(), CLIENT), (None, "a"), (None, "b")) == [None, None, REFUSED]
    assert refusals(two, (None, "a")) == [None]


def test_routes_that_name_one_limit_share_the_budget_of_a_caller() -> None:
    table = Table.create(1000)
    one, two = (an_admission(a_limit(Per.IDENTITY, route=name), table=table) for name in ("one", "two"))
    me = (an_identity(), CLIENT)
    assert refusals(one, me) + refusals(two, me) + refusals(one, me) == [None, None, REFUSED]


def test_limits_of_different_names_have_different_budgets() -> None:
    table = Table.create(1000)
    me = (an_identity(), CLIENT)
    assert refusals(an_admission(a_limit(Per.IDENTITY), table=table), me, me, me)[-1] == REFUSED
    assert refusals(an_admission(a_limit(Per.IDENTITY, name="more"), table=table), me) == [None]


def test_an_ipv6_client_is_its_network() -> None:
    admission = an_admission(a_limit(Per.CLIENT))
    asked = [(None, f"2001:db8::{number:x}") for number in range(3)]
    assert refusals(admission, *asked, (None, "2001:db8:0:1::1")) == [None, None, REFUSED, None]


def test_a_limit_for_some_roles_leaves_others_alone() -> None:
    admission = an_admission(a_limit(Per.IDENTITY, roles=frozenset({"agent"})))
    agent, other = (an_identity("a", roles=frozenset({"agent", "ci"})), CLIENT), (an_identity("c"), CLIENT)
    assert refusals(admission, agent, agent, agent) == [None, None, REFUSED]
    assert refusals(admission, *[other] * 5) == [None] * 5


def test_a_role_that_the_route_does_not_allow_has_no_budget() -> None:
    admission = an_admission(a_limit(Per.ROLE))
    elsewhere = an_identity(roles=frozenset({"ci", "reader"}))
    assert refusals(admission, *[(elsewhere, CLIENT)] * 3) == [None, None, REFUSED]
    assert refusals(admission, *[(an_identity(roles=frozenset({"reader"})), CLIENT)] * 3) == [None] * 3


def test_whoever_has_two_roles_uses_both_budgets() -> None:
    admission = an_admission(a_limit(Per.ROLE))
    both = an_identity(roles=frozenset({"ci", "agent"}))
    assert refusals(admission, *[(both, CLIENT)] * 3) == [None, None, REFUSED]
    assert refusals(admission, (an_identity(roles=frozenset({"agent"})), CLIENT)) == [REFUSED]


def test_a_request_that_one_limit_refuses_is_charged_by_none() -> None:
    tight, wide = a_limit(Per.ROUTE, burst=1), a_limit(Per.IDENTITY, burst=3, name="wide")
    admission = an_admission(wide, tight)
    me = (an_identity(), CLIENT)
    assert refusals(admission, me, me, me, me) == [None, REFUSED, REFUSED, REFUSED]
    # One interval later the tight one lets one more through, and the wide one has two left.
    assert refusals(admission, me, now=NOW + 1.0) == [None]
    assert tight.tally == [3]
    assert wide.tally == [0]


def test_the_client_reads_how_it_stands() -> None:
    admission = an_admission(a_limit(Per.CLIENT, burst=2))
    lines = [admission.admit(None, CLIENT, NOW + step * 0.25).lines for step in range(3)]
    policy = b'RateLimit-Policy: "few";q=2;w=2\r\n'
    assert lines == [
        policy + b'RateLimit: "few";r=1;t=1\r\n',
        policy + b'RateLimit: "few";r=0;t=2\r\n',
        b"Retry-After: 1\r\n" + policy + b'RateLimit: "few";r=0;t=2\r\n',
    ]


def test_the_client_reads_every_limit_and_the_longest_wait() -> None:
    admission = an_admission(a_limit(Per.CLIENT, burst=1), a_limit(Per.ROUTE, burst=9, name="many"))
    admission.admit(None, CLIENT, NOW)
    verdict = admission.admit(None, CLIENT, NOW)
    assert verdict.lines == (
        b'Retry-After: 1\r\nRateLimit-Policy: "few";q=1;w=1, "many";q=9;w=9\r\n'
        b'RateLimit: "few";r=0;t=1, "many";r=7;t=2\r\n'
    )


def test_of_two_budgets_the_client_reads_the_one_with_less_left() -> None:
    admission = an_admission(a_limit(Per.ROLE, burst=5))
    admission.admit(an_identity(roles=frozenset({"agent"})), CLIENT, NOW)
    lines = admission.admit(an_identity(roles=frozenset({"agent", "ci"})), CLIENT, NOW).lines
    assert lines.endswith(b'RateLimit: "few";r=3;t=2\r\n')


def test_an_anonymous_request_meets_no_limit_per_identity() -> None:
    admission = an_admission(a_limit(Per.IDENTITY))
    assert admission.admit(None, CLIENT, NOW) is ADMITTED


@pytest.mark.parametrize("in_flight", [1, 2, 3, 4])
def test_no_more_in_flight_than_the_limit(in_flight: int) -> None:
    admission = Admission((), None, Places(), 3, "api")
    for _ in range(in_flight - 1):
        assert admission.admit(None, CLIENT, NOW) == (None, b"")
    refusal = admission.admit(None, CLIENT, NOW).refusal
    if in_flight <= 3:
        assert refusal is None
        assert admission.places.shed == 0
    else:
        assert refusal == Decision(allowed=False, reason=Reason.OVERLOADED, rule="api.max_in_flight")
        assert admission.places.shed == 1
        admission.leave()
        assert admission.admit(None, CLIENT, NOW).refusal is None


def test_what_is_shed_uses_up_no_budget_and_what_is_limited_takes_no_place() -> None:
    admission = an_admission(a_limit(Per.CLIENT, burst=2), max_in_flight=1)
    assert admission.admit(None, CLIENT, NOW).refusal is None
    for _ in range(5):
        shed = admission.admit(None, CLIENT, NOW).refusal
        assert shed is not None
        assert shed.reason is Reason.OVERLOADED
    admission.leave()
    assert admission.admit(None, CLIENT, NOW).refusal is None
    admission.leave()
    assert admission.admit(None, CLIENT, NOW).refusal == REFUSED
    assert admission.places.in_flight == 0


def test_they_are_shown() -> None:
    assert repr(an_admission(a_limit(Per.ROUTE))) == "<Admission [few] max_in_flight=None>"
    assert repr(Places()) == "<Places [0 in flight, 0 shed]>"


def test_requests_in_flight_elsewhere_take_places_too() -> None:
    ours = Presence.create(2)
    theirs = Presence.attach(os.dup(ours.fd), 1)
    here, there = (Admission((), None, Places(presence, "api"), 2, "api") for presence in (ours, theirs))
    assert here.admit(None, "192.0.2.1", 0.0).refusal is None
    assert there.admit(None, "192.0.2.1", 0.0).refusal is None
    for admission in (here, there):
        refusal = admission.admit(None, "192.0.2.1", 0.0).refusal
        assert refusal is not None
        assert refusal.rule == "api.max_in_flight"
    assert (here.places.in_flight, here.places.total(), here.places.shed) == (1, 2, 1)
    there.leave()
    assert here.admit(None, "192.0.2.1", 0.0).refusal is None
    other = Admission((), None, Places(ours, "other"), 1, "other")
    assert other.admit(None, "192.0.2.1", 0.0).refusal is None
    ours.close()
    theirs.close()
