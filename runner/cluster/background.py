"""An event loop in a thread of its own, for connections that go on while the driver does something else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any

from runner.cluster.mutual_tls import Credentials, reason, server_context

LAST_SECONDS = 2.0  # for connections to be closed as they should
HANDSHAKE = 10.0  # seconds
MOST_WAITING = 64  # callers that have not shown a certificate yet
PAUSE = 0.05  # seconds until the next try where no caller can be taken in
MOST_WARNINGS = 30
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Sparing:
    """Passes each warning on once, and not many: whoever can connect could fill a terminal and a log with them."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._told: set[str] = set()

    def __call__(self, text: str) -> None:
        if text in self._told or len(self._told) >= MOST_WARNINGS:
            return
        self._told.add(text)
        self._warn(text)
        if len(self._told) == MOST_WARNINGS:
            self._warn("connections are refused again and again; no more of this will be told")


class Background:
    """The loop, its tasks and its connections; :meth:`end` leaves nothing of them."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name=name)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
        """Do ``work`` in the loop, and wait for what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=seconds)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin ``work``; safe from any thread."""
        self.loop.call_soon_threadsafe(lambda: self.keep(self.loop.create_task(work)))

    def keep(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel this task at the end, if it still runs then."""
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def own(self, writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
        """Close this connection at the end, if it still stands then."""
        self._writers = {kept for kept in self._writers if not kept.is_closing()} | {writer}
        return writer

    def end(self) -> None:
        """Cancel what runs, close what stands, and stop."""
        with contextlib.suppress(futures.TimeoutError):
            self.do(self._finish(), seconds=3 * LAST_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _finish(self) -> None:
        tasks = list(self._tasks)
        until = self.loop.time() + LAST_SECONDS
        while tasks and self.loop.time() < until:
            for task in tasks:
                task.cancel()
            _, left = await asyncio.wait(tasks, timeout=0.1)
            tasks = list(left)  # wait_for of Python 3.10 can lose a cancellation
        for writer in self._writers:
            writer.close()
        closed = [asyncio.ensure_future(writer.wait_closed()) for writer in self._writers]
        if closed:
            _, unfinished = await asyncio.wait(closed, timeout=LAST_SECONDS)
            for writer in self._writers if unfinished else ():
                writer.transport.abort()
            await asyncio.gather(*closed, return_exceptions=True)


class Door:
    """Takes callers in who show a certificate of the common authority.

    However many come and say nothing, the next one is heard: the oldest of those that wait makes room.

    Args:
        listener: where they call.
        limit: bytes that a stream's reader keeps.
        admit: does all that there is to do with a caller, by its address; the streams are closed afterwards.
        refuse: told the address of a caller without a certificate, and the reason.
    """

    def __init__(
        self,
        background: Background,
        listener: socket.socket,
        credentials: Credentials,
        limit: int,
        admit: Callable[[Streams, str], Coroutine[Any, Any, None]],
        refuse: Callable[[str, str], None],
    ) -> None:
        self._background = background
        self._listener = listener
        self._credentials = credentials
        self._limit = limit
        self._admit = admit
        self._refuse = refuse
        self._waiting: dict[asyncio.Task[None], None] = {}

    async def stand_open(self) -> None:
        """Take callers in until the background ends."""
        loop = self._background.loop
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(self._listener)
            except OSError:  # the caller has gone, or there are too many open files
                await asyncio.sleep(PAUSE)
                continue
            connection.setblocking(False)
            task = loop.create_task(self._take_in(connection, str(address)))
            self._background.keep(task)
            self._waiting[task] = None
            if len(self._waiting) > MOST_WAITING:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                oldest.cancel()

    async def _take_in(self, connection: socket.socket, address: str) -> None:
        loop = self._background.loop
        reader = asyncio.StreamReader(limit=self._limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            accepted = loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=server_context(self._credentials), ssl_handshake_timeout=HANDSHAKE
            )
            transport, _ = await accepted
        except (OSError, asyncio.TimeoutError) as error:
            connection.close()
            self._refuse(address, reason(error))
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            if (task := asyncio.current_task()) is not None:
                self._waiting.pop(task, None)
        writer = self._background.own(asyncio.StreamWriter(transport, protocol, reader, loop))
        try:
            await self._admit((reader, writer), address)
        finally:
            writer.close()
