"""What waiting costs: the memory of an idle process, and of each connection that is kept open and idle."""

import resource
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench import contestants as who
from tests.bench.bodies import head, read_head
from tests.bench.contestants import FACTORIES, NOT_STARTED, Runner
from tests.bench.credentials import Credentials
from tests.bench.load import PATH, BenchmarkError, Load, run_wrk
from tests.bench.upstream import Upstream
from tests.bench.usage import resident_bytes
from tests.kit.nginx import API_BODY
from tests.kit.ports import LOOPBACK

CONTESTANTS = (who.OURS, who.FETCHING, who.HAPROXY, who.ENVOY, who.APACHE, who.NGINX)
SETTLE_S = 1.0
WANTED_FILES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`idle_bytes` of a process that has just started, and by number of connections bytes for each."""

    idle_bytes: int
    per_connection: dict[int, float]


def idle_memory(
    upstream: Upstream, credentials: Credentials, counts: Sequence[int], say: Callable[[str], None]
) -> tuple[dict[str, Memory], list[str]]:
    """Return the memory of every contestant, each started anew, and a sentence for what could not be had."""
    found: dict[str, Memory] = {}
    remarks: list[str] = []
    possible = allow_files(max(counts))
    if possible < max(counts):
        remarks.append(f"No more than {possible:,} files may be open here, so idle connections are fewer.")
    counts = [min(count, possible) for count in counts]
    for name in CONTESTANTS:
        say(f"idle connections of {name}")
        try:
            with FACTORIES[name](upstream.port, credentials) as contestant:
                found[name] = weigh(contestant, credentials.good, sorted(set(counts)))
        except (*NOT_STARTED, BenchmarkError, OSError) as error:
            remarks.append(f"{name} has no memory figures: {str(error).splitlines()[0]}.")
    return found, remarks


def weigh(contestant: Runner, token: str, counts: Sequence[int]) -> Memory:
    """Return the memory of one contestant, each connection having had one answer."""
    idle_bytes = resident_bytes(contestant.pid)
    # What it takes once, for its first thousand requests, is not what a connection takes.
    run_wrk(contestant.port, Load(token=token), 1)
    time.sleep(SETTLE_S)
    before = resident_bytes(contestant.pid)
    per_connection: dict[int, float] = {}
    with ExitStack() as connections:
        opened = 0
        for count in counts:
            try:
                while opened < count:
                    connections.enter_context(used(contestant.port, token))
                    opened += 1
            except (BenchmarkError, OSError):
                break  # it takes no more, which the empty cell says
            time.sleep(SETTLE_S)
            per_connection[count] = (resident_bytes(contestant.pid) - before) / count
    return Memory(idle_bytes=idle_bytes, per_connection=per_connection)


def used(port: int, token: str) -> socket.socket:
    """Return a connection on which one request was answered."""
    connection = socket.create_connection((LOOPBACK, port), timeout=10)
    try:
        connection.sendall(head("GET", PATH, token))
        rest = read_head(connection)
        while rest < len(API_BODY):
            rest += len(connection.recv(65536)) or len(API_BODY)
    except BaseException:
        connection.close()
        raise
    return connection


def allow_files(connections: int) -> int:
    """Let us and who we start open as many files as the system grants; return for how many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, WANTED_FILES), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        except (ValueError, OSError):
            continue
        break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(connections, soft - 500)
