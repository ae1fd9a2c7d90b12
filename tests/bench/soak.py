"""A minute at full load without a single error: `make bench BENCH=--soak`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from tests.bench.credentials import Credentials
from tests.bench.load import Answers, Load, run_wrk
from tests.bench.report import Table
from tests.bench.rolegate import Rolegate
from tests.bench.scenarios import LUA
from tests.bench.upstream import POST_PATH, POSTED_BYTES, Upstream
from tests.bench.usage import resident_bytes
from tests.bench.workers import Workers
from tests.kit.certificates import Authority
from tests.kit.rolegate import RunningProxy

CONNECTIONS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Endured:
    """How one kind of load went: what wrk saw, and by how much resident memory grew from a warm start."""

    answers: Answers
    grown_bytes: int
    is_refused: bool = False

    @property
    def faults(self) -> int:
        """Answers that were not the ones asked for, and requests without any."""
        answers = self.answers
        wrong = answers.requests - answers.not_success if self.is_refused else answers.not_success
        return wrong + answers.errors


class BehindTls(Rolegate):
    """The same with TLS towards its clients."""

    def prepare(self) -> Sequence[str]:
        """Make a certificate."""
        listen = cast("dict[str, object]", self.configuration["listen"])
        listen["tls"] = {"certificates": [Authority(self.folder).server("localhost").files]}
        return super().prepare()


Proxies = Mapping[str, Callable[[], RunningProxy]]


def loads(credentials: Credentials) -> dict[str, tuple[str, Load]]:
    """Return by name which proxy is asked what."""
    plain, full = "one worker", partial(Load, token=credentials.good, connections=CONNECTIONS)
    small = full()
    post = full(path=POST_PATH, script=LUA / "post.lua", arguments=(str(POSTED_BYTES),))
    return {
        "small GET": (plain, small),
        "GET of 16 KiB": (plain, full(path="/api/16k")),
        "GET of 1 MiB": (plain, full(path="/api/1m")),
        "POST of 64 KiB": (plain, post),
        "refused: signed by somebody else": (plain, full(token=credentials.forged, is_refused=True)),
        "small GET, TLS": ("TLS", full(scheme="https")),
        "small GET, two workers": ("two workers", small),
    }


def endure(
    upstream: Upstream, credentials: Credentials, seconds: float, say: Callable[[str], None]
) -> dict[str, Endured]:
    """Put rolegate under full load for `seconds` of each kind, whatever becomes of the one before."""
    proxies: Proxies = {
        "one worker": lambda: Rolegate(upstream.port, credentials),
        "TLS": lambda: BehindTls(upstream.port, credentials),
        "two workers": lambda: Workers(upstream.port, credentials, 2, "0,1"),
    }
    found: dict[str, Endured] = {}
    for which, make in proxies.items():
        with make() as proxy:
            for name, (asked, load) in loads(credentials).items():
                if asked == which:
                    say(f"{name} for {seconds:g} s")
                    run_wrk(proxy.port, load, 1)
                    before = resident_bytes(proxy.pid)
                    answers = run_wrk(proxy.port, load, seconds)
                    grown = resident_bytes(proxy.pid) - before
                    found[name] = Endured(answers=answers, is_refused=load.is_refused, grown_bytes=grown)
    return found


def table(endured: Mapping[str, Endured], seconds: float) -> Table:
    """Return how each kind of load went."""
    rows = [
        [
            name,
            f"{each.answers.requests:,}",
            f"{each.faults:,}",
            f"{each.answers.p99_ms:.1f}",
            f"{each.grown_bytes / 2**20:.1f}",
        ]
        for name, each in endured.items()
    ]
    header = ("", "requests", "errors", "p99 ms", "memory grew by MiB")
    title = f"{seconds:g} s of full load each, {CONNECTIONS} connections"
    return Table(title=title, header=header, rows=rows)
