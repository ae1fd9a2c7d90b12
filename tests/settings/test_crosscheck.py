from pathlib import Path

import pytest

from proxy.settings.crosscheck import ANY, select
from proxy.settings.document import Table, compose
from proxy.settings.problem import Collector
from proxy.settings.resolve import resolve
from proxy.settings.secrets import References
from tests.settings.files import SMALL, changed, load_text, problems_of

ISSUER = "  other:\n    url: https://other.example\n    audiences: [x]\n"
SAME_ISSUER = ISSUER.replace("https://other.example", "https://gitlab.example.com")
ROUTE = "  - name: open\n    match: {paths: [/open]}\n    upstream: deployments\n"


def with_top(text: str) -> str:
    return SMALL + text


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "issuer: gitlab",
            "issuer: gitlap",
            (
                "roles.deployer.bindings[0].issuer: expected the name of an issuer, got `gitlap`; "
                "did you mean `gitlab`?"
            ),
        ),
        (
            "issuer: gitlab",
            "issuer: zebra",
            "roles.deployer.bindings[0].issuer: expected the name of an issuer, got `zebra`; known: `gitlab`",
        ),
        (
            "upstream: deployments",
            "upstream: deploiments",
            (
                "routes.deployments.upstream: expected the name of an upstream, got `deploiments`; "
                "did you mean `deployments`?"
            ),
        ),
        (
            "roles: [deployer]",
            "roles: [deployer, deploier]",
            (
                "routes.deployments.allow[0].roles[1]: expected the name of a role, got `deploier`; "
                "did you mean `deployer`?"
            ),
        ),
        (
            "roles: [deployer]",
            "roles: [deployer]\n        issuers: [gitlap]",
            (
                "routes.deployments.allow[0].issuers[0]: expected the name of an issuer, got `gitlap`; "
                "did you mean `gitlab`?"
            ),
        ),
        (
            "    allow:",
            "    deny: [{roles: [Deployer]}]\n    allow:",
            (
                "routes.deployments.deny[0].roles[0]: expected the name of a role, got `Deployer`; "
                "did you mean `deployer`?"
            ),
        ),
        (
            "    allow:",
            "    deny: [{issuers: [okta]}]\n    allow:",
            (
                "routes.deployments.deny[0].issuers[0]: expected the name of an issuer, "
                "got `okta`; known: `gitlab`"
            ),
        ),
        (
            'upstreams:\n  deployments: {url: "http://127.0.0.1:9000"}\n',
            "",
            (
                "routes.deployments.upstream: expected the name of an upstream, got `deployments`; "
                "no upstreams are defined"
            ),
        ),
    ],
)
def test_references_must_lead_somewhere(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, changed(old, new))
    assert found.partition(": ")[2] == problem


@pytest.mark.parametrize(("others", "lists"), [(6, True), (7, True), (8, False)])
def test_known_names_are_listed_while_they_are_few(tmp_path: Path, others: int, lists: bool) -> None:
    issuers = "".join(
        f"  i{number}: {{url: 'https://{number}.example', audiences: [x]}}\n" for number in range(others)
    )
    text = changed("issuers:\n", f"issuers:\n{issuers}").replace("issuer: gitlab", "issuer: zebra")
    (found,) = problems_of(tmp_path, text)
    assert ("; known: `i0`, " in found) is lists


def test_issuers_have_urls_of_their_own(tmp_path: Path) -> None:
    text = changed("roles:\n", SAME_ISSUER + "roles:\n")
    assert problems_of(tmp_path, text) == [
        (
            "7:10: issuers.other.url: expected a URL of its own, got "
            "`https://gitlab.example.com`, which is at "
            f"{tmp_path}/rolegate.yaml:4:10"
        )
    ]


def test_same_url_through_a_reference_is_found_and_not_shown(tmp_path: Path) -> None:
    text = changed("roles:\n", ISSUER.replace("https://other.example", "${env:URL}") + "roles:\n")
    (found,) = problems_of(tmp_path, text, {"URL": "https://gitlab.example.com"})
    assert "expected a URL of its own, got `${env:URL}`" in found


@pytest.mark.parametrize("url", ["https://gitlab.example.com/", "https://gitlab.example.com:443"])
def test_issuer_urls_are_compared_byte_for_byte(tmp_path: Path, url: str) -> None:
    text = changed("roles:\n", ISSUER.replace("https://other.example", url) + "roles:\n")
    assert len(load_text(tmp_path, text).issuers) == 2


@pytest.mark.parametrize(
    ("audit", "problem"),
    [
        ("{}", "got neither"),
        ("{stdout: false}", "got neither"),
        ("{node: a}", "got neither"),
        ("{file: }", "got neither"),
        ("{file: a, stdout: true}", "got both"),
    ],
)
def test_audit_goes_to_exactly_one_place(tmp_path: Path, audit: str, problem: str) -> None:
    assert problems_of(tmp_path, changed("{stdout: true}", audit)) == [
        f"1:1: audit: expected one of `file` and `stdout: true`, {problem}"
    ]


@pytest.mark.parametrize("audit", ["{file: a}", "{file: a, stdout: false}", "{stdout: true, file: }"])
def test_either_place_for_audit_is_enough(tmp_path: Path, audit: str) -> None:
    load_text(tmp_path, changed("{stdout: true}", audit))


def test_missing_audit_is_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path, changed("audit: {stdout: true}\n", "")) == [
        "1:1: audit: required, but missing"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("listen: {address: '127.0.0.1:9090'}\n", "19:19: listen.address"),
        ("admin: {address: '127.0.0.1:8080'}\n", "19:18: admin.address"),
        ("listen: {address: 'a:1'}\nadmin: {address: 'a:1'}\n", "20:18: admin.address"),
    ],
)
def test_ports_differ(tmp_path: Path, text: str, place: str) -> None:
    (found,) = problems_of(tmp_path, with_top(text))
    assert found.startswith(f"{place}: expected a port of its own, got ")


def test_ports_that_the_system_chooses_differ_by_themselves(tmp_path: Path) -> None:
    load_text(tmp_path, with_top("listen: {address: '127.0.0.1:0'}\nadmin: {address: '127.0.0.1:0'}\n"))


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ("{subject: X-Who, roles: x-who}", "19:43: identity_headers.roles: expected a header of its own"),
        ("{roles: x-rolegate-subject}", "19:27: identity_headers.roles: expected a header of its own"),
        ("{subject: X-Rolegate-Roles}", "19:1: identity_headers.roles: expected a header of its own"),
    ],
)
def test_identity_headers_differ(tmp_path: Path, headers: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, with_top(f"identity_headers: {headers}\n"))
    assert found.startswith(problem)


def test_identity_headers_may_trade_places(tmp_path: Path) -> None:
    load_text(
        tmp_path, with_top("identity_headers: {subject: X-Rolegate-Roles, roles: X-Rolegate-Subject}\n")
    )


def test_keys_come_from_one_place(tmp_path: Path) -> None:
    text = changed("    audiences:", "    jwks_url: https://a.example\n    jwks_file: k.json\n    audiences:")
    assert problems_of(tmp_path, text) == [
        "3:3: issuers.gitlab: expected at most one of `jwks_url` and `jwks_file`, got both"
    ]


@pytest.mark.parametrize(
    ("keys", "is_good"),
    [
        ("{fresh_for: 10m, stale_for: 10m}", True),
        ("{fresh_for: 10m, stale_for: 601s}", True),
        ("{fresh_for: 10m, stale_for: 599s}", False),
        ("{stale_for: 9m}", False),
        ("{fresh_for: 25h}", False),
        ("{fresh_for: 24h}", True),
        ("{fresh_for: 1m, stale_for: 1m}", True),
    ],
)
def test_keys_are_used_at_least_as_long_as_they_are_fresh(tmp_path: Path, keys: str, is_good: bool) -> None:
    text = changed("    audiences:", f"    keys: {keys}\n    audiences:")
    if is_good:
        load_text(tmp_path, text)
    else:
        (found,) = problems_of(tmp_path, text)
        assert found.startswith("5:5: issuers.gitlab.keys: expected `stale_for` to be at least as long")


def test_malformed_times_are_reported_once(tmp_path: Path) -> None:
    text = changed("    audiences:", "    keys: {fresh_for: soon}\n    audiences:")
    (found,) = problems_of(tmp_path, text)
    assert found.startswith("5:23: issuers.gitlab.keys.fresh_for: expected a duration such as")


def test_binding_says_something(tmp_path: Path) -> None:
    assert problems_of(tmp_path, changed('        claims: {project_id: "42"}\n', "")) == [
        "9:9: roles.deployer.bindings[0]: expected `claims` or `groups`, got a binding that any token fits"
    ]


def test_groups_alone_are_enough_for_a_binding(tmp_path: Path) -> None:
    load_text(tmp_path, changed('claims: {project_id: "42"}', "groups: [/a, no]"))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('claims: {project_id: "42"}', "claims: {}", "roles.deployer.bindings[0].claims"),
        ('claims: {project_id: "42"}', "groups: []", "roles.deployer.bindings[0].groups"),
        ('project_id: "42"', "project_id: []", "roles.deployer.bindings[0].claims.project_id"),
        ("[https://api.example.com]", "[]", "issuers.gitlab.audiences"),
        ("    audiences:", "    typ: []\n    audiences:", "issuers.gitlab.typ"),
        ("    audiences:", "    algorithms: []\n    audiences:", "issuers.gitlab.algorithms"),
        ("    audiences:", "    groups_claims: []\n    audiences:", "issuers.gitlab.groups_claims"),
        ("paths: [/deployments/**]", "paths: []", "routes.deployments.match.paths"),
        ("{paths: ", "{hosts: [], paths: ", "routes.deployments.match.hosts"),
        ("{paths: ", "{methods: [], paths: ", "routes.deployments.match.methods"),
        ("    upstream:", "    audiences: []\n    upstream:", "routes.deployments.audiences"),
        ("roles: [deployer]", "roles: []", "routes.deployments.allow[0].roles"),
        (
            "roles: [deployer]",
            "roles: [deployer]\n        methods: []",
            "routes.deployments.allow[0].methods",
        ),
        ("roles: [deployer]", "roles: [deployer]\n        paths: []", "routes.deployments.allow[0].paths"),
        (
            "roles: [deployer]",
            "roles: [deployer]\n        issuers: []",
            "routes.deployments.allow[0].issuers",
        ),
        ("roles: [deployer]", "roles: [deployer]\n        claims: {}", "routes.deployments.allow[0].claims"),
    ],
)
def test_lists_of_alternatives_are_not_empty(tmp_path: Path, old: str, new: str, key: str) -> None:
    (found,) = problems_of(tmp_path, changed(old, new))
    assert found.split(": ")[1] == key
    assert ", got an empty " in found


@pytest.mark.parametrize("allow", ["", "    allow: []\n"])
def test_route_that_is_not_public_allows_something(tmp_path: Path, allow: str) -> None:
    text = changed("    allow:\n      - roles: [deployer]\n", allow)
    assert problems_of(tmp_path, text) == [
        "14:5: routes.deployments: expected `allow` with at least one rule (or `public: true`), got none"
    ]


def test_public_route_needs_no_rules(tmp_path: Path) -> None:
    assert load_text(tmp_path, SMALL + ROUTE + "    public: true\n").routes[1].public


@pytest.mark.parametrize("rules", ["allow", "deny"])
def test_public_route_has_no_rules(tmp_path: Path, rules: str) -> None:
    text = SMALL + ROUTE + f"    public: true\n    {rules}:\n      - roles: [deployer]\n"
    assert problems_of(tmp_path, text) == [
        f"23:5: routes.open.{rules}: a public route asks for no identity, so it can have no rules"
    ]


@pytest.mark.parametrize("rule", ["{}", "{methods: [GET]}", "{issuers: [gitlab]}"])
def test_rule_that_allows_names_roles(tmp_path: Path, rule: str) -> None:
    assert problems_of(tmp_path, SMALL + f"      - {rule}\n") == [
        "19:9: routes.deployments.allow[1]: expected `roles`: a rule that allows says whom"
    ]


def test_rule_that_denies_states_something(tmp_path: Path) -> None:
    assert problems_of(tmp_path, SMALL + "    deny:\n      - {}\n") == [
        (
            "20:9: routes.deployments.deny[0]: expected one of `roles`, `issuers`, `methods`, `paths`, "
            "`claims`, got an empty rule"
        )
    ]


@pytest.mark.parametrize(
    "rule", ["{methods: [POST]}", "{paths: [/deployments/frozen/**]}", "{claims: {a: b}}"]
)
def test_rule_that_denies_needs_no_roles(tmp_path: Path, rule: str) -> None:
    assert load_text(tmp_path, SMALL + f"    deny:\n      - {rule}\n").routes[0].deny


@pytest.mark.parametrize(
    "text",
    [
        "audit: []\nissuers: []\nroles: x\nupstreams:\nroutes: {}\n",
        (
            "audit: {file: []}\nissuers: {a: }\nroles: {a: [], b: {bindings: {}}}\nroutes: [a, [], "
            "{name: []}, ]\n"
        ),
        "audit: {stdout: true}\nroutes: [{allow: x, deny: [y, [z]], match: [], public: {}, name: 1}]\n",
        "audit: {stdout: true}\nissuers: {a: {keys: {fresh_for: [], stale_for: 1}, url: []}}\n",
        "audit: {stdout: true}\nidentity_headers: []\nlisten: {address: []}\nadmin: {address: {}}\n",
    ],
)
def test_wrong_shapes_are_problems_and_never_failures(tmp_path: Path, text: str) -> None:
    assert problems_of(tmp_path, text)


def test_pattern_selects_nodes_with_their_paths() -> None:
    root = compose(b"a: [{b: 1, c: 2}, {b: 3}]\nd: {b: 4}", "f.yaml")
    resolve(root, References({}, Path()), Collector())
    assert isinstance(root, Table)
    assert [path for path, _ in select(root, ("a", ANY, "b"))] == [("a", 0, "b"), ("a", 1, "b")]
    assert [path for path, _ in select(root, (ANY, "b"))] == [("d", "b")]
    assert [path for path, _ in select(root, ("a", "0"))] == []
    assert [path for path, _ in select(root, ())] == [()]


@pytest.mark.parametrize("workers", ["2", "auto"])
def test_several_workers_do_not_write_to_one_standard_output(tmp_path: Path, workers: str) -> None:
    (problem,) = problems_of(tmp_path, f"workers: {workers}\n{SMALL}")
    assert problem == (
        "2:17: audit.stdout: several workers would write their records into one another; "
        "write `file`, or `workers: 1`"
    )
    load_text(tmp_path, f"workers: {workers}\n" + changed("{stdout: true}", "{file: a.jsonl}"))
    load_text(tmp_path, f"workers: 1\n{SMALL}")


def test_a_number_of_workers_that_is_none_is_reported_alone(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "workers: 0\n" + changed("{stdout: true}", "{file: a.jsonl}"))
    assert problem.startswith("1:10: workers: expected a number from 1 to 64, or `auto`, got `0`")
