"""HAProxy as a contestant."""

from collections.abc import Sequence

from tests.bench.credentials import AUDIENCE, ISSUER, PROJECT
from tests.bench.peer import Peer
from tests.kit.ports import LOOPBACK
from tests.kit.programs import program

CONFIG = """
global
    nbthread 1
    maxconn 12000
    no strict-limits
    {log}
defaults
    mode http
    {log_format}
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s
    timeout tunnel 600s
frontend data
    bind {address}:{port}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
    http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.project) http_auth_bearer,jwt_payload_query('$.project_id')
    http-request set-var(txn.protected) http_auth_bearer,jwt_payload_query('$.ref_protected')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") 1 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if {{ date,sub(txn.exp) -m int gt 0 }}
    http-request deny deny_status 403 unless {{ var(txn.project) -m str {project} }}
    http-request deny deny_status 403 unless {{ var(txn.protected) -m str true }}
    default_backend upstream
backend upstream
    http-reuse always
    server nginx {address}:{upstream_port}
"""


class HaProxy(Peer):
    """HAProxy with `jwt_verify`, which verifies the signature on every request."""

    name = "haproxy"
    has_log = False

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        key = self.folder / "key.pem"
        key.write_text(self.credentials.public_key_pem)
        path = self.folder / "haproxy.cfg"
        path.write_text(
            CONFIG.format(
                address=LOOPBACK,
                port=self.port,
                upstream_port=self.upstream_port,
                key=key,
                issuer=ISSUER,
                audience=AUDIENCE,
                project=PROJECT,
                log="log stdout format raw local0" if self.has_log else "",
                log_format="log global\n    option httplog" if self.has_log else "",
            )
        )
        return [program("haproxy"), "-db", "-f", str(path)]


class LoggingHaProxy(HaProxy):
    """The same with a line per request, on its standard output, which is a file."""

    has_log = True
