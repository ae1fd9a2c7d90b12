"""An upstream that echoes whose request it got, if it feels like it."""

import asyncio
import random
from collections import Counter

from tests.chaos.payload import (
    REQUEST_ID,
    is_part,
    name_in,
    subject_in,
    unchunked,
    unit_down,
    unit_up,
    units_in,
)
from tests.kit.recorder import RecordedConnection, RecordingUpstream

OK = b"HTTP/1.1 200 OK\r\n"
HEALTH_PATH = "/health"

# Bytes that nobody asked for cannot be told from an answer once a request is on its way to them; that
# they are not kept for the next one has tests of its own.
UNASKED = b"HTTP/1.1 299 Unasked\r\nContent-Length: 7\r\n\r\nunasked"

# What the example of RFC 6455 section 1.3 says.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class ChaoticUpstream(RecordingUpstream):
    """One endpoint; `mixed` holds requests that are not of one piece, `mood` is how often it misbehaves."""

    def __init__(self, dice: random.Random, *, mood: float = 0.08) -> None:
        super().__init__(self.follow)
        self.dice = dice
        self.mood = mood
        self.mixed: list[bytes] = []
        self.is_healthy = True

    @property
    def seen(self) -> Counter[str]:
        """How often the id of each request came, be it with a part of the request only."""
        return Counter(
            found.decode() for one in self.connections for found in REQUEST_ID.findall(bytes(one.received))
        )

    async def follow(self, connection: RecordedConnection) -> None:
        """Serve one connection."""
        try:
            await self.converse(connection)
        except RuntimeError as error:
            raise ConnectionResetError from error  # what uvloop says of a write after the end
        except (AssertionError, ValueError, LookupError) as error:
            self.mixed.append(bytes(connection.received[-500:]))
            raise ConnectionResetError from error

    async def converse(self, connection: RecordedConnection) -> None:
        """Answer one request after the other."""
        while self.dice.random() >= self.mood:
            sent = await connection.request()
            if sent is None or not await self.serve(connection, sent):
                return
        await self.misbehave_before(connection)

    async def serve(self, connection: RecordedConnection, sent: bytes) -> bool:
        """Answer one request, and say whether the connection goes on."""
        if sent.startswith(b"GET %b " % HEALTH_PATH.encode()):
            await connection.write(OK if self.is_healthy else b"HTTP/1.1 500 No\r\n")
            await connection.write(b"Content-Length: 0\r\n\r\n")
            return True
        head, _, body = sent.partition(b"\r\n\r\n")
        head += b"\r\n"
        name, subject = name_in(sent), subject_in(head)
        whole = unchunked(body) if b"chunked" in head else body
        if whole != unit_up(name) * units_in(head):
            self.mixed.append(sent)
        if b"\r\nUpgrade: " in head:
            await self.switch(connection, name)
            return False
        return await self.answer(connection, unit_down(name, subject), sent.startswith(b"HEAD "))

    async def misbehave_before(self, connection: RecordedConnection) -> None:
        """Do something that has to do with no request."""
        choice = self.dice.randrange(4)
        if choice == 0:
            connection.reset()
        elif choice == 1:
            await connection.read()
            await connection.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        elif choice == 2:
            await connection.write(UNASKED)
        else:
            await connection.read()

    async def answer(self, connection: RecordedConnection, unit: bytes, is_head: bool) -> bool:
        """Answer, and say whether the connection goes on."""
        dice = self.dice
        units = dice.choice([0, 1, 1, 10, 10, 3000, 30_000])
        body = unit * units
        await asyncio.sleep(dice.choice([0, 0, 0, 0.001, 0.01]))
        if dice.random() < 0.1:
            await connection.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        ok = OK + b"X-Units: %d\r\n" % units
        length = ok + b"Content-Length: %d\r\n\r\n" % len(body)
        if is_head:
            await connection.write(length)
            return True
        choice = dice.randrange(16)
        if choice < 6:
            await connection.write(length + body)
            return True
        if choice < 10:
            await self.write_chunks(connection, ok, body)
            return True
        if choice == 10:
            await self.break_off(connection, length + body)
        elif choice == 11:
            await self.write_slowly(connection, length + body)
        else:
            await self.end(connection, choice, ok, length, body)
        return choice == 11

    async def end(
        self, connection: RecordedConnection, choice: int, ok: bytes, length: bytes, body: bytes
    ) -> None:
        """Answer in a way after which nothing more comes on this connection."""
        if choice == 12:
            await connection.write(ok + b"\r\n" + body)
        elif choice == 13:
            await connection.write(b"nonsense\r\n\r\n")
        elif choice == 14:
            await connection.write(length + body + UNASKED)
        else:  # stuck, before or in the middle of the response
            await connection.write((length + body)[: self.dice.choice([0, len(length) + len(body) // 2])])
            await asyncio.sleep(1)

    async def break_off(self, connection: RecordedConnection, whole: bytes) -> None:
        """Send a part of an answer with a length, and end or reset."""
        await connection.write(whole[: self.dice.randrange(len(whole))])
        if self.dice.random() < 0.5:
            connection.reset()

    async def write_slowly(self, connection: RecordedConnection, whole: bytes) -> None:
        """Send an answer in a few pieces."""
        cut = sorted(self.dice.randrange(len(whole)) for _ in range(3))
        for start, end in zip([0, *cut], [*cut, len(whole)], strict=True):
            await connection.write(whole[start:end])
            await asyncio.sleep(self.dice.choice([0, 0.005, 0.05]))

    async def write_chunks(self, connection: RecordedConnection, ok: bytes, body: bytes) -> None:
        """Send an answer in chunks, sometimes with a trailer."""
        await connection.write(ok + b"Transfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 20_000):
            piece = body[start : start + 20_000]
            await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        trailer = b"X-Checksum: 7\r\n" if self.dice.random() < 0.3 else b""
        await connection.write(b"0\r\n%b\r\n" % trailer)

    async def switch(self, connection: RecordedConnection, name: str) -> None:
        """Become a stream that echoes, or not."""
        choice = self.dice.randrange(8)
        if choice == 0:
            await connection.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
            return
        if choice == 1:
            await connection.write(SWITCH[: self.dice.randrange(len(SWITCH))])
            return
        if choice == 2:
            await connection.write(SWITCH.replace(b"s3pP", b"S3pP"))
            return
        await connection.write(SWITCH)
        left, came = self.dice.choice([1, 3, 1000]), b""
        while left and (piece := await connection.read()):
            left -= 1
            came += piece
            if not is_part(came, unit_up(name)):
                self.mixed.append(came)
            await connection.write(piece)
        if self.dice.random() < 0.3:
            connection.reset()


class Flapping:
    """Endpoints of which one after the other goes away, in every way there is, and comes back."""

    def __init__(self, upstreams: list[ChaoticUpstream], dice: random.Random) -> None:
        self.upstreams = upstreams
        self.dice = dice
        self.is_over = False

    async def run(self) -> None:
        """Go on until it is over; whoever is away comes back then."""
        while not self.is_over:
            await asyncio.sleep(self.dice.choice([0.05, 0.1, 0.3]))
            victim = self.dice.choice(self.upstreams)
            away_s = self.dice.choice([0.02, 0.1, 0.4])
            choice = self.dice.randrange(3)
            if choice == 0:
                await self.stop_and_start(victim, away_s)
            elif choice == 1:
                victim.is_healthy = False
                await asyncio.sleep(away_s)
                victim.is_healthy = True
            else:
                mood, victim.mood = victim.mood, 1.0
                await asyncio.sleep(away_s)
                victim.mood = mood

    async def stop_and_start(self, victim: ChaoticUpstream, away_s: float) -> None:
        """Let nobody listen on the port for a while."""
        await victim.stop()
        await asyncio.sleep(away_s)
        while True:
            try:
                await victim.start()
                return
            except OSError:
                await asyncio.sleep(0.05)  # somebody's outgoing connection happens to have the port
