"""When Python looks for circles of garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Nothing is collected within: for work that makes many objects, which all stay and form no circles.

    The collector would walk through all of them again and again, and find nothing. What nothing refers to any more
    is freed as ever. Holds for the whole process; one within another ends with the outer one.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
