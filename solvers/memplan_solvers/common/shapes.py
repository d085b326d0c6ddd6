"""Whether what Python hands to a kernel has the dtypes and shapes that the kernel's annotations state.

`jit.py` asks at every call from Python while the environment variable MEMPLAN_DEBUG is `shapes`. How annotations are
read is said in `arrays.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np


def check_arguments(function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """TypeError names the first argument, or field of one, that is not what `function` is annotated with."""
    hints = get_type_hints(function, include_extras=True)
    lengths: dict[str, int] = {}
    for name, value in zip(signature(function).parameters, arguments, strict=False):
        if name in hints:
            for path, fault in _faults(name, hints[name], value, lengths):
                raise TypeError(f"kernel {function.__module__}.{function.__name__}: {path} {fault}")


def _faults(path: str, hint: Any, value: Any, lengths: dict[str, int]) -> Iterator[tuple[str, str]]:
    """What is wrong with a value, and where in it; the lengths of axes are noted as they are met."""
    extras: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        extras = tuple(rest)
    if get_origin(hint) is np.ndarray:
        yield from ((path, fault) for fault in _array_faults(hint, extras, value, lengths))
    elif isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        if not isinstance(value, hint):
            yield path, f"is a {type(value).__name__}, not a {hint.__name__}"
            return
        for name, field in get_type_hints(hint, include_extras=True).items():
            yield from _faults(f"{path}.{name}", field, getattr(value, name), lengths)
    elif hint in (int, float, bool) and not isinstance(value, (int, float, bool, np.number, np.bool_)):
        yield path, f"is a {type(value).__name__}, not a number"


def _array_faults(hint: Any, extras: Sequence[Any], value: Any, lengths: dict[str, int]) -> Iterator[str]:
    if not isinstance(value, np.ndarray):
        yield f"is a {type(value).__name__}, not an array"
        return
    scalar = get_args(get_args(hint)[1])[0]
    dtype = next((extra for extra in extras if isinstance(extra, np.dtype)), None)
    if dtype is None and isinstance(scalar, type) and scalar is not np.void:
        dtype = np.dtype(scalar)
    if dtype is not None and value.dtype != dtype:
        yield f"is of {value.dtype}, not of {dtype}"
    for axes in (extra for extra in extras if isinstance(extra, str)):
        names = [axis.strip() for axis in axes.split(",")]
        if len(names) != value.ndim:
            yield f"has {value.ndim} axes, not ({axes})"
            continue
        for axis, length in zip(names, value.shape, strict=True):
            if not _has_length(axis, length, lengths):
                known = ", ".join(f"{name} = {count}" for name, count in lengths.items())
                yield f"is {length} long, not {axis}" + (f", where {known}" if known else "")


def _has_length(axis: str, length: int, lengths: dict[str, int]) -> bool:
    """Whether an axis may be that long; what a name that was not met before stands for follows from it."""
    if axis.isdecimal():
        return length == int(axis)
    name, _, more = (part.strip() for part in axis.partition("+"))
    least = int(more or 0)
    return length >= least and lengths.setdefault(name, length - least) == length - least
