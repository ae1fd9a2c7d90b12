from collections.abc import Iterator

import pytest

from tests.kit.issuer import OidcIssuer
from tests.kit.nginx import API_BODY, Nginx
from tests.kit.plain_http import get
from tests.kit.rolegate import RunningProxy

pytestmark = pytest.mark.component("nginx", "oidc-provider")


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer(shape="gitlab") as running:
        yield running


@pytest.fixture(scope="module")
def proxy(issuer: OidcIssuer) -> Iterator[RunningProxy]:
    with Nginx() as upstream:
        configuration = {
            "issuers": {
                "gitlab": {"url": issuer.url, "audiences": [issuer.audience], "profile": "gitlab-ci"},
            },
            "roles": {"deployer": {"bindings": [{"issuer": "gitlab", "claims": {"project_id": "42"}}]}},
            "upstreams": {"nginx": {"url": upstream.url}},
            "routes": [
                {
                    "name": "api",
                    "match": {"paths": ["/api/**"]},
                    "upstream": "nginx",
                    "allow": [{"roles": ["deployer"]}],
                }
            ],
        }
        with RunningProxy(configuration) as running:
            yield running


def test_the_proxy_lets_a_job_through_to_the_upstream_and_keeps_a_record(
    proxy: RunningProxy, issuer: OidcIssuer
) -> None:
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    assert get(proxy.port, "/api/deployments", headers=headers) == (200, API_BODY)
    assert get(proxy.port, "/api/deployments")[0] == 401
    decisions = [record["decision"] for record in proxy.audit_records() if record["kind"] == "decision"]
    assert decisions == ["allow", "deny"]


def test_the_admin_port_can_be_asked(proxy: RunningProxy) -> None:
    assert proxy.admin("/livez")[0] == 200
    assert "# TYPE" in proxy.metrics_text()
    assert proxy.resident_bytes() > 10_000_000


def test_a_terminated_proxy_ends_well(issuer: OidcIssuer) -> None:
    with RunningProxy({"issuers": {}}, ready_path="/livez") as running:
        assert running.terminate() == 0
