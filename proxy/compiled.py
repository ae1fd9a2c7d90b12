"""
What the compiler has to be told, and Python need not know.

A call by way of a protocol looks the method up by its name and boxes what it hands over, even where both
sides are compiled. By way of a base class it finds it in a table: `small` of `tests/bench/inner.py` shows it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The compiler knows it by this name, and asks for nothing of it at run time.
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_: bool) -> Callable[[type], type]:
        """Return what leaves a class as it is."""
        return lambda interface: interface
