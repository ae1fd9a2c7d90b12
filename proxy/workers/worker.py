"""One worker as its supervisor sees it: a process, a channel to it, a UNIX socket on which it answers."""

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy import notify
from proxy.asking import AnswerError, ask
from proxy.control.families import Report, decode
from proxy.tasks import TaskOwner
from proxy.workers.channel import Answer, Channel, ChannelClosedError, Message

# A route that is used has some 2 kB of metrics, and more with each reason for which it refuses.
MAX_REPORT_BYTES: Final = 256 * 1024 * 1024


class WorkerError(Exception):
    """A worker does not answer, or is gone."""


class Worker:
    """
    One process. Orders are answered in their order, so that each answer finds its question.

    `is_leaving` says that it takes no more of them: it is gone, or finishes what is in flight.
    """

    __slots__ = ("_asked", "_channel", "_process", "admin_path", "is_leaving", "is_serving", "number")

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: Channel, admin_path: Path
    ) -> None:
        self.number = number
        self.admin_path = admin_path
        self.is_serving = False
        self.is_leaving = False
        self._process = process
        self._channel = channel
        self._asked: deque[asyncio.Future[Answer]] = deque()

    @classmethod
    async def start(
        cls, number: int, folder: Path, log_style: str, descriptors: Mapping[str, int], tasks: TaskOwner
    ) -> "Worker":
        """Start the process of worker `number`; it waits for its first order."""
        admin_path = folder / f"worker-{number}.sock"
        admin_path.unlink(missing_ok=True)
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command(number, theirs.fileno(), admin_path, log_style, descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *descriptors.values()),
                env={name: value for name, value in os.environ.items() if name != notify.VARIABLE},
                # A terminal's Ctrl-C goes to the supervisor alone, which ends everybody in order.
                start_new_session=True,
            )
        worker = cls(number, process, await Channel.on(ours), admin_path)
        tasks.spawn(worker.listen(), name=f"answers of worker {number}")
        return worker

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def tell(self, message: Message) -> "asyncio.Future[Answer]":
        """Send an order; its answer comes later, or is cancelled with the end of the worker."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.is_leaving:
            answer.cancel()  # nobody listens for it any more
            return answer
        self._asked.append(answer)
        self._channel.order(message)
        return answer

    async def ask(self, message: Message, within_s: float) -> None:
        """Have an order carried out, or raise WorkerError."""
        await self.answer_to(self.tell(message), within_s)

    async def answer_to(self, told: "asyncio.Future[Answer]", within_s: float) -> None:
        """Wait for the answer to an order that was sent, or raise WorkerError."""
        await asyncio.wait([told], timeout=within_s)
        if not told.done():
            raise WorkerError(f"worker {self.number} did not answer within {within_s:g} s")
        if told.cancelled():
            raise WorkerError(f"worker {self.number} ended")
        answer = told.result()
        if not answer.ok:
            raise WorkerError(answer.detail)

    async def listen(self) -> None:
        """Take answers until the worker is gone."""
        try:
            while True:
                answer = await self._channel.next_answer()
                if not self._asked:
                    raise ChannelClosedError("an answer to nothing")
                told = self._asked.popleft()
                if not told.done():
                    told.set_result(answer)
        except ChannelClosedError:
            self.is_serving = False
            self.is_leaving = True
            while self._asked:
                self._asked.popleft().cancel()

    async def report(self, within_s: float) -> Report | None:
        """Return what the worker says of itself, or None if it does not answer in time."""
        try:
            async with asyncio.timeout(within_s):
                reader, writer = await asyncio.open_unix_connection(str(self.admin_path))
                try:
                    answer = await ask(reader, writer, "worker", "/families", MAX_REPORT_BYTES)
                finally:
                    writer.transport.abort()
            return decode(bytes(answer.body)) if answer.status == 200 else None
        except (AnswerError, OSError, ValueError):  # TimeoutError is an OSError
            return None

    async def ended(self) -> int:
        """Wait for the end of the process and return its exit code, negative for a signal."""
        code = await self._process.wait()
        self.is_serving = False
        self._channel.close()
        return code

    def kill(self) -> None:
        """End the process at once, by its id."""
        try:
            self._process.kill()
        except ProcessLookupError:
            pass

    def __repr__(self) -> str:
        return f"<Worker {self.number} pid={self.pid}{'' if self.is_serving else ' not serving'}>"


def command(
    number: int, channel: int, admin_path: Path, log_style: str, descriptors: Mapping[str, int]
) -> list[str]:
    """Return the command line of a worker."""
    given = [f"--descriptor={name}={fd}" for name, fd in descriptors.items()]
    # -P: the working directory is no place to import from, whoever may write there.
    return [
        *(sys.executable, "-P", "-m", "proxy.workers.child"),
        *(f"--number={number}", f"--channel={channel}", f"--admin={admin_path}", f"--log={log_style}"),
        *given,
    ]
