"""
New connections to one endpoint: to an address that may be connected to, over TLS where it is meant.

Law: every address is judged against the denied networks right before it is connected to, written in
the configuration or resolved. A name is never handed to the system to be resolved once more.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from proxy.errors import UpstreamError
from proxy.forward.names import Name
from proxy.forward.networks import is_denied, is_literal
from proxy.forward.tls import ClientTls
from proxy.model.decision import Reason
from proxy.model.upstream import Endpoint, Networks, Upstream
from proxy.tasks import TaskOwner

log = logging.getLogger("rolegate.forward")

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Dialer:
    """
    Connects to one endpoint; `name` is None where nothing has to be resolved.

    With `tls` it shares the TLS settings of its upstream: a context with the authorities of the system takes
    50 ms and a megabyte.
    """

    __slots__ = ("_clock", "_denied", "_endpoint", "_tls", "name")

    def __init__(
        self,
        upstream: Upstream,
        endpoint: Endpoint,
        tasks: TaskOwner,
        clock: Callable[[], float],
        tls: ClientTls | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._denied: Networks = upstream.denied_networks
        self._tls = (tls or ClientTls(upstream.tls)) if endpoint.is_tls else None
        self.name: Name | None = None
        if endpoint.host and not is_literal(endpoint.host):
            self.name = Name(endpoint.host, upstream.refresh_s, upstream.connect_timeout_s, tasks)

    async def connect(self, make: Callable[[], ProtocolT], timeout_s: float) -> ProtocolT:
        """
        Return a connected protocol made by `make`; raise OSError or UpstreamError if there is none.

        The addresses of a name are tried in turn, each with its share of the time.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            if self._endpoint.path:
                return (await loop.create_unix_connection(make, self._endpoint.path))[1]
            end = loop.time() + timeout_s
            addresses = await self._addresses()
            for position, address in enumerate(addresses):
                left = len(addresses) - position
                if left == 1:
                    return await self._connect_to(address, make)
                try:
                    async with asyncio.timeout((end - loop.time()) / left):
                        return await self._connect_to(address, make)
                except (OSError, UpstreamError) as error:
                    log.info(
                        "`%s` at %s: %s", self._endpoint.address, address, str(error) or "no answer in time"
                    )
        raise UpstreamError(Reason.UPSTREAM_UNREACHABLE, f"`{self._endpoint.host}` has no address")

    async def _addresses(self) -> tuple[str, ...]:
        return (self._endpoint.host,) if self.name is None else await self.name.find(self._clock())

    async def _connect_to(self, address: str, make: Callable[[], ProtocolT]) -> ProtocolT:
        if is_denied(address, self._denied):
            raise UpstreamError(
                Reason.UPSTREAM_UNREACHABLE, f"`{self._endpoint.address}` is at {address}, which is denied"
            )
        loop, endpoint, tls = asyncio.get_running_loop(), self._endpoint, self._tls
        if tls is None:
            return (await loop.create_connection(make, address, endpoint.port))[1]
        name = tls.server_name(endpoint.host)
        connected = await loop.create_connection(
            make, address, endpoint.port, ssl=tls.context(), server_hostname=name
        )
        return connected[1]

    def __repr__(self) -> str:
        return f"<Dialer {self._endpoint.address}>"
