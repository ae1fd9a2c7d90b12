from pathlib import Path

import pytest

from tests.settings.files import SMALL, changed, problems_of


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "audiences: [https://api.example.com]",
            "audience: [https://api.example.com]",
            "5:5: issuers.gitlab.audience: unknown key `audience`; did you mean `audiences`?",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: [x]\n    zebra: 1",
            (
                "6:5: issuers.gitlab.zebra: unknown key `zebra`; known here: `url`, `audiences`, `profile`, "
                "`algorithms`, `leeway`, `max_lifetime`, `max_token_bytes`, `typ`, "
                "`groups_claims`, `jwks_url`, "
                "`jwks_file`, `ca_file`, `required`, `keys`"
            ),
        ),
        (
            "    audiences: [https://api.example.com]\n",
            "",
            "3:3: issuers.gitlab.audiences: required, but missing",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: https://api.example.com",
            "5:16: issuers.gitlab.audiences: expected a list, got `https://api.example.com`",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: []",
            "5:5: issuers.gitlab.audiences: expected at least one entry, got an empty list",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: [42]",
            '5:17: issuers.gitlab.audiences[0]: expected text, got `42`; in quotes it is text: `"42"`',
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: [[a]]",
            "5:17: issuers.gitlab.audiences[0]: expected text, got a list",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences:",
            "5:15: issuers.gitlab.audiences: expected a list, got nothing",
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: [x]\n    profile: gitlab",
            (
                "6:14: issuers.gitlab.profile: expected one of `generic`, `gitlab-ci`, `github-actions`, "
                "`kubernetes`, `keycloak`, got `gitlab`; did you mean `gitlab-ci`?"
            ),
        ),
        (
            "audiences: [https://api.example.com]",
            "audiences: [x]\n    algorithms: [none]",
            (
                "6:18: issuers.gitlab.algorithms[0]: expected one of `RS256`, `RS384`, "
                "`RS512`, `PS256`, `PS384`, "
                "`PS512`, `ES256`, `ES384`, `ES512`, `EdDSA`, got `none`"
            ),
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten: {max_connections: 0}",
            "2:27: listen.max_connections: expected at least 1, got `0`",
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten: {max_connections: 1000001}",
            "2:27: listen.max_connections: expected at most 1000000, got `1000001`",
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten: {max_connections: '7'}",
            '2:27: listen.max_connections: expected a whole number, got `"7"`',
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten: {max_connections: 1.5}",
            "2:27: listen.max_connections: expected a whole number, got `1.5`",
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten: [a]",
            "2:1: listen: expected a mapping, got a list",
        ),
        (
            "audit: {stdout: true}",
            "audit: {stdout: true}\nlisten:",
            "2:8: listen: expected a mapping, got nothing",
        ),
        (
            "    upstream: deployments",
            "    upstream: deployments\n    public: no",
            "17:13: routes.deployments.public: expected `true` or `false`, got `no`",
        ),
        (
            "    upstream: deployments",
            "    upstream: deployments\n    public: 'true'",
            '17:13: routes.deployments.public: expected `true` or `false`, got `"true"`',
        ),
        (
            "  deployer:\n",
            "  deployer:\n    x: 1\n  a b:\n",
            (
                '9:3: roles["a b"]: expected a name of letters, digits, `_`, `.` and `-`, at most 64, '
                "starting with a letter or digit, got `a b`"
            ),
        ),
        (
            'project_id: "42"',
            "project_id: no",
            (
                "10:30: roles.deployer.bindings[0].claims.project_id: `no` is text to one YAML "
                "reader and something "
                'else to the next; for text write `"no"`, for a boolean write `true` or `false`'
            ),
        ),
        (
            'project_id: "42"',
            'project_id: {contains: ["42", on]}',
            (
                "10:48: roles.deployer.bindings[0].claims.project_id.contains[1]: `on` is text "
                "to one YAML reader and "
                'something else to the next; for text write `"on"`, for a boolean write `true` or `false`'
            ),
        ),
        (
            'project_id: "42"',
            'project_id: {prefix: a, seperator: "/"}',
            (
                "10:42: roles.deployer.bindings[0].claims.project_id.seperator: unknown key; "
                "known here: `prefix`, "
                "`separator`; did you mean `separator`?"
            ),
        ),
        (
            'project_id: "42"',
            '/a~: "42"',
            (
                '10:18: roles.deployer.bindings[0].claims["/a~"]: expected the name of a '
                "claim, or a JSON Pointer such "
                "as `/kubernetes.io/namespace`, got `/a~`"
            ),
        ),
    ],
)
def test_messages_name_place_key_expectation_and_what_came(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert problem in problems_of(tmp_path, changed(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("audiences: [https://api.example.com]", "audience: [https://api.example.com]"),
        ("url: https://gitlab", "urls: https://gitlab"),
        ("    allow:", "    alow:"),
        ("    match:", "    macth:"),
        ("roles: [deployer]", "role: [deployer]"),
        ("stdout: true", "stdout: no"),
        ('project_id: "42"', "project_id: 010"),
        ("paths: [/deployments/**]", "paths: [deployments]"),
        ("upstream: deployments", "upstream: ${env:NOPE}"),
        ("issuer: gitlab", "issuer: ${file:nope}"),
        ("name: deployments", "name: ${nope}"),
        ("upstream: deployments", "upstream: 010"),
        ("stdout: true", "stdout: 1_0"),
        ("project_id:", "/~:"),
        ("bindings:\n      - issuer: gitlab", "bindings:\n      - issuer: gitlap"),
    ],
)
def test_one_mistake_is_one_problem(tmp_path: Path, old: str, new: str) -> None:
    assert len(problems_of(tmp_path, changed(old, new))) == 1


def test_everything_is_reported_at_once(tmp_path: Path) -> None:
    text = SMALL
    for old, new in (
        ("https://gitlab", "http://gitlab"),
        ("issuer: gitlab", "issuer: gitlap"),
        ('"42"', "0x2A"),
        ("http://127.0.0.1:9000", "ftp://127.0.0.1:9000"),
        ("/deployments/**]", "/deployments/**, /a/**/b]"),
        ("upstream: deployments", "upstream: deploiments"),
        ("roles: [deployer]", "roles: [deploier]\n    denny: []"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    assert [problem.split(": ")[1] for problem in problems_of(tmp_path, text)] == [
        "issuers.gitlab.url",
        "roles.deployer.bindings[0].issuer",
        "roles.deployer.bindings[0].claims.project_id",
        "upstreams.deployments.url",
        "routes.deployments.match.paths[1]",
        "routes.deployments.upstream",
        "routes.deployments.allow[0].roles[0]",
        "routes.deployments.denny",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://gitlab.example.com", "${env:SECRET}"),
        ("issuer: gitlab", "issuer: ${env:SECRET}"),
        ("upstream: deployments", "upstream: ${env:SECRET}"),
        ("audit: {stdout: true}", "audit:\n  stdout: ${env:SECRET}"),
        ("audit: {stdout: true}", "audit: {stdout: true}\nlisten:\n  address: ${env:SECRET}"),
        ("audit: {stdout: true}", "audit: {stdout: true}\nadmin: ${env:SECRET}"),
        ("[/deployments/**]", '["${env:SECRET}"]'),
        ("audiences:", "profile: ${env:SECRET}\n    audiences:"),
        ("audiences:", "leeway: ${env:SECRET}\n    audiences:"),
    ],
)
def test_what_a_reference_brought_is_never_shown(tmp_path: Path, old: str, new: str) -> None:
    problems = problems_of(tmp_path, changed(old, new), {"SECRET": "hunter2 \x00"})
    assert len(problems) == 1
    assert "hunter2" not in problems[0]
    assert "${env:SECRET}" in problems[0]


def test_long_and_hostile_values_are_cut_and_escaped(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, changed("https://gitlab.example.com", '"\\e[31m' + "x" * 5000 + '"'))
    assert len(problem) < 300
    assert "\x1b" not in problem
