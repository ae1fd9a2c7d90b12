"""
`make bench`: what an authenticated request costs.

It measures and judges nothing by time; the only failure is a contestant that decides wrongly.
"""

import argparse
import json
import sys
from dataclasses import asdict

from tests.bench.bodies import pass_bodies
from tests.bench.comparison import Samples, compare
from tests.bench.credentials import make_credentials
from tests.bench.load import CONNECTIONS
from tests.bench.peer import LOAD_CORE
from tests.bench.report import bodies_table, comparison_table
from tests.bench.scale import compare_sizes
from tests.kit.nginx import API_BODY, Nginx


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what a request costs.")
    parser.add_argument(
        "--quick", action="store_true", help="one short round: that it works, not who is quicker"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of each (default: %(default)s)")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 2
    return arguments


def plain(samples: Samples) -> dict[str, list[dict[str, object]]]:
    """Return every sample as JSON takes it."""
    return {name: [asdict(sample) for sample in taken] for name, taken in samples.items()}


def main() -> int:
    """Measure everything and print it."""
    arguments = parse()
    credentials = make_credentials()
    size = 2**26 if arguments.quick else 2**30
    upstream = Nginx()
    upstream.core = LOAD_CORE
    how_long = {"rounds": arguments.rounds, "seconds": arguments.seconds}
    with upstream:
        peers = compare(upstream, credentials, **how_long)
        sizes = compare_sizes(upstream, credentials, **how_long)
        bodies = pass_bodies(upstream, credentials, size=size)
    if arguments.output == "json":
        passed = {direction: asdict(each) for direction, each in bodies.items()}
        tables = {"peers": plain(peers), "sizes": plain(sizes), "bodies": passed}
        print(json.dumps(tables, indent=2))
        return 0
    print(
        f"RS256 token of {len(credentials.good)} bytes, {len(API_BODY)} bytes of JSON, keep-alive,"
        f" {CONNECTIONS} connections; median of {arguments.rounds} x {arguments.seconds} s;"
        f" each proxy on one core, load and upstream on the other\n"
    )
    print(comparison_table(peers, ["envoy", "haproxy"]), end="\n\n")
    print(comparison_table(sizes, [next(iter(sizes))]), end="\n\n")
    print(bodies_table(bodies, size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
