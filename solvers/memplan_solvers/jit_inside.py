"""How numba compiles kernels where its inside is known, see `jit.py`: small code is a part of its callers, arrays are not counted."""

# mypy: allow-untyped-calls

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pickle import UnpicklingError
from typing import Any, TypeVar, cast

from numba import njit
from numba._dynfunc import make_function
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic

from memplan_solvers.common.shapes import check_arguments

Value = TypeVar("Value")

CHECKS_SHAPES = "shapes" in os.environ.get("MEMPLAN_DEBUG", "").split(",")
"""Whether calls from Python are checked."""


def when_not_kept() -> None:
    """Called where a compiled kernel cannot be kept on disk; a process that does nothing but compile then
    ends, see `compiled.py`.
    """


def kernel(
    function: Callable[..., Any] | None = None, *, allocates: bool = True, fastmath: bool = False
) -> Callable[..., Any]:
    """A kernel that Python calls; kernels may call it too. `fastmath`: sums may be taken in any order."""
    if function is None:
        return lambda function: kernel(function, allocates=allocates, fastmath=fastmath)
    dispatcher = _dispatcher(function, allocates, fastmath=fastmath)
    _keep_on_disk(dispatcher)
    if CHECKS_SHAPES:
        dispatcher.__class__ = _Checked
    return cast(Callable[..., Any], dispatcher)


def inner(
    function: Callable[..., Any] | None = None, *, allocates: bool = True, inlines: bool = False
) -> Callable[..., Any]:
    """A kernel that only kernels call, compiled as a part of them."""
    if function is None:
        return lambda function: inner(function, allocates=allocates, inlines=inlines)
    dispatcher = _dispatcher(
        function,
        allocates,
        forceinline=inlines,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_PartCompiler,
    )
    dispatcher.__class__ = _Part
    return cast(Callable[..., Any], dispatcher)


def _dispatcher(function: Callable[..., Any], allocates: bool, **options: Any) -> Any:
    """The function, to be compiled as is wanted of all kernels and by `options`."""
    options["_nrt"] = allocates
    return njit(nogil=True, error_model="numpy", **options)(function)


class _Part(CPUDispatcher):  # type: ignore[misc,unused-ignore]
    """A kernel that Python cannot call."""

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"kernel {self.py_func.__module__}.{self.py_func.__name__} is called by kernels only")


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc,unused-ignore]
    """Code that waits, neither optimised as a whole nor made machine code, until it is linked to that of a caller."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=False)
class _OfferToKernels(LoweringPass):  # type: ignore[misc,unused-ignore]
    """Callers find what was compiled by a function object, though it has no machine code."""

    _name = "offer_to_kernels"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        described, library = state.cr.fndesc, state.library
        entry = make_function(described.lookup_module(), described.qualname, "", 0, state.cr.env, (library,))
        state.targetctx.insert_user_function(entry, described, [library])
        state["cr"] = state.cr._replace(cfunc=entry)
        return True


class _PartCompiler(CompilerBase):  # type: ignore[misc,unused-ignore]
    """Compiles as far as to a library that callers link."""

    def define_pipelines(self) -> list[Any]:
        state = self.state
        state.flags.no_compile = True
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        pipeline = DefaultPassBuilder.define_nopython_pipeline(state)
        pipeline.add_pass_after(_OfferToKernels, NativeLowering)
        pipeline.finalize()
        return [pipeline]


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
        try:
            return load(*arguments)
        except OSError:
            return None
        except (AttributeError, ImportError, EOFError, UnpicklingError):  # of an older memplan, or cut short
            with suppress(OSError):
                cache.flush()
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
