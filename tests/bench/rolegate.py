"""rolegate as a contestant, against others and against itself."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, cast

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT, Credentials
from tests.bench.issuer import KeyServer
from tests.bench.load import BenchmarkError
from tests.bench.peer import PROXY_CORE
from tests.kit.ports import LOOPBACK
from tests.kit.rolegate import RunningProxy

COMPILED = Path(__file__).parents[2] / "build" / "compiled"


class FromWheel(RunningProxy):
    """rolegate as it comes in the wheel of `make wheel`, which people install."""

    def prepare(self) -> Sequence[str]:
        """Make sure that there is something to run."""
        if not COMPILED.is_dir():
            raise BenchmarkError(f"nothing is compiled in `{COMPILED}`; run `make wheel` first")
        return super().prepare()

    def environment(self) -> Mapping[str, str] | None:
        """Return an environment in which Python finds the contents of the wheel before the source."""
        return {**os.environ, "PYTHONPATH": str(COMPILED)}


class Rolegate(FromWheel):
    """rolegate with pinned keys, its audit file and its metrics."""

    core = PROXY_CORE
    checks = True

    def __init__(
        self,
        upstream_port: int,
        credentials: Credentials,
        *,
        routes: int = 1,
        bindings: int = 1,
        path: str = "/api/**",
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Prepare that many routes and bindings; `more` is laid over the route for `path`."""
        configuration = rolegate_configuration(upstream_port, routes=routes, bindings=bindings, path=path)
        own = cast("list[dict[str, object]]", configuration["routes"])[-1]
        own.update(more or {})
        # The most that a run opens, and some: what is measured is a connection, not its refusal.
        super().__init__({"listen": {"max_connections": 12_000}, **configuration})
        self.credentials = credentials
        self.start_timeout_s = 60.0

    def prepare(self) -> Sequence[str]:
        """Write the keys beside the configuration, which names them."""
        (self.folder / "keys.json").write_text(self.credentials.jwks)
        return super().prepare()


class FetchingRolegate(Rolegate):
    """The same with keys that it fetches over TLS, as most people will have it."""

    def __init__(self, upstream_port: int, credentials: Credentials) -> None:
        super().__init__(upstream_port, credentials)
        self._keys = KeyServer(credentials.jwks)

    def start(self) -> Self:
        """Start whoever has the keys first."""
        self._keys.start()
        try:
            return super().start()
        except BaseException:
            self._keys.stop()
            raise

    def stop(self) -> None:
        """End both."""
        super().stop()
        self._keys.stop()

    def prepare(self) -> Sequence[str]:
        """Say where the keys are."""
        issuer = cast("dict[str, dict[str, object]]", self.configuration["issuers"])["gitlab"]
        issuer.pop("jwks_file", None)
        issuer.update(jwks_url=self._keys.jwks_url, ca_file=str(self._keys.ca_file))
        return super().prepare()


class InterpretedRolegate(Rolegate):
    """The same from a checkout, where nothing is compiled."""

    def environment(self) -> Mapping[str, str] | None:
        """Return an environment in which Python finds the source."""
        return RunningProxy.environment(self)


def rolegate_configuration(upstream_port: int, *, routes: int, bindings: int, path: str) -> dict[str, object]:
    """
    Return a configuration of that many routes and bindings.

    The one that matters comes last of all: the route for `path` and the binding of project 42.
    """
    strangers = [{"project_id": f"x{number}", "ref_protected": "true"} for number in range(bindings - 1)]
    claims = [*strangers, {"project_id": PROJECT, "ref_protected": "true"}]
    paths = [*(f"/services/{number}/**" for number in range(routes - 1)), path]
    return {
        "issuers": {
            "gitlab": {
                "url": ISSUER,
                "audiences": [AUDIENCE],
                "profile": "gitlab-ci",
                "jwks_file": "keys.json",
            }
        },
        "roles": {"deployer": {"bindings": [{"issuer": "gitlab", "claims": each} for each in claims]}},
        "upstreams": {"nginx": {"url": f"http://{LOOPBACK}:{upstream_port}"}},
        "routes": [
            {
                "name": f"route-{number}",
                "match": {"paths": [each]},
                "upstream": "nginx",
                "allow": [{"roles": ["deployer"]}],
            }
            for number, each in enumerate(paths)
        ],
    }
