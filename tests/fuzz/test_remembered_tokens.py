"""
A token that is remembered with its connection, in the cache or among the refused, against one that is not.

Whatever the clock does and whichever keys are published, what was remembered lets nobody in whom the checks
would refuse now, and refuses nobody for longer than a refusal is remembered.
"""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.identify.cache import TokenCache
from proxy.identify.failures import NOT_YET_VALID_S
from proxy.identify.fetch import HttpFetch
from proxy.identify.issuers import Issuer
from proxy.identify.jwt import Verified, verify
from proxy.identify.keyring import KeyRing
from proxy.identify.resolver import LONGEST_MEMORY_S, Resolver
from proxy.model.credential import Credential
from proxy.model.decision import Decision, Reason
from proxy.model.identity import Identity
from proxy.tasks import TaskOwner
from tests.fuzz.budget import examples
from tests.identify.tokens import NOW, Json, OneRole, Signer, a_builder, an_issuer, good_claims, jwks, key_set
from tests.kit.clock import Clock

ONE, TWO = Signer("one", "ES256"), Signer("two", "ES256", number=1)
FORGED = Signer("one", "ES256", number=2)
LIFETIME_S, LEEWAY_S = 30, 5


def claims(**changes: object) -> Json:
    """Return claims of a token that is good from NOW on for `LIFETIME_S` seconds."""
    return good_claims(**{"iat": int(NOW), "nbf": int(NOW), "exp": int(NOW) + LIFETIME_S, **changes})


TOKENS = [
    *(ONE.sign(claims()), TWO.sign(claims(sub="service-8")), FORGED.sign(claims())),
    ONE.sign(claims(nbf=int(NOW) + 20)),
    ONE.sign(claims(exp=int(NOW) + 1)),
    ONE.sign(claims(iat=int(NOW) - 95)),  # believed for five seconds more
    ONE.sign(claims(iss="https://other.example.com")),
    ONE.sign(claims(cnf={"jkt": "x"})),
    b"no.token.at-all",
]
KEYS = [(ONE,), (TWO,), (ONE, TWO), ()]
# Where a token begins or ends, by its own words, with the leeway, or by how long it is believed.
EDGES = [0.0, 0.75, 1.0, 5.0, 6.0, 10.0, 15.0, 15.5, 16.0, 30.0, 35.0]
Step = tuple[str, float]


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Return what happens: mostly one token is asked for again, at and around where its answer changes."""
    asked = st.sampled_from([draw(st.integers(0, len(TOKENS) - 1))] * 4 + list(range(len(TOKENS))))
    step = st.one_of(
        *[asked.map(lambda number: ("ask", number))] * 5,
        *[st.tuples(st.just("set"), st.sampled_from(EDGES))] * 3,
        st.tuples(st.just("wait"), st.sampled_from([-10.0, -5.0, -0.5, 0.5, 0.75, 1.0, 9.75, 10.0])),
        st.tuples(st.just("publish"), st.integers(0, len(KEYS) - 1)),
        st.just(("reload", 0.0)),
    )
    return draw(st.lists(step, min_size=2, max_size=20))


class Scene:
    """A resolver, one connection for each token, and when the checks themselves refused which token."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.clock = Clock(NOW)
        self.latest = NOW  # as far as the clock ever went
        self.refused: dict[int, tuple[float, float]] = {}  # since the keys changed last, and for how long
        self.credentials = [Credential(token) for token in TOKENS]
        self.ring = KeyRing([issuer], HttpFetch(), TaskOwner(), self.clock)
        self.reload()

    def reload(self) -> None:
        self.resolver = Resolver([self.issuer], self.ring, TokenCache(4), a_builder(OneRole()))
        self.refused.clear()

    def publish(self, number: int) -> None:
        self.ring.by_alias["idp"]._accept(key_set(*KEYS[number]))
        self.refused.clear()

    def go(self, step: str, amount: float) -> None:
        """Let something happen."""
        if step == "ask":
            self.check(int(amount))
        elif step == "publish":
            self.publish(int(amount))
        elif step == "reload":
            self.reload()
        else:
            self.clock.now = amount + (NOW if step == "set" else self.clock.now)
            self.latest = max(self.latest, self.clock.now)

    def ask(self, number: int) -> Identity | Decision:
        """Ask as an exchange does."""
        credential, now = self.credentials[number], self.clock()
        found = self.resolver.recall(credential, now)
        if found is None:
            found = self.resolver.find(TOKENS[number], now)
            assert found is not None  # the keys are pinned: there is nothing to fetch
            self.resolver.remember(credential, found, now)
        return found

    def check(self, number: int) -> None:
        """Ask, and raise `AssertionError` where the checks could not answer so."""
        now = self.clock()
        found = self.ask(number)
        truth = verify(TOKENS[number], {self.issuer.url: self.issuer}, self.ring, now)
        if isinstance(found, Identity):
            if isinstance(truth, Verified):
                assert found.subject == truth.claims["sub"]
            else:
                # What was valid once is not asked again whether it has begun, should the clock be set back.
                assert truth.reason is Reason.TOKEN_NOT_YET_VALID, (number, truth)
                assert now < self.latest
        elif isinstance(truth, Verified):
            refused_at, longest_s = self.refused[number]
            assert -LONGEST_MEMORY_S <= now - refused_at < longest_s, (number, truth)
        else:
            is_early = truth.reason is Reason.TOKEN_NOT_YET_VALID
            self.refused[number] = (now, NOT_YET_VALID_S if is_early else LONGEST_MEMORY_S)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    path: Path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(jwks(ONE.jwk()))
    return an_issuer(jwks_file=path, leeway_s=LEEWAY_S, max_lifetime_s=100)


@examples(150)
@given(steps())
def test_what_is_remembered_decides_as_the_checks_do(issuer: Issuer, steps: list[Step]) -> None:
    scene = Scene(issuer)
    for step in steps:
        scene.go(*step)


@pytest.mark.parametrize("number", range(len(TOKENS)))
def test_nothing_between_two_requests_is_overlooked(issuer: Issuer, number: int) -> None:
    """Every token, asked for at every edge, then at every other, with everything in between."""
    between: list[Step] = [("wait", 0), ("reload", 0), *(("publish", at) for at in range(len(KEYS)))]
    for first, what, second in product(EDGES, between, EDGES):
        scene = Scene(issuer)
        steps: list[Step] = [("publish", 2), ("set", first), ("ask", number), what, ("set", second)]
        for step in [*steps, ("ask", number), ("ask", number)]:
            scene.go(*step)
