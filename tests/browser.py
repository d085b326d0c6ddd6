"""Headless Chromium driven over its DevTools pipe: real clicks, keys and wheels, and whatever it asks of a network."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"Escape": 27, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Navigated(RuntimeError):
    """The page left while an expression was being evaluated in it."""


class Browser:
    """One Chromium with one page. `problems` collects console errors and exceptions, `requests` every address asked for."""

    def __init__(self, profile: Path, width: int = 1440, height: int = 900) -> None:
        if CHROMIUM is None:
            raise FileNotFoundError("no chromium is installed")
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        # DevTools talks on descriptors 3 and 4 of its process.
        command = f'exec 3<&{to_child} 4>&{from_child}; exec "$@"'
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                command,
                "chromium",
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
            ],
            pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        self._buffer, self._number, self._session = b"", 0, ""
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # ---- the protocol: JSON messages, each ended by a NUL ----

    def call(self, method: str, timeout_s: float = 30, **parameters: Any) -> Any:
        """The result of one command; what happens meanwhile is noted."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") != number:
                self._note(answer)
            elif "error" in answer:
                left = any(word in answer["error"]["message"] for word in ("navigated", "context"))
                raise (Navigated if left else RuntimeError)(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no answer to {what}")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise ConnectionError("the browser has ended")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        method, p = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = p["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.problems.append(str([a.get("value", a.get("description")) for a in p["args"]]))
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.problems.append(p["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])

    # ---- what a person does ----

    def size(self, width: int, height: int) -> None:
        """Resize the page."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """What the system prefers: "light" or "dark"."""
        self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": name},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    def open(self, path: Path) -> None:
        """Load a file and wait until it is drawn."""
        self.visit(path.resolve().as_uri())

    def visit(self, address: str) -> None:
        """The same of what lies at an address."""
        self.problems.clear()
        self.requests.clear()
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        self.settle()

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['exception'].get('description')}")
        return answer["result"].get("value")

    def until(self, condition: str, timeout_s: float = 10) -> None:
        """Wait for a condition in the page, or in the one that it leads to."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(Navigated):
                if self.js(condition):
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait for two frames, so that everything asked for is painted."""
        self.until(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One mouse event, `kind` as in DevTools: mouseMoved, mousePressed, mouseReleased, mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, times: int = 1, modifiers: int = 0) -> None:
        """Move there and click."""
        self.mouse("mouseMoved", x, y)
        for k in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=k, modifiers=modifiers)
        self.settle()

    def click_on(self, selector: str) -> None:
        """Click the middle of an element, once it stands still."""
        self.settle()
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.js(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        self.click(x, y)

    def drag(self, start: tuple[float, float], stop: tuple[float, float], modifiers: int = 0) -> None:
        """Press, move, release. `modifiers`: 8 is Shift."""
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left", clickCount=1, modifiers=modifiers)
        for k in range(1, 5):
            x, y = (a + (b - a) * k / 4 for a, b in zip(start, stop, strict=True))
            self.mouse("mouseMoved", x, y, button="left", buttons=1, modifiers=modifiers)
        self.mouse("mouseReleased", *stop, button="left", clickCount=1, modifiers=modifiers)
        self.settle()

    def wheel(self, x: float, y: float, dy: float, modifiers: int = 0) -> None:
        """Turn the wheel; upwards is negative."""
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=dy, modifiers=modifiers)
        self.settle()

    def key(self, key: str) -> None:
        """Press one key, by its DOM name."""
        more = {"text": key} if len(key) == 1 else {"windowsVirtualKeyCode": KEYS[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)
        self.settle()

    def screenshot(self, path: Path) -> None:
        """What the page looks like, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self) -> bytes:
        """What it prints."""
        answer = self.call("Page.printToPDF", timeout_s=60, preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(answer["data"])
