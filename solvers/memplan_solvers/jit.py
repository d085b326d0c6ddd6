"""How numba compiles the project's kernels: once, to disk, and without the interpreter's lock. No module but this one and the
two that it chooses between knows more.

What Python calls is a `kernel`; it alone is optimised as a whole, made machine code and kept on disk. What
only kernels call is `inner`, or `inlined` where it is small: its code waits in LLVM's language until it is a
part of theirs. Numba would do all of that with every function on the way, each with all that it calls, for a
third more time.

Numba counts a reference, atomically, whenever an array is passed or bound to a name, each array of a tuple too, and
passes a tuple as its arrays' fields, some hundred of them. In a kernel of many small functions both cost more than
the work: so its small functions are `inlined`, and what Python calls begins by `borrow`. Where neither a kernel nor any
that it calls allocates an array, `allocates=False` does away with all counts, and `borrow` is not needed.

All that reaches into numba (`jit_inside.py`), of which nobody promises that it stays. So it is done with versions under which every
kernel was compiled and asked, see docs/numba.md; with any other the same kernels are compiled by documented means alone
(`jit_plain.py`), which take longer, and are slower. The same way is taken where NUMBA_DISABLE_JIT=1 in the environment leaves them
functions of Python.

With MEMPLAN_DEBUG=shapes in the environment every call of a kernel from Python is checked against the dtypes
and shapes that its annotations state, see `common/arrays.py`; mypy looks into kernels, but not at their
calls, since a compiled function takes numpy's numbers for Python's. Numbers are divided as numpy does it: by
zero without an error.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import numba

Value = TypeVar("Value")

TESTED = ((0, 60), (0, 68))
"""The first and the last version of numba whose inside is known, as pyproject.toml bounds it."""


def is_tested(version: str) -> bool:
    """Whether the kernels were compiled and asked under this version of numba."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    return TESTED[0] <= numbers <= TESTED[1]


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined,unused-ignore]
    way: Any = import_module("memplan_solvers.jit_plain")
elif is_tested(numba.__version__):
    way = import_module("memplan_solvers.jit_inside")
else:
    warnings.warn(
        f"memplan knows numba {'{}.{}'.format(*TESTED[0])} to {'{}.{}'.format(*TESTED[1])} and not {numba.__version__}: its inner loops "
        "take longer to compile and are slower; `pip install memplan` gives a version that it knows",
        RuntimeWarning,
        stacklevel=2,
    )
    way = import_module("memplan_solvers.jit_plain")

kernel: Callable[..., Callable[..., Any]] = way.kernel
"""A kernel that Python calls; kernels may call it too. `allocates`: see above. `fastmath`: sums may be taken in any order."""

inner: Callable[..., Callable[..., Any]] = way.inner
"""A kernel that only kernels call, compiled as a part of them."""


def inlined(function: Callable[..., Any] | None = None, *, allocates: bool = True) -> Callable[..., Any]:
    """The same, without a call: for small functions."""
    return inner(function, allocates=allocates, inlines=True)


borrow = cast(Callable[[Value], Value], way.borrow)
"""In a kernel: the same array, or tuple of arrays at any depth, uncounted; valid while the caller holds the value."""
