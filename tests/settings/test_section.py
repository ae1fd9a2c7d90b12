from proxy.settings.section import Section, section, setting


class Inner(Section):
    """Keys below others."""

    size: int = setting(7, "A number.")


class Outer(Section):
    """Keys above others."""

    inner: Inner = section(Inner, "More keys.")


def test_what_is_left_out_has_its_default_and_nothing_prints() -> None:
    assert Outer().inner.size == 7
    assert repr(Outer(inner=Inner(size=12345))) == str(Outer()) == "<Outer>"
