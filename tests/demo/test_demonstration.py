"""The three parts in one process; what people see of them is in tests/cli/test_demo.py."""

import asyncio
import socket

import pytest

from proxy.demo.demonstration import running
from proxy.errors import ConfigurationError
from tests.kit.ports import LOOPBACK, answers


async def test_all_parts_answer_inside_and_none_afterwards() -> None:
    async with running(0, 0) as places:
        ports = (places.port, places.admin_port, places.issuer_port, places.upstream_port)
        assert len(set(ports)) == 4
        for port in ports:
            assert await asyncio.to_thread(answers, port)
        assert await asyncio.to_thread(places.config.exists)
    for port in ports:
        assert not await asyncio.to_thread(answers, port)
    assert not await asyncio.to_thread(places.config.parent.exists)


async def test_parts_end_when_what_runs_inside_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        async with running(0, 0) as places:
            raise ZeroDivisionError
    assert not await asyncio.to_thread(answers, places.port)
    assert not await asyncio.to_thread(places.config.parent.exists)


async def test_port_that_is_taken_ends_the_rest() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=f"cannot listen on {LOOPBACK}:{port}: address already in use"
        ):
            async with running(port, 0):
                pass
