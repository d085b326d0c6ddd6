"""What several commands share: reading options, and loading a model with its plan."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

from memplan.base.errors import BoundError, DimensionError, OptionError, PlanError
from memplan.base.units import MAX_BYTES
from memplan.ir.model import Model
from memplan.ir.ranges import Size, check_size, ranges, upper
from memplan.problem.options import CHOICES
from memplan.problem.plan import Plan
from memplan.solving.limits import MOST_SECONDS


def print_stderr(text: str) -> None:
    """Say something to the person at the terminal, beside the data on stdout."""
    print(text, file=sys.stderr)


def parse_dims(pairs: list[str]) -> dict[str, Size]:
    """Sizes of free dimensions from NAME=V and INPUT:AXIS=V words, V being a size or a range LO..HI."""
    dims: dict[str, Size] = {}
    for pair in pairs:
        name, equals, value = pair.rpartition("=")
        low, dots, high = value.partition("..")
        ends = [low, high] if dots else [low]
        if not equals or not all(end.isdecimal() and 0 < int(end) <= MAX_BYTES for end in ends):
            raise OptionError(
                f"--dim '{pair}'",
                "write NAME=V or INPUT:AXIS=V, V a whole number from 1, or a range such as 1..512",
            )
        dims[name] = (int(low), int(high)) if dots else int(low)
        check_size(name, dims[name])
    return dims


def parse_sizes(pairs: list[str]) -> dict[str, int]:
    """Sizes within a plan's ranges from NAME=V words."""
    dims = parse_dims(pairs)
    if ranged := next(iter(ranges(dims)), None):
        raise OptionError(f"--dim {ranged} is a range", "the plan has ranges already: choose one size within")
    return {name: upper(size) for name, size in dims.items()}


def parse_bounds(pairs: list[str]) -> dict[str, tuple[int, ...]]:
    """Largest shapes of tensors from TENSOR=SHAPE words, a shape being sizes with commas between."""
    bounds: dict[str, tuple[int, ...]] = {}
    for pair in pairs:
        name, equals, shape = pair.rpartition("=")
        sizes = shape.split(",") if shape else []
        if not equals or not name or not all(size.isdecimal() and len(size) < 19 for size in sizes):
            raise OptionError(
                f"--bound '{pair}'", "write TENSOR=SHAPE, such as boxes=100,4; a scalar's shape is empty"
            )
        bounds[name] = tuple(map(int, sizes))
    return bounds


def add_sizes(p: argparse.ArgumentParser, dims_from: str = "") -> None:
    """Add the options that size what the model leaves open."""
    p.add_argument(
        "--dim",
        metavar="NAME=V|LO..HI",
        action="append",
        default=[],
        help=f"size of a free dimension, or a range of sizes that one plan is to hold for{dims_from}",
    )
    p.add_argument(
        "--bound",
        metavar="TENSOR=SHAPE",
        action="append",
        default=[],
        help="largest shape of a tensor whose size only a run decides, such as boxes=100,4",
    )


def add_chosen_sizes(p: argparse.ArgumentParser) -> None:
    """Add the option that chooses sizes within the ranges that a plan was made for."""
    p.add_argument(
        "--dim",
        metavar="NAME=V",
        action="append",
        default=[],
        help="a size within a range that PLAN holds for (default: its upper end)",
    )


def parse_int(option: str, text: str, least: int) -> int:
    """`text` as a whole number from `least`."""
    if not text.isdecimal() or not least <= int(text) < 2**31:
        raise OptionError(f"{option} '{text}'", f"give a whole number from {least} to 2^31 - 1")
    return int(text)


def parse_seconds(option: str, text: str) -> float:
    """`text` as a number of seconds that a time limit may have."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_SECONDS:
        raise OptionError(f"{option} '{text}'", "give a positive number of seconds, 10^9 at most")
    return value


def parse_factor(option: str, text: str) -> float:
    """`text` as a factor from 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value < inf:
        raise OptionError(f"{option} '{text}'", "give a factor from 1, such as 1.2")
    return value


def parse_capacities(pairs: list[str]) -> dict[str, str]:
    """Capacities of memories from MEMORY=SIZE words."""
    capacities: dict[str, str] = {}
    for pair in pairs:
        name, equals, size = pair.partition("=")
        if not (equals and name and size):
            raise OptionError(f"--capacity '{pair}'", "write MEMORY=SIZE, such as axi=512KiB")
        if name in capacities:
            raise OptionError(f"--capacity '{pair}': '{name}' is given twice", "drop one")
        capacities[name] = size
    return capacities


def add_reading(p: argparse.ArgumentParser) -> None:
    """Add the options that say how a model file is read: what else is known of ops, and that it may run code."""
    p.add_argument(
        "--ops",
        metavar="FILE",
        help="TOML that declares ops: views, overwriting, joins, workspace, flops, once",
    )
    p.add_argument(
        "--trust", action="store_true", help="admit a .pt2 with pickles and the like: it may run code"
    )


def add_policies(p: argparse.ArgumentParser) -> None:
    """Add the options that say how a problem is to be treated."""
    for option, meaning in (
        ("weights", "not placed, placed like all else, or loaded for each use (default: the target's)"),
        (
            "io",
            "inputs and outputs come from and go to host memory, stay in the first memory, or lie in buffers of the "
            "caller's (default: the target's)",
        ),
        ("order", "any order that the ops allow, or the model's own (default: free)"),
    ):
        p.add_argument(
            f"--{option}", choices=CHOICES[option], metavar="|".join(CHOICES[option]), help=meaning
        )
    for option, meaning in (
        ("inplace", "an op may write over an operand that nothing reads later"),
        ("join", "an op whose operands lie side by side in its output may copy nothing"),
    ):
        p.add_argument(
            f"--{option}",
            choices=("on", "off"),
            metavar="on|off",
            help=f"whether {meaning} (default: the target's)",
        )
    p.add_argument(
        "--recompute",
        metavar="off|any|C",
        default="off",
        help="how often an op may be executed: once, without a limit, or C times (default: off)",
    )
    add_limits(p)


def add_limits(p: argparse.ArgumentParser) -> None:
    """Add the options that limit what plans may use beside the first memory."""
    p.add_argument(
        "--compute-limit",
        metavar="F",
        help="what all executions may cost, as a multiple of executing each op once (default: 1.2 with --recompute)",
    )
    p.add_argument(
        "--capacity",
        metavar="MEMORY=SIZE",
        action="append",
        default=[],
        help="capacity of another memory than the first; may be repeated",
    )


def policies(args: argparse.Namespace) -> dict[str, Any]:
    """Those options as keyword arguments of `memplan.plan`."""
    return limits(args) | {
        "weights": args.weights,
        "io": args.io,
        "inplace": None if args.inplace is None else args.inplace == "on",
        "join": None if args.join is None else args.join == "on",
        "order": args.order or "free",
        "recompute": args.recompute,
    }


def limits(args: argparse.Namespace) -> dict[str, Any]:
    """The limits as keyword arguments of `memplan.plan` and of a comparison's setting."""
    factor = args.compute_limit
    return {
        "compute_limit": None if factor is None else parse_factor("--compute-limit", factor),
        "capacities": parse_capacities(args.capacity),
    }


def load_talking(args: argparse.Namespace, runtime: str | None = None) -> Model:
    """The model that is named, with the dimensions and bounds given, for the runtime; what it has to say is said."""
    from memplan.library.load import load_model

    dims, bounds = parse_dims(args.dim), parse_bounds(args.bound)
    model = load_model(args.model, dims, bounds, trust=args.trust, runtime=runtime)
    for note in model.notes:
        print_stderr(f"note: {note}")
    return model


def load_with_plan(
    model: str, plan: str | None, trust: bool, sizes: Mapping[str, int] | None = None
) -> tuple[Model, Plan]:
    """The model, with the dimensions the plan was made for, and the plan (or the one it carries).

    With `sizes`, which lie within the plan's ranges, both are as they are at these.
    """
    loaded, given = _loaded_with_plan(model, plan, trust)
    if not sizes:
        return loaded, given
    from memplan.judge.sizing import at_sizes

    return at_sizes(loaded, given, sizes)


def _loaded_with_plan(model: str, plan: str | None, trust: bool) -> tuple[Model, Plan]:
    from memplan.io.plan_json import read_plan
    from memplan.library.load import load_model

    if plan is not None:
        given = read_plan(Path(plan))
        try:
            dims, bounds = given.options.dims, given.options.bounds
            return load_model(model, dims, bounds, trust=trust, runtime=given.runtime), given
        except (
            BoundError,
            DimensionError,
        ):  # its sizes are fixed: an annotated model, the graph as JSON; or it is another model
            return load_model(model, {}, trust=trust, runtime=given.runtime), given
    loaded = load_model(model, {}, trust=trust)
    carried = carried_plan(loaded)
    if carried is None:
        raise PlanError(f"'{model}' carries no plan", "give a plan file, or an annotated .onnx")
    return loaded, carried


def carried_plan(model: Model) -> Plan | None:
    """The plan in an annotated model, None in any other."""
    return model.plan if isinstance(model.plan, Plan) else None
