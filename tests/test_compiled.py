from proxy.compiled import mypyc_attr


def test_python_sees_the_class_as_it_was_written() -> None:
    class Written:
        """Something."""

    assert mypyc_attr(allow_interpreted_subclasses=True)(Written) is Written
