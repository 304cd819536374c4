"""Jobs side by side: one thread of the driver for each slot."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed


class Slots:
    """So many slots; with one, all is done in the calling thread, which Ctrl-C reaches.

    Signals reach the main thread only: what ends the calling thread, or one slot, is passed on to the others as an
    interruption, so that their jobs end as by Ctrl-C.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads: set[int] = set()

    def carry_out(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Do all tasks, each in the first slot that is free, in their order."""
        if self._count == 1:
            for task in tasks:
                task()
            return
        with ThreadPoolExecutor(self._count) as pool:
            futures = [pool.submit(self._do, task) for task in tasks]
            done = False
            try:
                for ended in as_completed(futures):
                    ended.result()
                done = True
            finally:
                if not done:
                    for future in futures:
                        future.cancel()
                    self._interrupt()

    def _do(self, task: Callable[[], None]) -> None:
        self._threads.add(threading.get_ident())
        try:
            task()
        finally:
            self._threads.discard(threading.get_ident())

    def _interrupt(self) -> None:
        for thread in list(self._threads):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
