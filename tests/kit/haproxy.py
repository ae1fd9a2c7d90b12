"""Debian's HAProxy in front of rolegate: it forwards connections and says for whom by the PROXY protocol."""

from collections.abc import Sequence

from tests.kit.ports import LOOPBACK, answers, free_port
from tests.kit.processes import Process
from tests.kit.programs import program

CONFIG = """
global
    log stderr format raw daemon
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind {address}:{port}
    default_backend out
backend out
    server rolegate {target} {send}
"""


class Haproxy(Process):
    """A proxy in TCP mode; `send` is `send-proxy`, `send-proxy-v2` or what else a server line may say."""

    name = "haproxy"

    def __init__(self, target: str, send: str) -> None:
        super().__init__()
        self.target = target
        self.send = send
        self.port = free_port()

    def prepare(self) -> Sequence[str]:
        """Write the configuration."""
        path = self.folder / "haproxy.cfg"
        path.write_text(CONFIG.format(address=LOOPBACK, port=self.port, target=self.target, send=self.send))
        return [program("haproxy"), "-db", "-f", str(path)]

    def is_ready(self) -> bool:
        """Say whether it accepts connections."""
        return answers(self.port)
