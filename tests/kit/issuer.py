"""
A real OIDC provider as the issuer of a test's tokens.

The tokens come from real client-credentials grants; the test says which claims the issuer vouches for.
"""

import base64
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from tests.kit.ports import LOOPBACK
from tests.kit.processes import Process
from tests.kit.programs import OIDC, program

Shape = Literal["rfc9068", "gitlab"]

CLIENT_SECRET = "a secret made up for the tests"

GITLAB_CLAIMS: dict[str, object] = {
    "sub": "project_path:platform/deployer:ref_type:branch:ref:main",
    "namespace_id": "41",
    "namespace_path": "platform",
    "project_id": "42",
    "project_path": "platform/deployer",
    "user_id": "88",
    "user_login": "mira",
    "user_email": "mira@example.com",
    "user_access_level": "maintainer",
    "pipeline_id": "90211",
    "pipeline_source": "push",
    "job_id": "455120",
    "ref": "main",
    "ref_type": "branch",
    "ref_path": "refs/heads/main",
    "ref_protected": "true",
    "environment": "production",
    "environment_protected": "true",
    "deployment_tier": "production",
    "environment_action": "start",
    "runner_id": 15,
    "runner_environment": "self-hosted",
    "sha": "0c3f0d8d6b0f1b7f1d1f0c2ad1a7d6a1b2c3d4e5",
    "project_visibility": "private",
    "ci_config_ref_uri": "gitlab.example.com/platform/deployer//.gitlab-ci.yml@refs/heads/main",
    "ci_config_sha": "0c3f0d8d6b0f1b7f1d1f0c2ad1a7d6a1b2c3d4e5",
}
"""The claims of a job on a protected branch, with the types in which GitLab sends them."""


class OidcIssuer(Process):
    """
    An issuer on a loopback port, with fresh RS256 and ES256 keys.

    `shape` says whose access tokens it signs: those of RFC 9068, or job tokens as GitLab makes them
    (which carry `GITLAB_CLAIMS` unless the test says otherwise).
    """

    name = "issuer"

    def __init__(
        self,
        *,
        shape: Shape = "rfc9068",
        audience: str = "https://api.example.com",
        clients: Sequence[str] = ("service", "agent"),
        lifetime_s: int = 3600,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.audience = audience
        self.clients = tuple(clients)
        self.lifetime_s = lifetime_s
        self.port = 0

    @property
    def url(self) -> str:
        """The issuer as it stands in `iss`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def jwks_url(self) -> str:
        """Where the keys are, as discovery says."""
        return str(self.discovery()["jwks_uri"])

    def prepare(self) -> Sequence[str]:
        """Write the issuer's configuration."""
        config = {
            "port": self.port,
            "shape": self.shape,
            "lifetime": self.lifetime_s,
            "clients": self.clients,
            "secret": CLIENT_SECRET,
        }
        path = self.folder / "issuer.json"
        path.write_text(json.dumps(config))
        self.stdout_path.unlink(missing_ok=True)
        return [program("node"), str(OIDC / "server.mjs"), str(path)]

    def is_ready(self) -> bool:
        """Read the port from the line that says the issuer is up."""
        lines = self._lines()
        if lines:
            self.port = cast("int", lines[0]["port"])
        return bool(lines)

    def token(
        self, *, client: str = "service", audience: str | None = None, alg: str = "RS256", **claims: object
    ) -> str:
        """Return an access token granted to `client`, with `claims` laid over what it would say."""
        defaults = GITLAB_CLAIMS if self.shape == "gitlab" else {}
        form = {
            "grant_type": "client_credentials",
            "resource": audience or self.audience,
            "alg": alg,
            "claims": json.dumps({**defaults, **claims}),
        }
        answer = _fetch(
            f"{self.url}/token",
            urllib.parse.urlencode(form).encode(),
            {"Authorization": f"Basic {_client_credentials(client)}"},
        )
        return str(answer["access_token"])

    def discovery(self) -> dict[str, object]:
        """Return the discovery document."""
        return _fetch(f"{self.url}/.well-known/openid-configuration")

    def jwks(self) -> dict[str, object]:
        """Return the key set."""
        return _fetch(self.jwks_url)

    def write_jwks(self, path: Path) -> Path:
        """Write the key set to `path`, for an issuer with pinned keys, and return the path."""
        path.write_text(json.dumps(self.jwks()))
        return path

    def request_count(self, pattern: str) -> int:
        """Return how many requests the issuer got whose path matches the whole of `pattern`."""
        paths = [str(line["path"]) for line in self._lines() if "path" in line]
        return sum(re.fullmatch(pattern, path) is not None for path in paths)

    def rotate(self) -> None:
        """Come back on the same port with other keys; tokens signed before do not verify any more."""
        self.restart()

    def _lines(self) -> list[dict[str, object]]:
        # The last piece is a line that is still being written, or nothing.
        whole = self.stdout_path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in whole if line.startswith("{")]


def _client_credentials(client: str) -> str:
    # RFC 6749 2.3.1: both halves are form-encoded before they are joined.
    return base64.b64encode(f"{client}:{urllib.parse.quote_plus(CLIENT_SECRET)}".encode()).decode()


def _fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> dict[str, object]:
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - an issuer of ours on loopback
    # An empty handler table: the proxies of the environment are for other addresses than loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        return cast("dict[str, object]", json.load(response))
