"""These tests run on the event loop of production, or on two; what their parts assert is explained too."""

import pytest

from tests.kit.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]

pytest.register_assert_rewrite("tests.chaos.ledger", "tests.chaos.besieged", "tests.record.audit_trail")
