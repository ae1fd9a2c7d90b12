"""What is said of the machine."""

from tests.bench.machine import built, disturbance, interpreter, machine_line, version


def test_other_work_is_mentioned() -> None:
    assert disturbance(0.2) == []
    assert "load 4.5" in disturbance(4.5)[0]


def test_build_of_the_interpreter_is_named() -> None:
    assert "built" in interpreter()
    assert built("/usr/local", "'--enable-optimizations'") == "built with profile-guided optimisation"
    assert built("/usr/local", "") == "built without profile-guided optimisation"
    assert built("/usr", "") == "as the distribution builds it"
    assert "cores" in machine_line()


def test_program_that_is_not_there_has_no_version() -> None:
    assert version("no-such-program", "-v") == ""
