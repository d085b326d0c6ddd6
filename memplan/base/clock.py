"""The clock of a solve: it stands while somebody waits for what is no part of the solve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Clock:
    """Seconds since it was made, without those in which any thread was in `standing`.

    `given_up` names what a cancellation kept somebody from waiting for.
    """

    def __init__(self) -> None:
        self.given_up: dict[str, None] = {}
        self._lock = Lock()
        self._zero = time.monotonic()
        self._waiting = 0
        self._stopped = 0.0

    @property
    def seconds(self) -> float:
        """What it shows: seconds."""
        with self._lock:
            return (self._stopped if self._waiting else time.monotonic()) - self._zero

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Stand until the block ends, and until those of other threads do."""
        with self._lock:
            if not self._waiting:
                self._stopped = time.monotonic()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._zero += time.monotonic() - self._stopped
