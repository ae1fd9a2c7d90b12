"""Clients that send good requests and bad ones, each with a name of its own, and leave when they like."""

import asyncio
import random
import re
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.chaos.payload import NOBODY, is_part, unit_down, unit_up, units_in
from tests.chaos.upstream import KEY
from tests.kit.local_proxy import request
from tests.kit.scripted import Response, ScriptedClient

# So long nothing may take, on whatever machine: an answer that is late by this never comes.
HANG_S = 30.0

SUBJECTS = tuple(f"service-{number}" for number in range(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it is sent; `subject` is who the upstream has to be told asks."""

    name: str
    method: str
    subject: str
    data: bytes
    expects: frozenset[int]


@dataclass(slots=True)
class Witness:
    """What all clients saw: `answered` is the status by request id, of answers that came whole."""

    statuses: Counter[int] = field(default_factory=Counter)
    answered: dict[str, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    streamed: int = 0


FROM_UPSTREAM = frozenset({200, 299, 403, 413})
# 400 is for chunks from a client of HTTP/1.0, which knows none.
FROM_PROXY = frozenset({400, 408, 429, 502, 503, 504})


class ChaoticClient:
    """One client after the other, until it is over."""

    def __init__(self, number: int, seed: int, witness: Witness, *, tls: ssl.SSLContext) -> None:
        self.dice = random.Random(seed * 1000 + number)
        self.number = number
        self.count = 0
        self.witness = witness
        self.tls = tls

    async def run(self, ports: tuple[int, int], is_over: Callable[[], bool]) -> None:
        """Connect and converse; `ports` are the plain one and that with TLS."""
        while not is_over():
            uses_tls = self.dice.random() < 0.25
            client = ScriptedClient(ports[uses_tls], timeout_s=HANG_S, tls=self.tls if uses_tls else None)
            try:
                async with client:
                    await self.converse(client)
            except TimeoutError:
                self.witness.faults.append(f"client {self.number} waited {HANG_S:g} s at {self.count}")
            except (OSError, RuntimeError, asyncio.IncompleteReadError):
                # Cut off; uvloop has an error of its own for a write after that.
                await asyncio.sleep(0.005)

    async def converse(self, client: ScriptedClient) -> None:
        """Use one connection."""
        dice = self.dice
        if dice.random() < 0.08:
            await self.stream(client)
            return
        for _ in range(dice.randrange(1, 5)):
            batch = [self.next_request() for _ in range(dice.choice([1, 1, 1, 2, 4, 8]))]
            data = b"".join(one.data for one in batch)
            if dice.random() < 0.15:
                await self.leave(client, data)
                return
            split_at = dice.choice([None, dice.randrange(len(data))])
            await client.send(data, split_at=split_at, pause_s=dice.choice([0.001, 0.001, 0.01]))
            leaves = dice.random() < 0.1
            if leaves:
                client.end_sending()  # which over TLS is an error, and an end as good as others
            for one in batch:
                if dice.random() < 0.03:
                    await self.read_a_part(client)
                    return
                response = await self.read_final(client, one)
                self.note(one, response)
                if leaves or response.header("Connection") == "close":
                    return

    async def leave(self, client: ScriptedClient, data: bytes) -> None:
        """Send a part, perhaps wait so long that the proxy gives up, and end in one of three ways."""
        await client.send(data[: self.dice.randrange(len(data) + 1)])
        await asyncio.sleep(self.dice.choice([0, 0.001, 0.02, 0.5]))
        choice = self.dice.randrange(3)
        if choice == 0:
            client.reset()
        elif choice == 1 and client.tls is None:
            client.end_sending()
            await client.read_to_end()

    async def read_a_part(self, client: ScriptedClient) -> None:
        """Take a piece of what comes, slowly, and reset."""
        await client.reader.read(self.dice.choice([1, 100, 5000]))
        await asyncio.sleep(self.dice.choice([0, 0.01, 0.6]))
        client.reset()

    async def read_final(self, client: ScriptedClient, one: Asked) -> Response:
        while True:
            response = await client.read_response(one.method)
            if response.status >= 200:
                return response

    def note(self, one: Asked, response: Response) -> None:
        """Compare an answer with its request."""
        witness = self.witness
        witness.statuses[response.status] += 1
        request_id = response.header("X-Request-Id") or ""
        if not re.fullmatch("[0-9a-f]{32}", request_id) or request_id in witness.answered:
            witness.faults.append(f"{one.name} got the request id `{request_id}`")
        witness.answered[request_id] = response.status
        if response.status not in one.expects:
            witness.faults.append(f"{one.name} got {response.status} instead of {set(one.expects)}")
        if response.status == 200 and one.method != "HEAD":
            unit = unit_down(one.name, one.subject)
            if response.body != unit * units_in(response.head):
                witness.faults.append(f"{one.name} of {one.subject} got {response.body[:60]!r}")

    def next_request(self) -> Asked:
        """Return a request of any kind, with a name that no other has."""
        self.count += 1
        name = f"n{self.number}.{self.count}m"
        self.witness.names.add(name)
        dice, subject = self.dice, self.dice.choice(SUBJECTS)
        choice = dice.randrange(20)
        if choice < 14:
            place = dice.choice(["", "", "", "", "limited/", "narrow/", "small/", "public/"])
            return self.good(name, place, subject)
        if choice < 17:
            return self.refused(name, subject, choice)
        if choice == 17:
            old = self.good(name, "", subject)
            return replace(old, data=old.data.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
        return self.good(name, "", subject)

    def good(self, name: str, place: str, subject: str) -> Asked:
        """Return a request that the proxy forwards, unless a limit says no."""
        dice, path = self.dice, f"/{place}{name}"
        expects = FROM_UPSTREAM | FROM_PROXY
        method = dice.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PUT", "DELETE"])
        lines: list[bytes] = []
        body: bytes | None = None
        if method in ("POST", "PUT"):
            units = dice.choice([0, 1, 50, 50, 20_000])
            whole = unit_up(name) * units
            lines.append(b"X-Units: %d" % units)
            if dice.random() < 0.1:
                lines.append(b"Expect: 100-continue")
            if dice.random() < 0.5:
                body = whole
            else:
                lines.append(b"Transfer-Encoding: chunked")
        data = request(method, path, *lines, body=body, subject=subject)
        if lines and body is None:
            data += (b"%x\r\n%b\r\n" % (len(whole), whole) if whole else b"") + b"0\r\n\r\n"
        if place == "public/":
            subject = NOBODY if dice.random() < 0.5 else subject
            if subject == NOBODY:
                data = re.sub(rb"Authorization: [^\r]*\r\n", b"", data, count=1)
        return Asked(name=name, method=method, subject=subject, data=data, expects=expects)

    def refused(self, name: str, subject: str, choice: int) -> Asked:
        """Return a request that never gets upstream."""
        data = request("GET", f"/{name}", subject=subject)
        kind = choice % 3
        if kind == 0:
            data, expects = data.replace(b"Bearer ", b"Bearer x"), {401}
        elif kind == 1:
            data, expects = request("GET", f"/forbidden/{name}", subject=subject), {403}
        else:
            data, expects = data.replace(f"/{name} ".encode(), f"/a/../{name} ".encode()), {400}
        return Asked(
            name=name, method="GET", subject=subject, data=data, expects=frozenset({*expects, 408, 503})
        )

    async def stream(self, client: ScriptedClient) -> None:
        """Ask for a WebSocket, and if it comes send bytes through it and compare what comes back."""
        self.count += 1
        name = f"w{self.number}.{self.count}m"
        self.witness.names.add(name)
        dice = self.dice
        lines = (
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + KEY,
        )
        unit = unit_up(name)
        await client.send(request("GET", f"/ws/{name}", *lines, subject=dice.choice(SUBJECTS)))
        response = await client.read_response()
        self.witness.statuses[response.status] += 1
        if response.status != 101:
            return
        came, sent = b"", 0
        for _ in range(dice.choice([0, 1, 3, 10])):
            units = dice.choice([1, 100, 10_000])
            await client.send(unit * units)
            sent += units
            if dice.random() < 0.1:
                client.reset()
                return
            while len(came) < sent * len(unit) and (piece := await client.reader.read(65536)):
                came += piece
            if not is_part(came, unit):
                self.witness.faults.append(f"stream {name} got {came[:60]!r}")
                return
        self.witness.streamed += sent == 0 or len(came) == sent * len(unit)
