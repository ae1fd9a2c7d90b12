"""The benchmark writes between its marks, and nowhere else."""

import pytest

from tests.bench import readme


def test_only_what_is_between_the_marks_is_replaced() -> None:
    before = "# Title\n\n<!-- bench: old words -->\n\nold\n\n<!-- /bench -->\n\n## Next\n"
    after = readme.with_measurements(before, r"new \1")
    assert after == f"# Title\n\n{readme.START}\n\nnew \\1\n\n{readme.END}\n\n## Next\n"
    assert readme.with_measurements(after, r"new \1") == after


@pytest.mark.parametrize(
    "text", ["no marks", "<!-- bench --> <!-- /bench --> <!-- bench --> <!-- /bench -->"]
)
def test_document_without_the_marks_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="expected once"):
        readme.with_measurements(text, "new")


def test_our_readme_has_the_marks() -> None:
    readme.with_measurements(readme.README.read_text(encoding="utf-8"), "new")
