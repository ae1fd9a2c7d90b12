"""A rehearsal and the proxy agree: the same questions, put to both."""

import json
import os
import time
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from proxy.assemble import Proxy
from proxy.demo.demonstration import running
from proxy.demo.welcome import Places
from proxy.model.decision import Reason
from proxy.rehearsal import Question, is_absolute, prepared, rehearse
from proxy.settings.load import load
from proxy.wire.refusal import REFUSALS

TARGETS = (
    "/deployments/7",
    "/deployments/frozen/1",
    "/deployments/a%2Fb",
    "/deployments/../admin",
    "/nowhere",
    "/status",
    "/.rolegate/x",
    "/deployments/7?token=x",
)
PERSONAS = ("", "deployer", "sandbox", "auditor", "expired", "forged")


async def ask(session: aiohttp.ClientSession, places: Places, method: str, target: str, token: str) -> str:
    """Return the reason that the data port gives, `allowed` if the request was forwarded."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = URL(f"http://{places.api}{target}", encoded=True)
    async with session.request(method, url, headers=headers) as response:
        if response.content_type != "application/problem+json":
            assert response.status == 200
            return "allowed"
        reason = str(json.loads(await response.text())["reason"])
        assert response.status == REFUSALS[Reason(reason)].status
        return reason


async def test_rehearsal_and_data_port_agree() -> None:
    async with running(0, 0) as places, aiohttp.ClientSession() as session:
        settings = load(places.config)
        for persona in PERSONAS:
            token = ""
            if persona:
                async with session.get(f"http://{places.tokens}/{persona}") as response:
                    token = (await response.text()).strip()
            for method in ("GET", "POST"):
                for target in TARGETS:
                    question = Question(
                        method=method,
                        url=f"http://{places.api}{target}",
                        unverified_token=token.encode() or None,
                    )
                    decision = (await rehearse(settings, question)).decision
                    expected = await ask(session, places, method, target, token)
                    rehearsed = "allowed" if decision.allowed else decision.reason.value
                    assert rehearsed == expected, (persona, method, target)


async def test_preparing_opens_no_port_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "rolegate.yaml"
    path.write_text(f"audit: {{file: {tmp_path}/audit.jsonl}}\n")
    async with prepared(load(path)) as (proxy, live):
        assert isinstance(proxy, Proxy)
        assert live.routes.find("a.test", "/", "GET") is None
        assert (proxy.port, proxy.admin_port) == (0, 0)
    assert os.listdir(tmp_path) == ["rolegate.yaml"]  # noqa: PTH208 - no blocking path object in a coroutine


async def test_keys_that_cannot_be_had_are_told_with_the_cause(tmp_path: Path) -> None:
    """Nobody listens on port 1."""
    from proxy.demo.keys import new_key
    from proxy.demo.tokens import mint, registered

    path = tmp_path / "rolegate.yaml"
    path.write_text('audit: {stdout: true}\nissuers: {a: {url: "http://127.0.0.1:1", audiences: [us]}}\n')
    token = mint(new_key("EdDSA"), {"sub": "me"}, registered("http://127.0.0.1:1", "us", time.time()))
    question = Question(method="GET", url="http://a.test/", unverified_token=token.encode())
    rehearsal = await rehearse(load(path), question)
    assert rehearsal.decision.reason is Reason.KEYS_UNAVAILABLE
    assert "cannot be fetched" in rehearsal.token[-1]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.test", True),
        ("http://a.test:8080/x?y#z", True),
        ("/x", False),
        ("a.test/x", False),
        ("ftp://a.test/", False),
        ("https:///x", False),
        ("https://[", False),
    ],
)
def test_question_needs_a_whole_url(url: str, expected: bool) -> None:
    assert is_absolute(url) is expected
