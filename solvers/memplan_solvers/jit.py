"""How numba compiles the project's kernels: once, to disk, and without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel that Python calls."""
    return njit(cache=True, nogil=True)(function)


def inner(function: Callable[..., Any]) -> Any:
    """A kernel that only kernels call: what calls from Python take, a quarter of all, is not compiled.

    Python that calls it nevertheless crashes.
    """
    bare: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(cache=True, nogil=True, **bare)(function)
