import json

from proxy.forward.forwarder import Forwarder
from proxy.live import Holder, Live, Passage
from proxy.model.audit import ANONYMOUS, identity_members
from proxy.model.credential import Credential
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity, IdentityKind
from proxy.model.policy import Policy
from proxy.model.route import Route
from proxy.record.metrics import RouteCounts
from proxy.tasks import TaskOwner
from proxy.wire.headers import RequestHeaders
from tests.forward.test_pool import an_upstream

ALLOWED = Decision(True, Reason.ALLOWED, "a.allow[0]")


class NoRoutes:
    def find(self, host: str, path: str, method: str) -> Passage | None:
        return None


class NoIdentities:
    def recall(self, credential: Credential, now: float) -> Identity | Decision | None:
        return None

    def remember(self, credential: Credential, found: Identity | Decision, now: float) -> None:
        raise NotImplementedError

    def find(self, unverified_token: bytes, now: float) -> Identity | Decision | None:
        return None

    async def fetch(self, unverified_token: bytes, client: str, now: object) -> Identity | Decision:
        raise NotImplementedError


def passage() -> Passage:
    return Passage(
        Route(name='a "route"', paths=("/**",), policy=Policy(route="a"), upstream="u"),
        lambda identity, request, now: ALLOWED,
        {},
        Forwarder(an_upstream(1), TaskOwner(), lambda: 0.0),
        RouteCounts("a"),
    )


def live(version: str = "v1") -> Live:
    return Live(
        routes=NoRoutes(),
        identities=NoIdentities(),
        policy_version=version,
        request_headers=RequestHeaders(),
        request_id_header=b"X-Rolegate-Request-Id",
        unrouted_counts=RouteCounts(""),
    )


def identity() -> Identity:
    return Identity(
        issuer="gitlab",
        subject="mira",
        kind=IdentityKind.HUMAN,
        roles=frozenset(),
        claims={},
        audiences=frozenset(),
        groups=None,
        session=None,
        actor=None,
        expires_at=0.0,
        header_lines=b"",
        audit_fields=identity_members("gitlab", "mira", IdentityKind.HUMAN, {"ref": "main"}, {"deployer"}),
    )


def test_a_record_says_which_route_who_and_what_was_decided() -> None:
    assert json.loads(f"{{{live().audit_members(passage(), identity(), ALLOWED)}}}") == {
        "route": 'a "route"',
        "issuer": "gitlab",
        "subject": "mira",
        "kind_of_identity": "human",
        "claims": {"ref": "main"},
        "roles": ["deployer"],
        "decision": "allow",
        "reason": "allowed",
        "rule": "a.allow[0]",
        "policy_version": "v1",
    }


def test_a_record_without_route_and_identity_has_the_same_members() -> None:
    with_all = json.loads(f"{{{live().audit_members(passage(), identity(), ALLOWED)}}}")
    nobody = json.loads(f"{{{live('v2').audit_members(None, None, DENIALS[Reason.NO_ROUTE])}}}")
    assert list(nobody) == list(with_all)
    assert nobody["route"] is None
    assert nobody["policy_version"] == "v2"
    assert ANONYMOUS in live().audit_members(passage(), None, ALLOWED)


def test_a_decision_is_encoded_once_and_never_taken_for_another() -> None:
    held = passage()
    first = held.decision_members(ALLOWED, "v1")
    assert held.decision_members(ALLOWED, "v1") is first
    for number in range(1000):
        # Each may get the address of the one before, were that one not kept.
        decision = Decision(False, Reason.DENIED_BY_RULE, f"a.deny[{number}]")
        assert f'"a.deny[{number}]"' in held.decision_members(decision, "v1")


def test_the_snapshot_is_swapped_whole() -> None:
    before, after = live("v1"), live("v2")
    holder = Holder(before)
    held = holder.current
    holder.swap(after)
    assert held is before
    assert holder.current is after


def test_a_passage_is_printed_by_its_route() -> None:
    assert repr(passage()) == '<Passage a "route">'
