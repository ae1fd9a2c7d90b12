"""
The event loops a test runs on: uvloop, as in production, and asyncio's own where a module asks for both.

The two differ where it matters here: when a write blocks, when a lost connection is told, what a
closed transport does.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

UVLOOP: Mapping[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
BOTH: Mapping[str, LoopFactory] = {**UVLOOP, "asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Return the loops of a test, both if its module says `ON_BOTH_LOOPS = True`; a conftest imports this."""
    module = getattr(item, "module", None)
    return BOTH if getattr(module, "ON_BOTH_LOOPS", False) else UVLOOP
