"""How numba compiles the project's kernels: once, to disk, and without the interpreter's lock.

Numba counts a reference, atomically, whenever an array is passed or bound to a name, each array of a tuple too, and
passes a tuple as its arrays' fields, some hundred of them. In a kernel of many small functions both cost more than
the work: so its small functions are `inlined`, and what Python calls begins by `borrow`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core import types
from numba.extending import intrinsic


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """A kernel that Python calls; `options` are numba's."""
    return _kept(function, **options)


def inlined(function: Callable[..., Any]) -> Any:
    """A kernel that is compiled into the kernels which call it; Python may call it too."""
    return _kept(function, forceinline=True)


def inner(function: Callable[..., Any]) -> Any:
    """A kernel that only kernels call: what calls from Python take, a quarter of all, is not compiled.

    Python that calls it nevertheless crashes.
    """
    bare: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _kept(function, **bare)


def _kept(function: Callable[..., Any], **options: Any) -> Any:
    """The function compiled when it is called, and kept on disk if there is a place and room for it."""
    compiled = njit(nogil=True, **options)(function)
    try:
        compiled.enable_caching()
    except RuntimeError:  # no folder for it can be written
        return compiled
    cache = compiled._cache
    save, load = cache.save_overload, cache.load_overload

    def save_if_there_is_room(*arguments: Any) -> None:
        with suppress(OSError):
            save(*arguments)

    def load_if_it_can_be_read(*arguments: Any) -> Any:
        with suppress(OSError):
            return load(*arguments)
        return None

    cache.save_overload, cache.load_overload = save_if_there_is_room, load_if_it_can_be_read
    return compiled


def _borrow(typing: Any, value: Any) -> Any:
    """In a kernel: the same array, or tuple of arrays at any depth, uncounted; valid while the caller holds the value."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _uncounted(context, builder, signature.return_type, arguments[0])

    return value(value), code


borrow: Any = intrinsic(_borrow)


def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = array.meminfo.type(None)
        return array._getvalue()
    for place, member in enumerate(getattr(kind, "types", ())):  # of a tuple
        part = _uncounted(context, builder, member, builder.extract_value(value, place))
        value = builder.insert_value(value, part, place)
    return value
