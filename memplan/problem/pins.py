"""Pins: where single storages must or must not lie, whatever else is planned.

A pin is a word: `keep` (never spilled), `host` (never placed), `@OFFSET` (wherever it is resident, it lies
there) or `keep@OFFSET`. What makes no sense is refused here; what leaves no plan is named by `contradiction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memplan.base.errors import OptionError, nearest
from memplan.base.files import parse_json
from memplan.base.units import MAX_BYTES

if TYPE_CHECKING:
    from memplan.ir.graph import Graph
    from memplan.machine.target import Target
    from memplan.problem.options import Options
    from memplan.problem.problem import Problem

MOST_WORK = 20_000_000
"""Kept storages times ops beyond which, under free orders, only the largest ones are followed."""


class Pin(NamedTuple):
    """One storage's pin: its one residency covers every touch (`keep`), it has none (`host`), all lie at `offset`."""

    keep: bool = False
    host: bool = False
    offset: int | None = None

    def __str__(self) -> str:
        at = "" if self.offset is None else f"@{self.offset}"
        return "host" if self.host else f"{'keep' if self.keep else ''}{at}"


def parse_pin(word: str) -> Pin:
    """The pin that `word` means; OptionError on anything else."""
    match = re.fullmatch(r"(host)|(keep)?(?:@(\d{1,19}))?", word.strip()) if isinstance(word, str) else None
    if not match or not word.strip():
        raise OptionError(f"pin '{word}'", "it is keep, host, @OFFSET or keep@OFFSET, the offset in bytes")
    return Pin(bool(match[2]), bool(match[1]), None if match[3] is None else int(match[3]))


def parse_pins(words: Iterable[str]) -> dict[str, str]:
    """Pins from TENSOR=PIN words."""
    pins: dict[str, str] = {}
    for text in words:
        name, equals, word = text.rpartition("=")
        if not (equals and name):
            raise OptionError(
                f"pin '{text}'", "write TENSOR=keep, TENSOR=host, TENSOR=@OFFSET or TENSOR=keep@OFFSET"
            )
        if name in pins:
            raise OptionError(f"tensor '{name}' is pinned twice", "keep@OFFSET says both in one word")
        pins[name] = str(parse_pin(word))
    return pins


def read_pins(path: str | Path) -> dict[str, str | int]:
    """Pins from a file: a JSON object of pins by tensor name."""
    try:
        data = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise OptionError(f"cannot read '{path}': {error.strerror or error}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"'{path}' is not JSON: {error}", 'write {"tensor": "keep", "other": "@4096"}'
        ) from error
    if not isinstance(data, dict):
        raise OptionError(f"'{path}' is not a JSON object", 'write {"tensor": "keep", "other": "@4096"}')
    return data


def resolve_pins(
    pins: Mapping[str, str | int], graph: Graph, target: Target, options: Options
) -> dict[str, str]:
    """The pins in canonical words by storage, sorted; a whole number is an offset, a view's pin is its storage's.

    OptionError where a tensor is unknown, or its pin makes no sense on this target with these options.
    """
    found: dict[str, str] = {}
    outputs = graph.output_storages
    for name, word in pins.items():
        if name not in graph.tensor:
            close = nearest(name, graph.tensor)  # a graph has too many names to list them all
            hint = (
                close
                if close.startswith("did")
                else f"its tensors are named like '{next(iter(graph.tensor), '')}'"
            )
            raise OptionError(f"pinned tensor '{name}' is not in graph '{graph.name}'", hint)
        pin = parse_pin(f"@{word}" if isinstance(word, int) else word)
        storage = graph.storage_of[name]
        if pin.host and graph.tensor[storage].kind == "workspace":
            raise OptionError(
                f"workspace '{name}' cannot be pinned to host",
                "an op works in it while it runs: pin a tensor, or give more memory",
            )
        if found.setdefault(storage, str(pin)) != str(pin):
            raise OptionError(
                f"tensor '{name}' is pinned to {pin}, but its storage '{storage}' to {found[storage]}",
                "views share one storage: pin it once",
            )
        kind = graph.tensor[storage].kind
        _sensible(name, pin, kind, kind == "input" or storage in outputs, target, options)
    return dict(sorted(found.items()))


def _sensible(name: str, pin: Pin, kind: str, io: bool, target: Target, options: Options) -> None:
    """Refuse a pin that contradicts the target or the options by itself."""
    what, alignment = f"pin '{name}' to {pin}", target.scratchpad.alignment
    if kind == "constant" and options.weights == "ignore":
        raise OptionError(f"{what}: it is a constant, and constants are not placed", "use --weights tensor")
    if kind == "constant" and options.weights == "stream" and pin.keep:
        raise OptionError(f"{what}: streamed constants leave after each use", "use --weights tensor")
    if pin.host and target.operands != "any":
        raise OptionError(
            f"{what}: on target '{target.name}' every operand must be in the scratchpad",
            "choose a target whose operands may be served from host",
        )
    if pin.host and options.io == "resident" and io and kind != "constant":
        raise OptionError(f"{what}: resident inputs and outputs lie in the scratchpad", "use --io host")
    if pin.offset is not None and pin.offset % alignment:
        raise OptionError(
            f"{what}: the offset is not a multiple of the alignment {alignment}",
            f"the nearest below is {pin.offset // alignment * alignment}",
        )
    if pin.offset is not None and pin.offset > MAX_BYTES:
        raise OptionError(
            f"{what}: the offset is beyond 2^62 bytes", "give bytes from the scratchpad's begin"
        )


def certainly_kept(problem: Problem) -> list[list[int]]:
    """Per op, the kept storages that are resident at its step under every order, though it does not touch them.

    A storage is, where an ancestor has touched it and a descendant will. Beyond `MOST_WORK` some are left out.
    """
    found: list[list[int]] = [[] for _ in range(problem.n)]
    kept = [k for k, s in enumerate(problem.storages) if s.keep and len(s.touches) > 1]
    for k in sorted(kept, key=lambda k: -problem.storages[k].size)[: MOST_WORK // max(problem.n, 1)]:
        touches = problem.storages[k].touches
        if problem.options.order == "program":
            across: Iterable[int] = range(min(touches) + 1, max(touches))
        else:
            across = sorted(_reach(problem.succs, touches) & _reach(problem.preds, touches))
        for i in across:
            if i not in touches:
                found[i].append(k)
    return found


def _reach(neighbours: Sequence[Sequence[int]], ops: Iterable[int]) -> set[int]:
    """The ops that can be reached from `ops`."""
    seen: set[int] = set()
    todo = list(ops)
    while todo:
        for j in neighbours[todo.pop()]:
            if j not in seen:
                seen.add(j)
                todo.append(j)
    return seen


def contradiction(problem: Problem) -> str:
    """Why the fixed offsets leave no plan: two storages at one address in one step; nothing if that is not so."""
    for i in range(problem.n):
        for a, b in fixed_clashes(problem, problem.present[i]):
            written, over = problem.inplace_pairs.get(i, (-1, ()))
            if not ((a == written and b in over) or (b == written and a in over)):
                one, other = problem.storages[a], problem.storages[b]
                return (
                    f"op '{problem.graph.ops[i].name}' needs '{one.name}' at [{one.offset}, {one.end}) and "
                    f"'{other.name}' at [{other.offset}, {other.end}), where they are pinned"
                )
    return ""


def fixed_clashes(problem: Problem, storages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Pairs of the storages whose fixed places overlap: never resident together, but for an in-place pair."""
    fixed = [k for k in storages if problem.storages[k].offset is not None and problem.storages[k].size]
    for a, b in combinations(sorted(fixed), 2):
        one, other = problem.storages[a], problem.storages[b]
        if (one.offset or 0) < other.end and (other.offset or 0) < one.end:
            yield a, b
