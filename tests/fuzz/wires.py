"""Transports made of lists: a connection of ours fed with bytes, and what it wrote, without a socket."""

import asyncio
from collections.abc import Iterable


class Wire(asyncio.Transport):
    """Keeps what is written; `is_paused` says that the connection does not want to read."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 1)})
        self.written = bytearray()
        self.is_paused = False
        self.has_ended = False
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_ended
        self.written += data

    def write_eof(self) -> None:
        self.has_ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def feed(self, protocol: asyncio.Protocol, pieces: Iterable[bytes]) -> None:
        """Hand `pieces` to the connection as an event loop would, and the end of it if it closes."""
        for piece in pieces:
            if piece and not self._is_closing:
                protocol.data_received(piece)
