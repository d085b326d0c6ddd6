"""What the debug switch refuses at the border between Python and kernels, and that it is off unless asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated, NamedTuple

import numpy as np
import pytest
from memplan_solvers.common.arrays import Floats, Ints, Records
from memplan_solvers.common.shapes import check_arguments

ROW = np.dtype([("size", np.int64), ("cost", np.float64)])


class Inside(NamedTuple):
    """Rows of named fields, with a border."""

    first: Annotated[Ints, "buffers + 1"]
    row: Annotated[Records, ROW, "buffers"]


def work(inside: Inside, weight: Annotated[Floats, "buffers, 2"], count: int) -> None:
    """What a kernel may look like."""


def arguments(**changed: object) -> tuple[object, ...]:
    """Arguments as `work` wants them, but for what is changed."""
    sound = {"first": np.zeros(4, np.int64), "row": np.zeros(3, ROW), "weight": np.zeros((3, 2)), "count": 3}
    now = {**sound, **changed}
    return Inside(now["first"], now["row"]), now["weight"], now["count"]


def test_what_is_annotated_passes() -> None:
    check_arguments(work, arguments())
    check_arguments(work, arguments(count=np.int64(3)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"first": np.zeros(4, np.int32)}, r"inside\.first is of int32, not of int64"),
        ({"first": np.zeros(3, np.int64)}, r"inside\.row is 3 long, not buffers, where buffers = 2"),
        ({"first": [0, 1]}, r"inside\.first is a list, not an array"),
        ({"row": np.zeros(3, np.int64)}, r"inside\.row is of int64, not of \[\('size'"),
        ({"weight": np.zeros(6)}, r"weight has 1 axes, not \(buffers, 2\)"),
        ({"weight": np.zeros((3, 3))}, r"weight is 3 long, not 2"),
        ({"count": "3"}, "count is a str, not a number"),
    ],
)
def test_what_is_not_is_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_arguments(work, arguments(**changed))
    with pytest.raises(TypeError, match="inside is a tuple, not a Inside"):
        check_arguments(work, (tuple(arguments()[0]), *arguments()[1:]))


WARM = """
from importlib import import_module
from memplan_solvers.compiled import KERNELS

for kind in KERNELS.values():
    import_module(kind.module).warm()
"""


@pytest.mark.slow(reason="runs every kernel uncompiled")
def test_every_kernel_is_given_what_its_annotations_state() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WARM],
        env={**os.environ, "MEMPLAN_DEBUG": "shapes"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


SCRIPT = """
import numpy as np
from typing import Annotated
from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import kernel

@kernel
def total(row: Annotated[Ints, "rows"]) -> int:
    return row.sum()

@kernel
def twice(row: Ints) -> int:
    return 2 * total(row.reshape(4))

assert twice(np.ones((2, 2), np.int64)) == 8  # what kernels hand to kernels is not looked at
try:
    print(total(np.ones((2, 2), np.int64)))
except TypeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("debug", "printed"),
    [("", "4"), ("shapes", "kernel __main__.total: row has 2 axes, not (rows)")],
)
@pytest.mark.slow(reason="starts several programs that compile")
def test_the_switch(debug: str, printed: str, tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "MEMPLAN_DEBUG": debug},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == printed, done.stderr
