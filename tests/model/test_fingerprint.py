import string
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.model.fingerprint import DIGITS, fingerprint
from proxy.model.policy import Binding, Contains, OneOf, Policy, Prefix, Role, Rule
from proxy.model.route import Route

POLICY = Policy(route="a", allow=(Rule(roles=frozenset({"x", "y"}), claims={"c": OneOf(values=("1",))}),))
ROUTE = Route(name="a", paths=("/a/**",), policy=POLICY, upstream="u")


def test_it_is_short_hex() -> None:
    assert len(fingerprint()) == len(fingerprint(ROUTE)) == DIGITS
    assert set(fingerprint(ROUTE)) <= set(string.hexdigits.lower())


def test_it_is_the_same_in_every_process() -> None:
    """The order in which a set is walked differs from process to process."""
    program = "from tests.model.test_fingerprint import *; print(fingerprint(ROUTE))"
    names = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert names == {fingerprint(ROUTE)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"b", "a"}, frozenset({"a", "b"})),
        ([1, 2], (1, 2)),
        (
            Rule(roles=frozenset({"y", "x"}), claims={"a": OneOf(values=(1,)), "b": Contains(values=(2,))}),
            Rule(roles=frozenset({"x", "y"}), claims={"b": Contains(values=(2,)), "a": OneOf(values=(1,))}),
        ),
    ],
)
def test_order_that_means_nothing_changes_nothing(one: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(other)


DIFFERENT: list[object] = [
    1,
    "1",
    True,
    1.0,
    None,
    "None",
    "",
    "\ud800",
    (),
    ((),),
    {},
    {"a": 1},
    {"a": "1"},
    {1: "a"},
    frozenset({"a,b"}),
    frozenset({"a", "b"}),
    ("a", "b"),
    ("b", "a"),
    ("a,b",),
    ("a', 'b",),
    OneOf(values=("1",)),
    OneOf(values=(1,)),
    OneOf(values=(True,)),
    Contains(values=("1",)),
    Prefix(prefix="1", separator="/"),
    Prefix(prefix="1", separator=""),
    Binding(issuer="a"),
    Binding(issuer="a", expires_at=1.0),
    Role(name="a", bindings=()),
    Role(name="a", bindings=(), description="b"),
    POLICY,
    Policy(route="a", deny=POLICY.allow),
    Policy(route="a", public=True),
    ROUTE,
]


def test_different_values_have_different_names() -> None:
    names = [fingerprint(value) for value in DIFFERENT]
    assert len(set(names)) == len(names)


def test_arguments_do_not_run_together() -> None:
    assert fingerprint("a", "b") != fingerprint("ab")
    assert fingerprint(("a", "b")) != fingerprint("a", "b")
