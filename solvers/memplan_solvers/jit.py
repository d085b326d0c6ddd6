"""How numba compiles the project's kernels: once, to disk, and without the interpreter's lock. No other module knows more.

Numba counts a reference, atomically, whenever an array is passed or bound to a name, each array of a tuple too, and
passes a tuple as its arrays' fields, some hundred of them. In a kernel of many small functions both cost more than
the work: so its small functions are `inlined`, and what Python calls begins by `borrow`. Where neither a kernel nor any
that it calls allocates an array, `allocates=False` does away with all counts, and `borrow` is not needed.

With MEMPLAN_DEBUG=shapes in the environment every call of a kernel from Python is checked against the dtypes and shapes that
its annotations state, see `common/arrays.py`; mypy looks into kernels, but not at their calls, since a compiled function takes
numpy's numbers for Python's. Numbers are divided as numpy does it: by zero without an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import types
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from memplan_solvers.common.shapes import check_arguments

Value = TypeVar("Value")

CHECKS_SHAPES = "shapes" in os.environ.get("MEMPLAN_DEBUG", "").split(",")
"""Whether calls from Python are checked."""


def when_not_kept() -> None:
    """Called where a compiled kernel cannot be kept on disk; a process that does nothing but compile then ends, see `compiled.py`."""


def kernel(
    function: Callable[..., Any] | None = None, *, allocates: bool = True, fastmath: bool = False
) -> Callable[..., Any]:
    """A kernel that Python calls; kernels may call it too. `fastmath`: sums may be taken in any order."""
    return _compiled(function, allocates, fastmath=fastmath)


def inlined(function: Callable[..., Any] | None = None, *, allocates: bool = True) -> Callable[..., Any]:
    """A kernel that is compiled into the kernels which call it; Python may call it too."""
    return _compiled(function, allocates, forceinline=True)


def inner(function: Callable[..., Any] | None = None, *, allocates: bool = True) -> Callable[..., Any]:
    """A kernel that only kernels call: what calls from Python take, a quarter of all, is not compiled.

    Python that calls it nevertheless crashes.
    """
    return _compiled(function, allocates, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _compiled(function: Callable[..., Any] | None, allocates: bool, **options: bool) -> Callable[..., Any]:
    """The function compiled, or the decorator that compiles it."""
    if function is None:
        return lambda function: _compiled(function, allocates, **options)
    bare: Any = {**options, "_nrt": allocates}
    dispatcher: Any = njit(nogil=True, error_model="numpy", **bare)(function)
    _keep_on_disk(dispatcher)
    if CHECKS_SHAPES:
        dispatcher.__class__ = _Checked
    return cast(Callable[..., Any], dispatcher)


def _keep_on_disk(dispatcher: Any) -> None:
    """Let what is compiled be read from disk and kept there, if there is a place that can be written and room in it."""
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no folder for it can be written
        when_not_kept()
        return
    cache = dispatcher._cache
    save, load = cache.save_overload, cache.load_overload

    def save_if_there_is_room(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError:
            when_not_kept()

    def load_if_it_can_be_read(*arguments: Any) -> Any:
        with suppress(OSError):
            return load(*arguments)
        return None

    cache.save_overload, cache.load_overload = save_if_there_is_room, load_if_it_can_be_read


class _Checked(CPUDispatcher):  # type: ignore[misc,unused-ignore]
    """A kernel that looks at what Python hands over; kernels that call it do not notice."""

    def __call__(self, *arguments: Any) -> Any:
        check_arguments(self.py_func, arguments)
        return super().__call__(*arguments)


def _borrow(typing: Any, value: Any) -> Any:
    """In a kernel: the same array, or tuple of arrays at any depth, uncounted; valid while the caller holds the value."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _uncounted(context, builder, signature.return_type, arguments[0])

    return value(value), code


borrow = cast(Callable[[Value], Value], intrinsic(_borrow))


def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = array.meminfo.type(None)
        return array._getvalue()
    for place, member in enumerate(getattr(kind, "types", ())):  # of a tuple
        part = _uncounted(context, builder, member, builder.extract_value(value, place))
        value = builder.insert_value(value, part, place)
    return value
