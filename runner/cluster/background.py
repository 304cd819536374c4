"""An event loop in a thread of its own, for connections that go on while the driver does something else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent import futures
from typing import Any

LAST_SECONDS = 2.0  # for connections to be closed as they should


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
