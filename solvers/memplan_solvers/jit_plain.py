"""How any numba compiles kernels, by its documented means alone: slower, and longer. See `jit.py`."""

# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Value = TypeVar("Value")


def when_not_kept() -> None:
    """Nobody calls it: whether a kernel could be kept is not known here."""


def kernel(
    function: Callable[..., Any] | None = None, *, allocates: bool = True, fastmath: bool = False
) -> Callable[..., Any]:
    """A kernel, kept on disk where there is a folder for it."""
    if function is None:
        return lambda function: kernel(function, allocates=allocates, fastmath=fastmath)
    try:
        return cast(Callable[..., Any], _compiled(function, cache=True, fastmath=fastmath))
    except RuntimeError:  # no folder for it can be written
        return cast(Callable[..., Any], _compiled(function, fastmath=fastmath))


def inner(
    function: Callable[..., Any] | None = None, *, allocates: bool = True, inlines: bool = False
) -> Callable[..., Any]:
    """A kernel that only kernels call."""
    if function is None:
        return lambda function: inner(function, allocates=allocates, inlines=inlines)
    return cast(Callable[..., Any], _compiled(function))


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    return njit(nogil=True, error_model="numpy", **options)(function)


def _same(value: Value) -> Value:
    return value


borrow = cast(Callable[[Value], Value], inner(_same))
"""What it is given: arrays are counted."""
