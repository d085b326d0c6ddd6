"""Solvers by name: spec strings and the entry points of installed packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from memplan.base.errors import OptionError, nearest
from memplan.base.plugins import SOLVERS, load_plugin, plugins
from memplan.solving.solver import Solver, written


@cache
def registry() -> Mapping[str, type[Solver]]:
    """Every solver by name, from the entry points of installed packages."""
    return {name: load_plugin(point) for name, point in plugins(SOLVERS).items()}


def solver_class(name: str) -> type[Solver]:
    """The solver called `name`, without importing any other; OptionError names the nearest."""
    points = plugins(SOLVERS)
    if name not in points:
        raise OptionError(f"unknown solver '{name}'", nearest(name, points))
    cls: type[Solver] = load_plugin(points[name])
    return cls


_SPEC = re.compile(r"([A-Za-z_][\w-]*)(?:\{(.*)\})?", re.DOTALL)


def parse_spec(spec: str | Solver) -> Solver:
    """The solver that a spec string means.

    Args:
        spec: `name` or `name{field=value,…}`, or a solver.

    Returns:
        A solver with these fields, the rest at their defaults; a solver that is given as it is.

    Raises:
        OptionError: no solver has this name, it has no such field, or the field takes no such value.

    >>> import memplan
    >>> memplan.parse_spec("peak{packing=none}").spec
    'peak{packing=none}'
    """
    if isinstance(spec, Solver):
        return spec
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        raise OptionError(f"'{spec}' is not a solver spec", "write name or name{field=value,…}")
    cls = solver_class(match[1])
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in (match[2] or "").split(","))):
        key, equals, text = (x.strip() for x in part.partition("="))
        if key not in known:
            raise OptionError(f"solver '{cls.name}' has no field '{key}'", nearest(key, known))
        if not equals:
            raise OptionError(f"field '{key}' of solver '{cls.name}' has no value", f"write {key}=VALUE")
        if key in values:
            raise OptionError(f"field '{key}' of solver '{cls.name}' is given twice", "drop one")
        values[key] = _convert(cls, key, known[key].default, text)
    return cls(**values)


def _convert(cls: type[Solver], key: str, default: Any, text: str) -> Any:
    """`text` as a value of the type of the field's default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "on": True, "false": False, "off": False}[text.lower()]
        if isinstance(default, int | float):
            value = type(default)(text)
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(text)
            return value
        return text
    except (KeyError, ValueError) as error:
        raise OptionError(
            f"solver '{cls.name}': {key} = '{text}'", f"it takes {_kind(default)}, such as {written(default)}"
        ) from error


def _kind(default: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    return names.get(type(default), "a word")
