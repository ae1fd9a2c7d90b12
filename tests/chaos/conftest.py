"""These tests run on the event loop of production, or on two."""

from tests.kit.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
