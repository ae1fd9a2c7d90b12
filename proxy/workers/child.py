"""
One worker from inside: a whole proxy that obeys its supervisor.

Law: the end of the channel means that the supervisor is gone, and then the worker stops in order, as on
SIGTERM. It never lives on alone, on a port that nobody answers for.
"""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from proxy.assemble import Proxy, Staged
from proxy.diagnostics import start_logging
from proxy.errors import ConfigurationError
from proxy.seat import Seat
from proxy.serving import settle_memory
from proxy.settings.schema import Settings
from proxy.tasks import TaskOwner
from proxy.workers.channel import Answer, Channel, ChannelClosedError, Message, Order
from proxy.workers.vigil import FAREWELL_S, Vigil

log = logging.getLogger("rolegate.worker")


class Duty:
    """Carries out the orders of the supervisor, one after the other."""

    __slots__ = ("_seat", "_staged", "proxy")

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._staged: Staged | None = None
        self.proxy: Proxy | None = None

    async def carry_out(self, message: Message) -> Answer:
        """Do what `message` says, and say whether that worked."""
        try:
            if message.order is Order.SERVE:
                await self._serve(_settings(message))
            elif message.order is Order.STAGE:
                self._staged = await asyncio.to_thread(self._running().stage, _settings(message))
            elif message.order is Order.COMMIT:
                self._commit()
            elif message.order is Order.DISCARD:
                self._staged = None
        except ConfigurationError as error:
            return Answer(ok=False, detail=str(error))
        except Exception:
            # The boundary to the supervisor, which has to hear that it did not work.
            log.exception("an order to %s could not be carried out", message.order)
            return Answer(ok=False, detail="unexpected failure, see the log")
        if message.order in (Order.SERVE, Order.COMMIT):
            self._running().policy.loaded_at = message.loaded_at
        return Answer(ok=True)

    @property
    def patience_s(self) -> float:
        """How long the end may take."""
        return FAREWELL_S + (0.0 if self.proxy is None else self.proxy.settings.listen.timeouts.shutdown)

    async def end(self) -> None:
        """Finish what is in flight, then end everything."""
        if self.proxy is not None:
            cut = await self.proxy.stop()
            log.info("stopped; %d connections had to be reset", cut)
        self._seat.admin_path.unlink(missing_ok=True)

    async def _serve(self, settings: Settings) -> None:
        proxy = Proxy(settings, self._seat)
        await proxy.start()
        self.proxy = proxy
        settle_memory()

    def _commit(self) -> None:
        staged, self._staged = self._staged, None
        if staged is None:
            raise ConfigurationError("nothing was staged")
        self._running().commit(staged)

    def _running(self) -> Proxy:
        if self.proxy is None:
            raise ConfigurationError("the worker does not serve yet")
        return self.proxy


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until the supervisor says stop, or is gone, or SIGTERM comes; return the exit code."""
    parsed = _parser().parse_args(arguments)
    # Those are for the supervisor. A terminal would send them to every process that it started.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    start_logging(parsed.log, worker=parsed.number)
    seat = Seat(number=parsed.number, admin_path=parsed.admin, descriptors=dict(parsed.descriptor))
    duty, end = Duty(seat), socket.socket(fileno=parsed.channel)
    Vigil(end, lambda: duty.patience_s).begin()
    uvloop.run(_work(duty, end, seat.admin_path.parent))
    return 0


async def _work(duty: Duty, end: socket.socket, folder: Path) -> None:
    terminated, orders = asyncio.Event(), asyncio.Queue[Message]()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    channel, tasks = await Channel.on(end), TaskOwner()
    # Apart, so that an order which takes long keeps nobody from seeing that the supervisor is gone.
    reading = tasks.spawn(_read(channel, orders), name="read orders")
    obeying = tasks.spawn(_obey(duty, channel, orders), name="carry out orders")
    until_terminated = tasks.spawn(terminated.wait(), name="wait for SIGTERM")
    await asyncio.wait([reading, obeying, until_terminated], return_when=asyncio.FIRST_COMPLETED)
    is_orphan = reading.done()
    if is_orphan:
        log.error("the supervisor is gone; stopping")
    await tasks.close()
    _shut(end)  # first: nobody is to wait for an answer while what is in flight ends
    channel.close()
    await duty.end()
    if is_orphan:
        _remove_if_empty(folder)


def _shut(end: socket.socket) -> None:
    # To close it would tell the supervisor nothing, as long as the vigil holds a copy.
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the supervisor is gone


async def _read(channel: Channel, orders: "asyncio.Queue[Message]") -> None:
    try:
        while True:
            orders.put_nowait(await channel.next_order())
    except ChannelClosedError:
        return


async def _obey(duty: Duty, channel: Channel, orders: "asyncio.Queue[Message]") -> None:
    while True:
        message = await orders.get()
        channel.answer(await duty.carry_out(message))
        if message.order is Order.STOP:
            return


def _remove_if_empty(folder: Path) -> None:
    # The supervisor's folder, which it cannot remove any more: the last worker does.
    try:
        folder.rmdir()
    except OSError:
        pass


def _settings(message: Message) -> Settings:
    if message.settings is None:
        raise ConfigurationError(f"an order to {message.order} came without settings")
    return message.settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rolegate worker", description="Started by `rolegate serve`.")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--admin", type=Path, required=True)
    parser.add_argument("--log", choices=("text", "json"), required=True)
    parser.add_argument("--descriptor", type=_descriptor, action="append", default=[])
    return parser


def _descriptor(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    return name, int(number)


if __name__ == "__main__":
    sys.exit(main())
