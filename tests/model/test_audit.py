import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.audit import (
    ANONYMOUS,
    MAX_CLAIMED_CHARS,
    claimed_path,
    decision_members,
    identity_members,
    json_text,
    outcome_members,
    request_members,
)
from proxy.model.decision import Decision, Reason
from proxy.model.flow import Flow
from proxy.model.identity import IdentityKind
from proxy.model.request import Request


def read(members: str) -> dict[str, Any]:  # Any: JSON
    parsed = json.loads(f"{{{members}}}")
    assert isinstance(parsed, dict)
    return parsed


def flow(request: Request | None = None) -> Flow:
    made = Flow("f" * 32, "192.0.2.7", 0.0)
    made.request = request
    return made


def request() -> Request:
    return Request(
        method="POST",
        host="[2001:db8::1]",
        path="/a/%2F'~!$&()*+,=:@b",
        authority=b"[2001:db8::1]:81",
        target=b"/a?token=secret",
        has_encoded_slash=True,
        credential=None,
        client="2001:db8::7",
    )


def test_a_request_is_recorded_by_what_was_decided_on() -> None:
    assert read(request_members(flow(request()))) == {
        "client": "192.0.2.7",
        "method": "POST",
        "host": "[2001:db8::1]",
        "path": "/a/%2F'~!$&()*+,=:@b",
    }


def test_a_client_certificate_is_recorded_with_and_without_a_request() -> None:
    for made in (flow(request()), flow()):
        before = read(request_members(made))
        made.certificate = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
        assert read(request_members(made)) == {**before, "client_certificate": made.certificate}


def test_a_request_that_could_not_be_read_is_recorded_as_it_came() -> None:
    unread = flow()
    unread.claimed_method, unread.claimed_host = 'GE"T\n', 'a"\\\x00\xff'
    unread.claimed_target = b'/a"\\\x01\xff?token=secret'
    assert read(request_members(unread)) == {
        "client": "192.0.2.7",
        "method": 'GE"T\n',
        "host": 'a"\\\x00\xff',
        "path": '/a"\\\x01\\xff',
    }


@given(method=st.text(), host=st.text(), target=st.binary())
def test_no_client_can_break_out_of_its_record(method: str, host: str, target: bytes) -> None:
    unread = flow()
    unread.claimed_method, unread.claimed_host, unread.claimed_target = method, host, target
    text = request_members(unread)
    assert set(read(text)) == {"client", "method", "host", "path"}
    assert "\n" not in text
    assert "\r" not in text


def test_the_record_of_an_unread_request_is_bounded() -> None:
    unread = flow()
    unread.claimed_method = unread.claimed_host = "\x00" * 30_000
    unread.claimed_target = b"\xff" * 30_000
    members = read(request_members(unread))
    assert len(members["method"]) == len(members["host"]) == MAX_CLAIMED_CHARS
    assert members["path"] == "\\xff" * MAX_CLAIMED_CHARS


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/b", "/a/b"),
        (b"", ""),
        (b"*", "*"),
        (b"/a?token=SECRET", "/a"),
        (b"/a?b?c=SECRET", "/a"),
        (b"/a#SECRET", "/a"),
        (b"/a;jsessionid=SECRET/b?c", "/a"),
        (b"http://mira:SECRET@a.example/b", "http://a.example/b"),
        (b"http://mira:SE;CRET@a.example/b;c", "http://a.example/b"),
        (b"HTTP://SECRET@a.example", "HTTP://a.example"),
        (b"http:\\\\mira:SECRET@a.example", "a.example"),
        (b"//mira:SECRET@a.example/b", "//a.example/b"),
        (b"mira:SECRET@a.example:443", "a.example:443"),
        (b"/users/mira@example.com", "/users/mira@example.com"),
        (b"http://a.example/users/mira@example.com", "http://a.example/users/mira@example.com"),
        ("/ü".encode(), "/ü"),
        (b"/\xc3", "/\\xc3"),
    ],
)
def test_no_secret_of_an_unread_target_is_recorded(target: bytes, path: str) -> None:
    assert claimed_path(target) == path


def test_an_identity_is_recorded_with_the_claims_it_is_given() -> None:
    members = identity_members(
        "gitlab", 'mi"ra\n', IdentityKind.WORKLOAD, {"ref": "main", "runner_id": 15}, {"b", "a"}
    )
    assert read(members) == {
        "issuer": "gitlab",
        "subject": 'mi"ra\n',
        "kind_of_identity": "workload",
        "claims": {"ref": "main", "runner_id": 15},
        "roles": ["a", "b"],
    }


def test_nobody_is_recorded_with_the_same_members() -> None:
    someone = read(identity_members("i", "s", IdentityKind.HUMAN, {}, ()))
    nobody = read(ANONYMOUS)
    assert list(nobody) == list(someone)
    assert nobody["issuer"] is nobody["subject"] is nobody["kind_of_identity"] is None


CLAIMS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(subject=st.text(), claims=st.dictionaries(st.text(), CLAIMS, max_size=4), role=st.text())
def test_no_claim_can_break_out_of_its_record(subject: str, claims: dict[str, object], role: str) -> None:
    text = identity_members("issuer", subject, IdentityKind.AGENT, claims, {role})
    assert read(text) == {
        "issuer": "issuer",
        "subject": subject,
        "kind_of_identity": "agent",
        "claims": claims,
        "roles": [role],
    }
    assert "\n" not in text


def test_a_lone_surrogate_does_not_lose_the_record() -> None:
    """It is no character and has no UTF-8; it is recorded as the escape it came as."""
    claims = {"a\ud800": ["\udfff", {"b": ("\ud834", 1)}]}
    text = identity_members("issuer", "mira\ud83d", IdentityKind.HUMAN, claims, {"r\udc00"})
    assert read(text) == {
        "issuer": "issuer",
        "subject": "mira\\ud83d",
        "kind_of_identity": "human",
        "claims": {"a\\ud800": ["\\udfff", {"b": ["\\ud834", 1]}]},
        "roles": ["r\\udc00"],
    }
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("decision", "members"),
    [
        (Decision(True, Reason.ALLOWED, "a.allow[0]"), ("allow", "allowed", "a.allow[0]")),
        (Decision(False, Reason.NO_ROUTE), ("deny", "no-route", None)),
    ],
)
def test_a_decision_is_recorded_with_rule_and_version(
    decision: Decision, members: tuple[str, str, str | None]
) -> None:
    read_back = read(decision_members(decision, "v1"))
    assert tuple(read_back.values()) == (*members, "v1")
    assert list(read_back) == ["decision", "reason", "rule", "policy_version"]


def test_an_outcome_is_recorded_with_what_went_through() -> None:
    ended = flow()
    ended.upstream_address, ended.status, ended.reason = "127.0.0.1:80", 502, Reason.UPSTREAM_RESET
    ended.bytes_in, ended.bytes_out = 10**12, 3
    assert read(outcome_members(ended, 0.0123456)) == {
        "upstream": "127.0.0.1:80",
        "status": 502,
        "reason": "upstream-reset",
        "bytes_in": 10**12,
        "bytes_out": 3,
        "duration_ms": 12.346,
    }


def test_json_text_is_compact() -> None:
    assert json_text({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'
