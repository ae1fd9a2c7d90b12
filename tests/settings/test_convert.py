from ipaddress import ip_network
from pathlib import Path

from proxy.model.policy import Binding, Contains, OneOf, Policy, Prefix, Role, Rule
from proxy.model.rate_limit import Per, RateLimit
from proxy.model.route import Rewrite, Route
from proxy.model.upstream import (
    Balance,
    Ejection,
    Endpoint,
    Health,
    Retries,
    Timeouts,
    Tls,
    Upstream,
)
from proxy.settings.convert import roles_of, routes_of, upstreams_of
from proxy.settings.load import load
from tests.settings.files import SMALL, load_text, write
from tests.settings.test_load import FULL


def test_roles_keep_everything_that_is_written(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    assert roles_of(settings) == (
        Role(
            name="r",
            description="d",
            bindings=(
                Binding(
                    issuer="idp",
                    claims={
                        "a": OneOf(values=("x", 1, True)),
                        "/b/c": Contains(values=("y",)),
                        "d": Prefix(prefix="p", separator="/"),
                    },
                    groups=frozenset({"g"}),
                    expires_at=1_801_418_400.0,
                ),
            ),
        ),
    )


def test_routes_keep_everything_that_is_written(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    assert routes_of(settings) == (
        Route(
            name="n",
            hosts=("*.a.example",),
            paths=("/x/*", "/y/**"),
            methods=frozenset({"GET"}),
            upstream="u",
            audiences=frozenset({"a"}),
            encoded_slashes=True,
            forward_credential=True,
            max_body_bytes=1_048_576,
            max_in_flight=8,
            rate_limits=(
                RateLimit(name="i", per=Per.IDENTITY, count=5, window_s=1.0, burst=5, roles=frozenset({"r"})),
            ),
            timeouts=Timeouts(response_s=7.0, body_idle_s=8.0),
            rewrite=Rewrite(prefix="/z"),
            upgrade=frozenset({"websocket", "spdy/3.1"}),
            stream_idle_timeout_s=7.0,
            streams_outlive_token=True,
            policy=Policy(
                route="n",
                allow=(
                    Rule(
                        roles=frozenset({"r"}),
                        issuers=frozenset({"idp"}),
                        methods=frozenset({"GET"}),
                        paths=("/x/*",),
                        claims={"a": OneOf(values=(1,))},
                    ),
                ),
                deny=(Rule(paths=("/y/z",)),),
            ),
        ),
    )


def test_upstreams_keep_everything_that_is_written(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL, "rolegate.json"), environ={})
    assert upstreams_of(settings) == (
        Upstream(
            name="u",
            endpoints=(Endpoint(host="::1", port=9, is_tls=True),),
            max_connections=1,
            max_waiting=2,
            balance=Balance.CONSISTENT_HASH,
            connect_timeout_s=1.0,
            wait_timeout_s=5.0,
            timeouts=Timeouts(response_s=2.0, body_idle_s=3.0),
            keep_alive_s=4.0,
            health=Health(
                path="/healthz",
                host="a.example",
                interval_s=1.0,
                timeout_s=2.0,
                healthy_after=3,
                unhealthy_after=4,
                statuses=frozenset({204}),
            ),
            ejection=Ejection(after=1, server_errors=True, time_s=2.0, max_time_s=3.0, max_percent=40),
            retries=Retries(attempts=1, budget_percent=2, reserve=3),
            refresh_s=1.0,
            denied_networks=(ip_network("10.0.0.0/8"),),
            tls=Tls(
                ca_file=tmp_path / "ca.pem",
                server_name="b.example",
                certificate_file=Path("/c.pem"),
                key_file=tmp_path / "k.pem",
                minimum_version="1.3",
            ),
        ),
    )


def test_defaults_state_nothing(tmp_path: Path) -> None:
    settings = load_text(tmp_path, SMALL)
    (route,) = routes_of(settings)
    assert (route.hosts, route.methods, route.audiences) == ((), frozenset(), frozenset())
    assert route.policy == Policy(route="deployments", allow=(Rule(roles=frozenset({"deployer"})),))
    assert roles_of(settings)[0].bindings[0].expires_at is None


def test_public_route_has_a_public_policy(tmp_path: Path) -> None:
    text = SMALL + "  - {name: open, match: {paths: [/open]}, upstream: deployments, public: true}\n"
    assert routes_of(load_text(tmp_path, text))[1].policy == Policy(route="open", public=True)
