"""Every harness keeps its promises on the whole corpus, and on what a fuzzer finds in a bounded time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.budget import FUZZ_S, SEED
from tests.fuzz.corpus import CORPUS, corpus_of
from tests.fuzz.harnesses import HARNESSES, check_of

ROOT = Path(__file__).parents[2]
MAX_FILES = 200
MAX_FILE_BYTES = 4096


@pytest.mark.parametrize("name", HARNESSES)
def test_a_harness_holds_on_its_corpus(name: str) -> None:
    corpus, check = corpus_of(name), check_of(name)
    assert corpus
    for file, data in corpus:
        try:
            check(data)
        except Exception as error:
            pytest.fail(f"{name}/{file}: {error!r}")
    check(b"")


def test_the_corpus_is_small_and_of_harnesses_only() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert {path.parent.name for path in files} == set(HARNESSES)
    assert len(files) <= MAX_FILES
    assert max(path.stat().st_size for path in files) <= MAX_FILE_BYTES


def test_a_fuzzer_breaks_no_promise_in_a_bounded_time() -> None:
    campaigns = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.campaign", name, str(FUZZ_S), str(SEED)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name in HARNESSES
    }
    broken = []
    for name, campaign in campaigns.items():
        try:
            output, _ = campaign.communicate(timeout=FUZZ_S + 120)
        finally:
            campaign.kill()
        if campaign.returncode != 0:
            broken.append(f"{name}:\n{output.decode(errors='replace')[-3000:]}")
    assert broken == [], "\n".join(broken)
