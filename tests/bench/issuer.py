"""An identity provider as far as a proxy asks it for keys: nginx behind TLS, with an authority of its own."""

from collections.abc import Sequence
from pathlib import Path

from tests.kit.certificates import Authority
from tests.kit.nginx import Nginx
from tests.kit.ports import free_port

CONFIG = """
{user}daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 64; }}
http {{
    access_log off;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address}:{port};
        location = /healthy {{ return 204; }}
    }}
    server {{
        listen {address}:{tls_port} ssl;
        root {folder}/files;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
    }}
}}
"""


class KeyServer(Nginx):
    """Publishes a key set at `jwks_url`, with a certificate of the authority in `ca_file`."""

    name = "key-server"

    def __init__(self, jwks: str) -> None:
        super().__init__()
        self._jwks = jwks
        self._tls_port = free_port()
        self.ca_file = Path()

    @property
    def jwks_url(self) -> str:
        """Where the keys are."""
        return f"https://localhost:{self._tls_port}/keys.json"

    def prepare(self) -> Sequence[str]:
        """Make the authority, and write the keys."""
        authority = Authority(self.folder)
        self.ca_file = authority.ca_file
        self._files = authority.server("localhost")
        command = super().prepare()
        (self.folder / "files" / "keys.json").write_text(self._jwks)
        return command

    def _config(self) -> str:
        issued = self._files
        return CONFIG.format(
            **self._places(),
            tls_port=self._tls_port,
            certificate=issued.certificate_file,
            key=issued.key_file,
        )
