"""nginx as a contestant that checks nothing: the floor, what passing a request on costs in C."""

import os
from collections.abc import Sequence

from tests.bench.peer import Peer
from tests.kit.ports import LOOPBACK
from tests.kit.programs import program

# Bodies stay in memory, as they do in the others: with temporary files nginx would be slower than it need be.
CONFIG = """
{user}daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    proxy_max_temp_file_size 0;
    proxy_buffer_size 16k;
    proxy_buffers 16 64k;
    proxy_busy_buffers_size 512k;
    map $http_upgrade $onward {{ default upgrade; '' ''; }}
    upstream api {{ server {address}:{upstream_port}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen {address}:{port} backlog=4096;
        location /api/ {{
            proxy_http_version 1.1;
            proxy_set_header Connection $onward;
            proxy_set_header Upgrade $http_upgrade;
            proxy_pass http://api;
        }}
    }}
}}
"""


class NginxProxy(Peer):
    """nginx with `proxy_pass` and keep-alive on both sides."""

    name = "nginx"
    checks = False

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        path = self.folder / "nginx.conf"
        path.write_text(
            CONFIG.format(
                user="user root;\n" if os.geteuid() == 0 else "",
                folder=self.folder,
                address=LOOPBACK,
                port=self.port,
                upstream_port=self.upstream_port,
            )
        )
        return [program("nginx"), "-p", str(self.folder), "-c", str(path), "-e", "stderr"]
