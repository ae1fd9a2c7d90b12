"""
`make bench`: what an authenticated request costs, here and in what people would use instead.

It measures and judges nothing by time; the only failures are a contestant that decides wrongly and, in a
soak, an answer that is missing.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.bench import readme, soak
from tests.bench.bodies import pass_bodies
from tests.bench.contestants import start
from tests.bench.credentials import Credentials, make_credentials
from tests.bench.flood import CONTESTANTS as FLOODED
from tests.bench.flood import beside_floods
from tests.bench.idle import idle_memory
from tests.bench.load import CONNECTIONS
from tests.bench.machine import disturbance, machine_line, versions_line
from tests.bench.report import as_markdown, as_text, tables
from tests.bench.results import Results
from tests.bench.scenarios import SCENARIOS, ColdTokens, Round, needed, run
from tests.bench.targets import verdicts
from tests.bench.upstream import Upstream
from tests.bench.websocket import messages
from tests.bench.workers import scaling
from tests.kit.nginx import API_BODY

EXCHANGES = tuple(scenario.name for scenario in SCENARIOS)
OTHERS = ("websocket", "idle", "stream", "workers", "floods")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what a request costs.")
    parser.add_argument(
        "--quick", action="store_true", help="one short round: that it works, not who is quicker"
    )
    parser.add_argument("--only", type=_names, default=(*EXCHANGES, *OTHERS), metavar="NAME,NAME")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of each (default: %(default)s)")
    parser.add_argument("--soak", type=int, nargs="?", const=60, help="seconds of full load instead")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1
    return arguments


def _names(words: str) -> tuple[str, ...]:
    chosen = tuple(words.split(","))
    unknown = [name for name in chosen if name not in (*EXCHANGES, *OTHERS)]
    if unknown:
        known = ", ".join((*EXCHANGES, *OTHERS))
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {known}")
    return chosen


def main() -> int:
    """Measure what is asked for and print it."""
    arguments = parse()
    disturbed = disturbance(os.getloadavg()[0])
    credentials = make_credentials()
    with Upstream() as upstream:
        if arguments.soak is not None:
            return endure(upstream, credentials, arguments.soak, write=arguments.write)
        results = measure_all(upstream, credentials, arguments, say)
    if arguments.output == "json":
        print(as_json(results))
        return 0
    preface = [
        conditions(arguments, credentials),
        machine_line(),
        versions_line(),
        *disturbed,
        *results.remarks,
    ]
    found = verdicts(results)
    all_tables = tables(results, found)
    print("\n\n".join(["\n".join(preface), *map(as_text, all_tables)]))
    if arguments.write:
        # What was promised comes first for who reads, and last for who waits at a terminal.
        in_order = [all_tables[-1], *all_tables[:-1]]
        readme.write("\n\n".join([" ".join(preface), *map(as_markdown, in_order)]), readme.BENCH)
    return 0


def measure_all(
    upstream: Upstream, credentials: Credentials, arguments: argparse.Namespace, say: Callable[[str], None]
) -> Results:
    """Measure what is asked for; first what needs the machine to itself."""
    results = Results()
    if "idle" in arguments.only:
        counts = [1_000] if arguments.quick else [1_000, 10_000]
        results.memory, remarks = idle_memory(upstream, credentials, counts, say)
        results.remarks += remarks
    exchange(upstream, credentials, arguments, results)
    if "websocket" in arguments.only:
        samples, remarks = messages(credentials, arguments.rounds, arguments.seconds, say)
        results.measured["websocket"] = samples
        results.remarks += remarks
    if "stream" in arguments.only:
        say("one large body")
        size = 2**26 if arguments.quick else 2**30
        results.passed = pass_bodies(upstream, credentials, size=size)
    if "floods" in arguments.only:
        with ExitStack() as running:
            contestants, remarks = start(FLOODED, upstream, credentials, running)
            results.remarks += remarks
            results.flooded = beside_floods(
                contestants, credentials, arguments.rounds, arguments.seconds, say
            )
    if "workers" in arguments.only:
        results.scaled = scaling(credentials, arguments.rounds, arguments.seconds, say)
    return results


def exchange(
    upstream: Upstream, credentials: Credentials, arguments: argparse.Namespace, results: Results
) -> None:
    """Measure requests and their answers."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in arguments.only]
    if not scenarios:
        return
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="rolegate-bench-")))
        contestants, remarks = start(needed(scenarios), upstream, credentials, running)
        results.remarks += remarks
        now = Round(
            upstream=upstream,
            credentials=credentials,
            seconds=arguments.seconds,
            cold_tokens=ColdTokens(folder, credentials, 1_000 if arguments.quick else 5_000),
        )
        results.measured, remarks = run(scenarios, contestants, now, arguments.rounds, say)
        results.remarks += remarks


def endure(upstream: Upstream, credentials: Credentials, seconds: int, *, write: bool) -> int:
    """Put rolegate under full load; 1 if there was any fault."""
    endured = soak.endure(upstream, credentials, seconds, say)
    table = soak.table(endured, seconds)
    print(as_text(table))
    if write:
        readme.write(as_markdown(table), readme.SOAK)
    return 1 if any(each.faults for each in endured.values()) else 0


def conditions(arguments: argparse.Namespace, credentials: Credentials) -> str:
    """Return under which conditions it was measured, in a sentence."""
    return (
        f"RS256 token of {len(credentials.good):,} bytes, {len(API_BODY)} bytes of JSON where nothing else is"
        f" said, keep-alive, {CONNECTIONS} connections; median of {arguments.rounds} interleaved rounds of"
        f" {arguments.seconds} s; each proxy with one worker on one core, load and upstream elsewhere."
        " rolegate is what `make wheel` builds; it writes two chained audit records and counts its metrics;"
        " of its peers only those write a log that say so. Their configurations are in `tests/bench/`."
    )


def as_json(results: Results) -> str:
    """Return every sample."""
    measured = {
        scenario: {name: [asdict(sample) for sample in taken] for name, taken in samples.items()}
        for scenario, samples in results.measured.items()
    }
    memory = {name: asdict(each) for name, each in results.memory.items()}
    passed = {direction: asdict(each) for direction, each in results.passed.items()}
    everything = {
        "measured": measured,
        "memory": memory,
        "bodies": passed,
        "workers": {name: [asdict(each) for each in taken] for name, taken in results.scaled.items()},
        "floods": {
            kind: {name: [asdict(each) for each in taken] for name, taken in by_contestant.items()}
            for kind, by_contestant in results.flooded.items()
        },
        "remarks": results.remarks,
    }
    return json.dumps(everything, indent=2)


def say(words: str) -> None:
    """Tell who waits how far it is, apart from the results."""
    print(f"... {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
