"""
Claims as if their issuer had signed them, for questions about roles and rules.

They are signed with a key made for the purpose, which a copy of the settings pins as the issuer's: so
they go through every check that a token goes through, and need neither the issuer nor the network.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.demo.keys import new_key
from proxy.demo.tokens import Claims, mint, registered
from proxy.errors import ConfigurationError
from proxy.settings.schema import Settings
from proxy.vetting import issuer_of

TIMES = ("iat", "nbf", "exp")
LIFETIME_S = 60


@contextmanager
def pretending(
    settings: Settings, alias: str, claims: Claims, now: float
) -> Iterator[tuple[Settings, bytes]]:
    """
    Give settings that trust the throw-away key, and the token; both are good only inside the block.

    Audience and subject are filled in where the claims lack them; the times are those of a fresh token,
    so that what an old token said can be asked about. Raises ConfigurationError for an issuer that is
    not configured and for claims of another one.
    """
    issuer = settings.issuers.get(alias)
    if issuer is None:
        known = ", ".join(f"`{name}`" for name in settings.issuers)
        raise ConfigurationError(f"no issuer is called `{alias}`; configured: {known or 'none'}")
    if claims.get("iss", issuer.url) != issuer.url:
        raise ConfigurationError(
            f"the claims are of another issuer than `{alias}`: `iss` must be `{issuer.url}`"
        )
    algorithm = issuer.algorithms[0]
    key = new_key(algorithm)
    defaults = {"sub": "nobody in particular", **registered(issuer.url, issuer.audiences[0], now, LIFETIME_S)}
    said = {name: value for name, value in claims.items() if name not in TIMES}
    token = mint(
        key, defaults, said, algorithm=algorithm, typ=_type_of(issuer_of(alias, issuer).accepted_types)
    )
    with tempfile.TemporaryDirectory(prefix="rolegate-explain-") as folder:
        file = Path(folder, "keys.json")
        file.write_text(json.dumps(key.jwks()), encoding="utf-8")
        pinned = issuer.model_copy(update={"jwks_file": file, "jwks_url": None})
        yield settings.model_copy(update={"issuers": {**settings.issuers, alias: pinned}}), token.encode()


def _type_of(welcome: frozenset[str]) -> str:
    return "JWT" if "jwt" in welcome else min(welcome)
