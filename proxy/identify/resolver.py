"""
The entrance of this step: a token in, an identity or a denial out.

Law: finding never waits. Only where a fetch of keys could change the answer, or too many tokens were
looked at in vain, does `find` say so, and then `fetch` waits: for its turn, and for keys once. Every
denial here is prebuilt; the detail is for `explain`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from proxy.identify import jwt
from proxy.identify.cache import TokenCache, digest_of
from proxy.identify.claims import IdentityBuilder
from proxy.identify.failures import FailureCache
from proxy.identify.header import shown
from proxy.identify.interfaces import Refusal
from proxy.identify.issuers import Issuer, quoted
from proxy.identify.keyring import KeyRing
from proxy.identify.registered import audiences_of
from proxy.identify.turnstile import Turnstile
from proxy.model.credential import Credential
from proxy.model.decision import DENIALS, Decision, Reason
from proxy.model.identity import Identity

KEY_REASONS: Final = frozenset({Reason.KEY_UNKNOWN, Reason.KEYS_UNAVAILABLE})
"""The refusals that newer keys could turn into a yes."""

LONGEST_MEMORY_S: Final = 10.0
"""A refusal is remembered with its credential for no longer than this, whatever the failure cache does."""


class Resolver:
    """
    Knows who sends which token, for one configuration.

    `verifications` counts tokens that were looked at, and not only looked up. Without a turnstile all
    are looked at when they come.
    """

    __slots__ = (
        "_builder",
        "_by_url",
        "_epoch",
        "_keys",
        "_max_token_bytes",
        "cache",
        "failures",
        "turnstile",
        "verifications",
    )

    def __init__(
        self,
        issuers: Iterable[Issuer],
        keys: KeyRing,
        cache: TokenCache,
        builder: IdentityBuilder,
        failures: FailureCache | None = None,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._by_url = index_by_url(issuers)
        self._keys = keys
        self._builder = builder
        self._max_token_bytes = max((issuer.max_token_bytes for issuer in self._by_url.values()), default=0)
        self.cache = cache
        self.failures = FailureCache() if failures is None else failures
        self.turnstile = turnstile
        self.verifications = 0
        self._epoch = object()
        keys.on_change(self._forget)

    @property
    def waited(self) -> int:
        """How many tokens waited for their turn."""
        return 0 if self.turnstile is None else self.turnstile.waited

    def count_on(self, previous: "Resolver") -> None:
        """Go on with the counts of a resolver that this one replaces, and with nothing that it found."""
        self.cache.count_on(previous.cache)
        self.failures.hits += previous.failures.hits
        self.verifications += previous.verifications
        if self.turnstile is not None:
            self.turnstile.waited += previous.waited

    def recall(self, credential: Credential, now: float) -> Identity | Decision | None:
        """Return the answer remembered for this very credential, if it still stands."""
        # The epoch is ours alone: nothing that another configuration resolved stands here.
        if credential.epoch is not self._epoch:
            return None
        identity = credential.identity
        if identity is not None and now < identity.expires_at:
            self.cache.hits += 1
            return identity
        if credential.refusal is None or not credential.refused_until - LONGEST_MEMORY_S <= now:
            return None  # a clock that was set back must not keep a refusal alive
        if now >= credential.refused_until:
            return None
        self.failures.hits += 1
        return credential.refusal

    def remember(self, credential: Credential, found: Identity | Decision, now: float) -> None:
        """Remember the answer for this credential, until it ends or an issuer's keys change."""
        credential.epoch = self._epoch
        if not isinstance(found, Decision):
            credential.identity, credential.refusal = found, None
            return
        credential.identity = credential.refusal = None
        failure = self.failures.look(digest_of(credential.unverified_token), now)
        # Newer keys may turn some refusals into a yes; whether they may be fetched is asked each time.
        if failure is not None and failure.decision.reason not in KEY_REASONS:
            credential.refusal = failure.decision
            credential.refused_until = min(failure.until, now + LONGEST_MEMORY_S)

    def find(self, unverified_token: bytes, now: float) -> Identity | Decision | None:
        """Return who sends the token, or the denial; None if the answer has to wait."""
        # Before hashing: work must not grow with what an attacker sends.
        if len(unverified_token) > self._max_token_bytes:
            return DENIALS[Reason.TOKEN_TOO_LARGE]
        digest = digest_of(unverified_token)
        identity = self.cache.get(digest, now)
        if identity is not None:
            return identity
        failure = self.failures.get(digest, now)
        if failure is not None:
            return None if self._may_help(failure.decision.reason, failure.issuer) else failure.decision
        turnstile = self.turnstile
        if turnstile is not None and not turnstile.is_open:
            return None
        result = self._verify(unverified_token, digest, now)
        if not isinstance(result, Refusal):
            return result
        if turnstile is not None:
            turnstile.count(result)
        if self._may_help(result.reason, result.issuer):
            return None
        self.failures.put(digest, result, now)
        return DENIALS[result.reason]

    async def fetch(
        self, unverified_token: bytes, client: str, now: Callable[[], float]
    ) -> Identity | Decision:
        """
        Return who sends the token, after one fetch of its issuer's keys where that can help.

        Waits for a turn among what `client` sends, and as long as a fetch may take
        (`KeyTimes.timeout_s`). Cancelling it gives up the turn but does not cancel the fetch, which
        others may be waiting for.
        """
        digest = digest_of(unverified_token)
        result = await self._look(unverified_token, digest, client, now)
        if isinstance(result, Refusal):
            # The keys may have come between the look and now; then nothing is fetched, and they count.
            if self._may_help(result.reason, result.issuer) and result.issuer is not None:
                await self._keys.refresh(result.issuer)
            result = await self._look(unverified_token, digest, client, now)
        if not isinstance(result, Refusal):
            return result
        self.failures.put(digest, result, now())
        return DENIALS[result.reason]

    def explain_refusal(self, unverified_token: bytes, now: float) -> list[str]:
        """
        Return every check of the token in words, the last one saying what it came to.

        Runs the checks that requests meet, plus the comparison with the issuer's audiences. Call
        it after `fetch`, or it can only say that there are no keys.
        """
        lines: list[str] = []
        for promise, outcome in jwt.explain(unverified_token, self._by_url, self._keys, now):
            if isinstance(outcome, Refusal):
                lines.append(f"no: {promise}: {outcome.detail} ({outcome.reason})")
            elif outcome is None:
                lines.append(f"ok: {promise}")
            else:
                lines.append(explain_audience(outcome))
                identity = self._builder.build(outcome, now)
                lines.append(f"ok: it speaks of {identity!r}")
        return lines

    def _may_help(self, reason: Reason, issuer: str | None) -> bool:
        """Whether a fetch of the issuer's keys may be made now, and could turn the refusal into a yes."""
        return reason in KEY_REASONS and issuer is not None and self._keys.may_fetch(issuer)

    async def _look(
        self, unverified_token: bytes, digest: bytes, client: str, now: Callable[[], float]
    ) -> Identity | Decision | Refusal:
        """Look at the token in its client's turn; a Refusal is one that newer keys may turn into a yes."""
        look = partial(self._look_now, unverified_token, digest, now)
        return look() if self.turnstile is None else await self.turnstile.pass_through(client, look)

    def _look_now(
        self, unverified_token: bytes, digest: bytes, now: Callable[[], float]
    ) -> Identity | Decision | Refusal:
        known = self._known(digest, now())
        if known is not None:
            return known
        result = self._verify(unverified_token, digest, now())
        if not isinstance(result, Refusal) or self._may_help(result.reason, result.issuer):
            return result
        # At once, for those who wait with the same token.
        self.failures.put(digest, result, now())
        return DENIALS[result.reason]

    def _known(self, digest: bytes, now: float) -> Identity | Decision | None:
        """Return what was found meanwhile: the same token may have come on other connections."""
        identity = self.cache.look(digest, now)
        if identity is not None:
            return identity
        failure = self.failures.look(digest, now)
        if failure is None or self._may_help(failure.decision.reason, failure.issuer):
            return None
        return failure.decision

    def _forget(self, issuer: str) -> None:
        self._epoch = object()
        self.cache.forget(issuer)
        self.failures.forget(issuer)

    def _verify(self, unverified_token: bytes, digest: bytes, now: float) -> Identity | Refusal:
        self.verifications += 1
        result = jwt.verify(unverified_token, self._by_url, self._keys, now)
        if isinstance(result, Refusal):
            return result
        identity = self._builder.build(result, now)
        self.cache.put(digest, identity, now)
        return identity


def explain_audience(verified: jwt.Verified) -> str:
    """Return in words whether a verified token is for us, unless a route names other audiences."""
    audiences, welcome = audiences_of(verified.claims), verified.issuer.audiences
    if audiences & welcome:
        return f"ok: it is for {quoted(sorted(audiences & welcome))}"
    names = ", ".join(shown(name) for name in sorted(audiences))
    promise = f"no: it is for us: `aud` is {names}, expected {quoted(sorted(welcome))}"
    return f"{promise} ({Reason.AUDIENCE_MISMATCH}, unless the route names it)"


def index_by_url(issuers: Iterable[Issuer]) -> dict[str, Issuer]:
    """
    Return issuers by their URL.

    Two issuers with one URL are a mistake of whoever builds them (settings refuse it with a
    place): a token could then be read by either, with different audiences and limits.
    """
    by_url: dict[str, Issuer] = {}
    for issuer in issuers:
        if issuer.url in by_url:
            raise ValueError(f"issuers `{by_url[issuer.url].alias}` and `{issuer.alias}` have the same URL")
        by_url[issuer.url] = issuer
    return by_url
