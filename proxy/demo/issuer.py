"""
Two development issuers on one loopback port: a GitLab that signs job tokens, and a company's provider.

They publish what real ones do, so that the proxy finds their keys as it would anybody's: discovery
(OpenID Connect Discovery 1.0, 4) and a key set. `/token/NAME` hands out a token to whoever asks, which
is the one thing that a real issuer must never do.
"""

import time
from dataclasses import dataclass

from aiohttp import web

from proxy.demo.keys import new_key
from proxy.demo.loopback import LOOPBACK, Server
from proxy.demo.tokens import SHAPES, Claims, mint, registered

AUDIENCE = "https://demo.example"
"""What every token is meant for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Somebody to be: a token is minted for whoever asks by this name."""

    name: str
    realm: str
    who: str
    claims: Claims
    shift_s: float = 0
    is_forged: bool = False


_MIRA: Claims = {"sub": "mira", "email": "mira@example.com", "groups": ["auditors"]}
_FORK: Claims = {
    "sub": "project_path:interns/sandbox:ref_type:branch:ref:main",
    "namespace_id": "77",
    "namespace_path": "interns",
    "project_id": "9120",
    "project_path": "interns/sandbox",
    "user_id": "131",
    "user_login": "noor",
    "user_email": "noor@example.com",
}
_DEPLOYER = SHAPES["gitlab-ci"]

PERSONAS = {
    persona.name: persona
    for persona in (
        Persona(name="deployer", realm="gitlab", who="the deploy job, project 7301", claims=_DEPLOYER),
        Persona(name="sandbox", realm="gitlab", who="a job of project 9120", claims=_DEPLOYER | _FORK),
        Persona(name="auditor", realm="company", who="mira, in group auditors", claims=_MIRA),
        Persona(
            name="expired",
            realm="gitlab",
            who="the deploy job, a day late",
            claims=_DEPLOYER,
            shift_s=-86_400,
        ),
        Persona(
            name="forged",
            realm="gitlab",
            who="a job that changed its claims",
            claims=_DEPLOYER,
            is_forged=True,
        ),
    )
}
"""Who can ask for a token, by name."""


class DemoIssuer(Server):
    """The issuers `gitlab` (RS256) and `company` (ES256), with keys made when they start."""

    def __init__(self) -> None:
        self._keys = {"gitlab": new_key("RS256"), "company": new_key("ES256")}
        application = web.Application()
        application.router.add_get("/", self._index)
        application.router.add_get("/token/{name}", self._token)
        application.router.add_get("/{realm}/.well-known/openid-configuration", self._discovery)
        application.router.add_get("/{realm}/keys", self._key_set)
        super().__init__(application)

    def url_of(self, realm: str) -> str:
        """Return an issuer as it stands in `iss`."""
        return f"http://{LOOPBACK}:{self.port}/{realm}"

    def token(self, persona: Persona, now: float) -> str:
        """Return a token for a persona."""
        key = self._keys[persona.realm]
        times = registered(self.url_of(persona.realm), AUDIENCE, now + persona.shift_s)
        if not persona.is_forged:
            return mint(key, persona.claims, times)
        # A genuine token of the sandbox, with what the deployer's would say put into it.
        changed = mint(key, persona.claims, times).rpartition(".")[0]
        return f"{changed}.{mint(key, persona.claims, _FORK, times).rpartition('.')[2]}"

    async def _index(self, _: web.Request) -> web.Response:
        lines = [f"{self.url}/token/{name:10} {persona.who}" for name, persona in PERSONAS.items()]
        return web.Response(text="tokens for whoever asks:\n" + "\n".join(lines) + "\n")

    async def _token(self, request: web.Request) -> web.Response:
        persona = PERSONAS.get(request.match_info["name"])
        if persona is None:
            return web.Response(status=404, text=f"nobody of this name; known: {', '.join(PERSONAS)}\n")
        return web.Response(text=self.token(persona, time.time()) + "\n")

    async def _discovery(self, request: web.Request) -> web.Response:
        realm = request.match_info["realm"]
        if realm not in self._keys:
            raise web.HTTPNotFound
        url = self.url_of(realm)
        document = {"issuer": url, "jwks_uri": f"{url}/keys", "response_types_supported": ["id_token"]}
        return web.json_response(document)

    async def _key_set(self, request: web.Request) -> web.Response:
        key = self._keys.get(request.match_info["realm"])
        if key is None:
            raise web.HTTPNotFound
        return web.json_response(key.jwks())
