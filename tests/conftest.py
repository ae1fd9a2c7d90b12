"""
What holds for all tests: the event loop of production, unless a module asks for both, and components.

A test names the components that it needs, and is skipped by name where one is missing.

With `ROLEGATE_NO_SKIP=1` a skip is a failure, so that a test run of which nobody sees the skips cannot
pass for a complete one.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

from tests.kit.loops import pytest_asyncio_loop_factories
from tests.kit.programs import is_present

__all__ = ["pytest_asyncio_loop_factories"]

NO_SKIP = "ROLEGATE_NO_SKIP"

ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the test if a component it names is missing."""
    for marker in item.iter_markers("component"):
        for name in marker.args:
            if not is_present(name):
                pytest.skip(f"needs {name}, which is not installed; `tests/kit/components` installs it")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure where skips are refused."""
    report = yield
    return _without_skip(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure where skips are refused."""
    report = yield
    return _without_skip(report)


def _without_skip(report: ReportT) -> ReportT:
    # An expected failure is reported as a skip too, but it ran.
    if os.environ.get(NO_SKIP) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped while {NO_SKIP}=1 refuses skips: {reason}"
    return report
