"""
The socket between supervisor and worker: orders down, one answer each up.

Orders carry settings, which hold secrets and have types, so they are pickled; only a worker reads
pickles, and only from the socket that its supervisor gave it. The supervisor reads nothing but JSON: it
believes no more of a worker than it has to. The end of the stream is news too: the other side is gone.
"""

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from proxy.settings.schema import Settings

_LENGTH = struct.Struct("!I")

MAX_ORDER_BYTES = 256 * 1024 * 1024
MAX_ANSWER_BYTES = 1024 * 1024


class Order(StrEnum):
    """What a supervisor asks of a worker."""

    SERVE = "serve"
    STAGE = "stage"
    COMMIT = "commit"
    DISCARD = "discard"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One order; `settings` go with `SERVE` and `STAGE`, the time of the load with them."""

    order: Order
    settings: Settings | None = None
    loaded_at: float = 0.0


class Answer(msgspec.Struct):
    """Whether an order was carried out, and why not."""

    ok: bool
    detail: str = ""


class ChannelClosedError(Exception):
    """The other side is gone, or does not speak as agreed."""


class Channel:
    """One end of the socket."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def on(cls, end: socket.socket) -> "Channel":
        """Return the channel on one end of a socket pair, which it owns from now on."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def order(self, message: Message) -> None:
        """Send an order."""
        self._send(pickle.dumps(message))

    def answer(self, answer: Answer) -> None:
        """Send an answer."""
        self._send(msgspec.json.encode(answer))

    async def next_order(self) -> Message:
        """Return the next order, or raise ChannelClosedError."""
        # Only ever called in a worker, on the socket that its supervisor made.
        data = await self._receive(MAX_ORDER_BYTES)
        # On a thread: ten thousand routes take a second, in which a worker has requests to serve.
        message = await asyncio.to_thread(pickle.loads, data)
        if not isinstance(message, Message):
            raise ChannelClosedError("what came is no order")
        return message

    async def next_answer(self) -> Answer:
        """Return the next answer, or raise ChannelClosedError."""
        try:
            return msgspec.json.decode(await self._receive(MAX_ANSWER_BYTES), type=Answer)
        except msgspec.DecodeError as error:
            raise ChannelClosedError("what came is no answer") from error

    def close(self) -> None:
        """Close this end, which tells the other one."""
        self._writer.close()

    def _send(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(data)) + data)

    async def _receive(self, most: int) -> bytes:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > most:
                raise ChannelClosedError(f"a message of {length} bytes is longer than {most}")
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise ChannelClosedError("the other side is gone") from error
