"""
One harness on bytes that it has not seen: `python -m tests.fuzz.campaign NAME SECONDS [SEED]`.

With atheris, guided by what the bytes reach in our code. Where that cannot be installed, blindly, by
changing what is in the corpus. What breaks a promise is printed. If `ROLEGATE_FUZZ_KEEP` names a folder, it
is kept there as a file, and so is what reached something new.
"""

import os
import random
import sys
import tempfile
import time
from importlib.util import find_spec

from tests.fuzz.corpus import corpus_of, folder_of
from tests.fuzz.harnesses import check_of

MAX_BYTES = 512
TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b";",
        b",",
        b"\x0b",
        b"\xff",
        b"%2e",
        b"%2F",
        b"/",
        b"..",
        b"0",
        b"{",
        b'"',
    ),
    *(
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"Host: a.example\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"chunked",
        b"0\r\n\r\n",
        b"1\r\na\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"\r\n\t",
    ),
)


def main() -> None:
    """Run the harness that the command line names."""
    name, seconds = sys.argv[1], float(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if find_spec("atheris") is None:
        if os.environ.get("ROLEGATE_NO_SKIP") == "1":
            sys.exit("atheris is not installed, and without it nothing guides the fuzzing")
        _run_blindly(name, seconds, seed)
    else:
        _run_guided(name, seconds, seed)


def _run_guided(name: str, seconds: float, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["proxy"], enable_loader_override=False):
        check = check_of(name)
    keep = os.environ.get("ROLEGATE_FUZZ_KEEP")
    options = [
        f"-max_total_time={seconds:.0f}",
        f"-max_len={MAX_BYTES}",
        f"-seed={seed}",
        "-print_final_stats=1",
    ]
    # libFuzzer writes what it finds into the first folder of inputs, and what breaks where it stands.
    options.append(f"-artifact_prefix={keep or tempfile.gettempdir()}/rolegate-fuzz-{name}-")
    with tempfile.TemporaryDirectory() as found:
        atheris.Setup([sys.argv[0], *options, keep or found, str(folder_of(name))], check)
        atheris.Fuzz()


def _run_blindly(name: str, seconds: float, seed: int) -> None:
    check, chance = check_of(name), random.Random(seed)
    corpus, end, count = [data for _, data in corpus_of(name)], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = _changed(chance.choice(corpus), chance)
        count += 1
        try:
            check(data)
        except BaseException:
            print(f"{name} broke on {data!r}", file=sys.stderr)
            raise
    print(f"{name}: {count} inputs")


def _changed(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        at = chance.randrange(len(data) + 1)
        piece = chance.choice(
            (chance.choice(TOKENS), chance.randbytes(1), data[at : at + chance.randrange(40)])
        )
        data = data[:at] + piece + data[at + chance.choice((0, 0, 1, 2, len(piece))) :]
    return data[:MAX_BYTES]


if __name__ == "__main__":
    main()
