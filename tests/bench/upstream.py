"""
The upstream of every contestant: nginx, with the paths that the load asks for.

`POST /api/post` is answered once the whole body is there: nginx asks itself, behind a socket, and by then
has read it.
"""

from tests.bench.peer import UPSTREAM_CORE
from tests.kit.nginx import API_BODY, Nginx

KIB = 1024
SIZES = {"16k": 16 * KIB, "1m": 1024 * KIB}
POSTED_BYTES = 64 * KIB
POST_PATH = "/api/post"

CONFIG = """
{user}daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
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
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    open_file_cache max=100;
    upstream itself {{ server unix:{folder}/itself.sock; keepalive 64; }}
    server {{
        listen unix:{folder}/itself.sock;
        location / {{ default_type application/json; return 200 '{api}'; }}
    }}
    server {{
        listen {address}:{port} backlog=4096;
        root {folder}/files;
        location = /healthy {{ return 204; }}
        location /api/ {{ default_type application/json; return 200 '{api}'; }}
        location = /api/16k {{ alias {folder}/files/16k; }}
        location = /api/1m {{ alias {folder}/files/1m; }}
        location = /api/post {{
            client_body_buffer_size 256k;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_pass_request_body off;
            proxy_pass http://itself;
        }}
        location /uploads/ {{ dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


class Upstream(Nginx):
    """nginx, away from the core of the proxies."""

    core = UPSTREAM_CORE

    def __init__(self) -> None:
        super().__init__(files=SIZES)

    def _config(self) -> str:
        return CONFIG.format(**self._places(), api=API_BODY)
