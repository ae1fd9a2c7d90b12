import json

from proxy.demo.lines import MAX_LINES, MAX_PENDING, AuditLines, status_of
from proxy.demo.terminal import Palette

PLAIN = Palette(is_on=False)


def decision(request_id: str = "r1", **members: object) -> bytes:
    record = {
        "v": 1,
        "time": "2026-11-22T21:22:52.644762Z",
        "kind": "decision",
        "request_id": request_id,
        "method": "GET",
        "host": "a.test",
        "path": "/x",
        "issuer": None,
        "subject": None,
        "claims": {},
        "roles": [],
        "decision": "deny",
        "reason": "credential-missing",
        "rule": None,
    }
    return json.dumps(record | members).encode()


def outcome(request_id: str = "r1", **members: object) -> bytes:
    record = {
        "time": "2026-11-22T21:22:52.7Z",
        "kind": "outcome",
        "request_id": request_id,
        "status": 200,
        "reason": "completed",
    }
    return json.dumps(record | members).encode()


def test_refused_request_is_a_line_with_the_status_of_its_reason() -> None:
    (line,) = AuditLines(PLAIN).render([decision()])
    assert line.split()[1:] == ["401", "GET", "a.test/x", "-", "-", "credential-missing"]


def test_forwarded_request_is_a_line_once_its_outcome_is_known() -> None:
    lines = AuditLines(PLAIN)
    allowed = decision(
        issuer="gitlab",
        subject="project_path:a/b:ref",
        claims={"project_path": "a/b"},
        roles=["deployer"],
        decision="allow",
        reason="allowed",
        rule="x.allow[0]",
    )
    assert lines.render([allowed]) == []
    (line,) = lines.render([outcome(status=204)])
    assert line.split()[1:] == [
        "204",
        "GET",
        "a.test/x",
        "gitlab:a/b",
        "deployer",
        "allowed",
        "by",
        "x.allow[0]",
    ]
    assert lines.render([outcome()]) == []


def test_forwarded_request_that_ended_badly_says_so() -> None:
    allowed = decision(decision="allow", reason="public")
    (line,) = AuditLines(PLAIN).render([allowed, outcome(status=504, reason="upstream-timeout")])
    assert "504" in line
    assert "upstream-timeout" in line


def test_port_of_a_refused_host_is_left_out() -> None:
    (line,) = AuditLines(PLAIN).render([decision(host="[::1]:8080", path="/a/../b", reason="ambiguous-path")])
    assert "GET [::1]/a/../b " in line


def test_gap_is_no_request() -> None:
    assert AuditLines(PLAIN).render([b'{"kind":"gap","time":"2026-11-22T21:22:52Z","reason":"x"}']) == []


def test_control_sequences_of_a_client_do_not_reach_the_terminal() -> None:
    (line,) = AuditLines(PLAIN).render([decision(path="/\x1b[2J\x9b", host="\x07", reason="ambiguous-path")])
    assert line.isprintable()


def test_flood_is_cut_short_and_counted() -> None:
    lines = AuditLines(PLAIN).render([decision()] * (MAX_LINES + 5))
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "... and 5 more requests"


def test_requests_that_never_end_are_forgotten() -> None:
    lines = AuditLines(PLAIN)
    lines.render(
        [decision(f"r{number}", decision="allow", reason="public") for number in range(MAX_PENDING + 1)]
    )
    assert repr(lines) == f"<AuditLines [{MAX_PENDING} pending]>"


def test_colour_says_the_same_words() -> None:
    (plain,), (painted,) = (AuditLines(Palette(is_on=on)).render([decision()]) for on in (False, True))
    assert "\x1b[" not in plain
    assert "\x1b[" in painted
    assert "credential-missing" in painted


def test_columns_stand_below_their_headings() -> None:
    lines = AuditLines(PLAIN)
    (line,) = lines.render([decision()])
    assert lines.heading().index("request") == line.index("GET")
    assert lines.heading().index("reason") == line.index("credential-missing")


def test_reason_that_is_never_answered_has_no_status() -> None:
    assert status_of("client-gone") == 0
    assert status_of("no-route") == 404
