"""The benchmark writes between its marks, and nowhere else."""

import pytest

from tests.bench import readme
from tests.bench.readme import BENCH, NOTES, SOAK

BOTH = (
    "# Title\n\n<!-- bench: old words -->\n\nold\n\n<!-- /bench -->\n\n"
    "<!-- soak -->\n<!-- /soak -->\n\n## Next\n"
)


def test_only_what_is_between_the_marks_is_replaced() -> None:
    after = readme.with_measurements(BOTH, r"new \1", BENCH)
    start, end = f"<!-- bench: {NOTES[BENCH]} -->", "<!-- /bench -->"
    soak = "<!-- soak -->\n<!-- /soak -->"
    assert after == f"# Title\n\n{start}\n\nnew \\1\n\n{end}\n\n{soak}\n\n## Next\n"
    assert readme.with_measurements(after, r"new \1", BENCH) == after
    assert "\n\nold\n\n" in readme.with_measurements(BOTH, "new", SOAK)


@pytest.mark.parametrize(
    "text", ["no marks", "<!-- bench --> <!-- /bench --> <!-- bench --> <!-- /bench -->"]
)
def test_document_without_the_marks_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="expected once"):
        readme.with_measurements(text, "new", BENCH)


@pytest.mark.parametrize("part", NOTES)
def test_our_readme_has_the_marks(part: str) -> None:
    readme.with_measurements(readme.README.read_text(encoding="utf-8"), "new", part)
