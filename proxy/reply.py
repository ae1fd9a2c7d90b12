"""
The response on its way to the client, ours or the upstream's, in our framing.

Law: once the final response has begun to go out, it either ends as it should or the connection is
reset; a response that was cut short never looks complete.
"""

from proxy.interfaces import Client
from proxy.model.decision import Reason
from proxy.wire.framing import LAST_CHUNK, Framing, chunk
from proxy.wire.refusal import refusal
from proxy.wire.response import closing_line, framing_line, status_line
from proxy.wire.trailers import with_trailer


class Reply:
    """
    Writes one response to one client.

    `keep_alive` says whether the connection may carry another request; `has_begun` whether any of
    the final response is on its way, `has_spoken` whether an interim one was sent, and
    `ends_with_connection` whether nothing but the end of the connection tells where the response ends.
    """

    __slots__ = (
        "_client",
        "_end",
        "_pieces",
        "_version",
        "ends_with_connection",
        "has_begun",
        "has_spoken",
        "keep_alive",
    )

    def __init__(self, client: Client) -> None:
        self._client = client
        self._version = "1.1"
        self._pieces: list[bytes] = []
        self._end = b""
        self.keep_alive = False
        self.ends_with_connection = False
        self.has_begun = False
        self.has_spoken = False

    def expect(self, version: str, *, keep_alive: bool) -> None:
        """Note what the request asked for."""
        self._version = version
        self.keep_alive = keep_alive

    def interim(self, status: int, phrase: bytes, lines: list[bytes]) -> None:
        """Pass on a 1xx response, which HTTP/1.0 does not know."""
        if self._version != "1.0":
            self.has_spoken = True
            # At once: the final response has not begun, and may still become ours.
            self._client.write(b"".join((status_line(status, phrase), *lines, b"\r\n")))

    def head(
        self,
        status: int,
        phrase: bytes,
        lines: list[bytes],
        framing: Framing,
        content_length: int | None,
        request_id: str,
    ) -> None:
        """Pass on the head of the final response."""
        version = self._version
        if framing is Framing.CHUNKED or framing is Framing.UNTIL_CLOSE:
            self.ends_with_connection = version == "1.0"
            self._end = b"" if self.ends_with_connection else LAST_CHUNK
            if self.ends_with_connection:
                self.keep_alive = False
                self._client.reset_unless_finished()
        pieces = self._pieces
        pieces.append(status_line(status, phrase))
        pieces += lines
        pieces += (
            framing_line(framing, status, content_length, version),
            closing_line(version, keep_alive=self.keep_alive),
            b"X-Request-Id: ",
            request_id.encode(),
            b"\r\n\r\n",
        )

    def body(self, data: bytes) -> None:
        """Pass on a piece of the body."""
        self._pieces.append(chunk(data) if self._end else data)

    def trailer(self, name: bytes, value: bytes) -> None:
        """Keep a field for behind the body, where the client's framing has a place for it."""
        if self._end:
            self._end = with_trailer(self._end, name, value)

    def switch(self, phrase: bytes, lines: list[bytes], protocol: bytes, request_id: str) -> None:
        """Send the 101 behind which the connection speaks `protocol`."""
        self.has_begun = True
        upgrade = b"Connection: upgrade\r\nUpgrade: %b\r\nX-Request-Id: %b\r\n\r\n"
        self._client.write(
            b"".join((status_line(101, phrase), *lines, upgrade % (protocol, request_id.encode())))
        )

    def flush(self) -> None:
        """Send on what came together."""
        pieces = self._pieces
        if pieces:
            self.has_begun = True
            self._pieces = []
            self._client.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def end(self) -> None:
        """Send the rest and the end of the body."""
        if self._end:
            self._pieces.append(self._end)
        self.flush()

    def refuse(
        self,
        reason: Reason,
        request_id: str,
        detail: str,
        *,
        keep_alive: bool,
        method_is_head: bool,
        has_credential: bool,
        lines: bytes = b"",
    ) -> int:
        """Send our own response instead, and return its status; what was not sent yet is dropped."""
        self._pieces.clear()
        answer = refusal(
            reason,
            request_id,
            detail,
            keep_alive=self.keep_alive and keep_alive,
            method_is_head=method_is_head,
            has_credential=has_credential,
            lines=lines,
        )
        # Some reasons end the connection: what comes behind such a request need not be another one.
        self.keep_alive = answer.keep_alive
        self._client.write(answer.data)
        return answer.status
