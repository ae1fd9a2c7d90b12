"""Debian's nginx as an upstream: a real server, with everything it writes in a folder of its own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kit.plain_http import status_of
from tests.kit.ports import LOOPBACK, free_port
from tests.kit.processes import Process
from tests.kit.programs import program

# The headers that `/echo` shows, as the upstream got them: `name: value`, empty where there was none.
ECHOED = (
    "host",
    "authorization",
    "cookie",
    "connection",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-rolegate-subject",
    "x-rolegate-issuer",
    "x-rolegate-roles",
    "x-rolegate-request-id",
    "traceparent",
)

CONFIG = """
{user}daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    server {{
        listen {address}:{port} backlog=1024;
        root {folder}/files;
        location = /healthy {{ return 204; }}
        location /echo {{ default_type text/plain; return 200 "{echo}"; }}
        location /status/404 {{ return 404; }}
        location /status/500 {{ return 500; }}
        location /api/ {{ default_type application/json; return 200 '{api}'; }}
        location /uploads/ {{ dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


def _api_body() -> str:
    start, end = '{"deployment":"production","state":"rolled-out","note":"', '"}'
    return f"{start}{'.' * (143 - len(start) - len(end))}{end}"


API_BODY = _api_body()
"""What `/api/` answers: 143 bytes of JSON."""


class Nginx(Process):
    """
    An upstream with keep-alive.

    `/echo` shows request line and headers; `/api/` answers `API_BODY`; `/NAME` serves the file NAME of
    the given size; `PUT /uploads/NAME` keeps the body in a file and answers 201 once it is whole.
    """

    name = "nginx"

    def __init__(self, files: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.files = dict(files or {})
        self.port = free_port()

    @property
    def url(self) -> str:
        """The upstream as a configuration names it."""
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> Sequence[str]:
        """Write the configuration and the files."""
        content = self.folder / "files"
        (content / "uploads").mkdir(parents=True, exist_ok=True)
        for name, size in self.files.items():
            write_file(content / name, size)
        path = self.folder / "nginx.conf"
        path.write_text(self._config())
        return [program("nginx"), "-p", str(self.folder), "-c", str(path), "-e", "stderr"]

    def is_ready(self) -> bool:
        """Say whether nginx answers."""
        return status_of(self.port, "/healthy") == 204

    def uploaded(self, name: str) -> Path:
        """Return where the body of `PUT /uploads/NAME` lies."""
        return self.folder / "files" / "uploads" / name

    def _config(self) -> str:
        headers = "".join(f"{name}: $http_{name.replace('-', '_')}\\n" for name in ECHOED)
        return CONFIG.format(**self._places(), echo=f"$request\\n{headers}", api=API_BODY)

    def _places(self) -> dict[str, object]:
        return {
            # Started as root, its worker would become `nobody` and could not read the folder.
            "user": "user root;\n" if os.geteuid() == 0 else "",
            "folder": self.folder,
            "address": LOOPBACK,
            "port": self.port,
        }


def write_file(path: Path, size: int) -> None:
    """Write `size` bytes in which every place looks different from its neighbourhood."""
    block = bytes(range(251)) * 4096
    with path.open("wb") as file:
        while size > 0:
            size -= file.write(block[:size])
