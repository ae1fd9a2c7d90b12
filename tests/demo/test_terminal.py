import io

import pytest

from proxy.demo.terminal import palette_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "is_on"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # no-color.org: only a value that is not empty counts
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environ: dict[str, str], is_on: bool
) -> None:
    palette = palette_for(stream, environ)
    assert palette.is_on is is_on
    assert palette.paint("x", "red") == ("\x1b[31mx\x1b[0m" if is_on else "x")
    assert palette.paint("x") == "x"
