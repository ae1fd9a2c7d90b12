"""Plain GET requests to a loopback port: admin ports, and whatever else is not under test."""

import http.client
from collections.abc import Mapping

from tests.kit.ports import LOOPBACK


def get(
    port: int, target: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0
) -> tuple[int, str]:
    """Return status and body of `target`."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", target, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def status_of(port: int, target: str) -> int | None:
    """Return the status of `target`, or None if nobody answers."""
    try:
        return get(port, target, timeout_s=2.0)[0]
    except (OSError, http.client.HTTPException):
        return None
