"""A page in a real browser, headless, over the devtools protocol on a pipe: what it asks for and complains of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Seen(NamedTuple):
    """What loading a page came to.

    Attributes:
        requests: every address that it asked for, its own included.
        complaints: what the console, or the browser's log, said.
        value: what the expression came to.
    """

    requests: list[str]
    complaints: list[str]
    value: Any


def find_browser() -> str | None:
    """A Chromium on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def load(browser: str, page: Path, profile: Path, expression: str = "document.title", width: int = 1200) -> Seen:
    """Load a page from the disk, wait for its end, evaluate an expression in it."""
    (to_read, to_browser), (from_browser, to_write) = os.pipe(), os.pipe()

    def hand_over() -> None:  # the browser reads from 3 and writes to 4
        for source, target in ((os.dup(to_read), 3), (os.dup(to_write), 4)):
            os.dup2(source, target)

    process = subprocess.Popen(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}", f"--window-size={width},900", "about:blank"),
        ],
        preexec_fn=hand_over,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        return _look(_Pipe(from_browser, to_browser), page, expression, width)
    finally:
        process.kill()
        process.wait()
        os.close(from_browser)
        os.close(to_browser)


class _Pipe:
    """Commands and events, each a JSON text that ends with a zero byte."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing, self._number, self._rest = incoming, outgoing, 0, b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        os.write(self._outgoing, json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        for message in self.messages():
            if message.get("id") == self._number:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer
        raise AssertionError("the browser ended")

    def messages(self) -> Iterator[dict[str, Any]]:
        while piece := os.read(self._incoming, 1 << 16):
            *texts, self._rest = (self._rest + piece).split(b"\0")
            found = [json.loads(text) for text in texts]
            self.events += [message for message in found if "method" in message]
            yield from found

    def wait_for(self, method: str) -> None:
        if not any(event["method"] == method for event in self.events):
            next(message for message in self.messages() if message.get("method") == method)


def _look(pipe: _Pipe, page: Path, expression: str, width: int) -> Seen:
    target = pipe.send("Target.createTarget", url="about:blank")["targetId"]
    session = pipe.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Network", "Log", "Runtime"):
        pipe.send(f"{domain}.enable", session)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    pipe.send("Emulation.setDeviceMetricsOverride", session, **metrics)
    pipe.events.clear()
    pipe.send("Page.navigate", session, url=page.as_uri())
    pipe.wait_for("Page.loadEventFired")
    answer = pipe.send("Runtime.evaluate", session, expression=expression, returnByValue=True)
    complaints = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return Seen(
        [e["params"]["request"]["url"] for e in pipe.events if e["method"] == "Network.requestWillBeSent"],
        [json.dumps(e["params"]) for e in pipe.events if e["method"] in complaints],
        answer["result"].get("value"),
    )
