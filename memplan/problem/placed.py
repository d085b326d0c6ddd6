"""Which storages are placed, as solvers see them, whatever of them is joined or left without room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.problem.joins import split
from memplan.problem.options import Options
from memplan.problem.pins import Pin, parse_pin
from memplan.problem.storage import Storage


def placed_storages(
    graph: Graph,
    options: Options,
    touched: Sequence[Sequence[str]],
    joined: Collection[str],
    alignment: int,
) -> list[Storage]:
    """The placed storages in order of first touch, with sizes rounded up to the alignment.

    Args:
        graph, options: of the problem.
        touched: per op, the storages that it reads or writes.
        joined: ops that are joined: what they write is written in parts.
        alignment: that of the first memory.
    """
    outputs, made = (
        graph.output_storages,
        {op.results[0]: i for i, op in enumerate(graph.ops) if op.name in joined},
    )
    pins = {name: parse_pin(word) for name, word in options.pins.items()}
    uses: dict[str, list[int]] = {}
    if graph.ops and options.io == "resident":  # a returned input lies there though no op may touch it
        uses |= {t.name: [] for t in graph.tensors if t.kind == "input" and t.name in outputs}
    for i, names in enumerate(touched):
        for name in names:
            tensor = graph.tensor[name]
            ignored = tensor.kind == "constant" and options.weights == "ignore"
            io = tensor.kind == "input" or (tensor.kind == "activation" and name in outputs)
            callers = io and options.io == "external"
            if not (ignored or callers or (name in pins and pins[name].host)):
                seen = uses.setdefault(name, [])
                if name in made or graph.producer.get(name) != i:
                    seen.append(i)
    none = Pin()
    return [
        Storage(
            name=name,
            nbytes=graph.tensor[name].nbytes,
            size=align_up(graph.tensor[name].nbytes, alignment),
            producer=-1 if name in made else graph.producer.get(name, -1),
            uses=tuple(readers),
            is_input=graph.tensor[name].kind == "input",
            is_constant=graph.tensor[name].kind == "constant",
            is_output=name in outputs,
            resident=options.io == "resident"
            and graph.tensor[name].kind != "constant"
            and (graph.tensor[name].kind == "input" or name in outputs),
            keep=name in made or graph.tensor[name].kind == "workspace" or pins.get(name, none).keep,
            held_by=-1 if pins.get(name, none).keep else made.get(name, -1),
            offset=None if pins.get(name, none).memory else pins.get(name, none).offset,
        )
        for name, readers in uses.items()
    ]


def without_room(
    storages: Sequence[Storage],
    graph: Graph,
    options: Options,
    joined: Collection[str],
    scattered: Collection[str],
    lying: Mapping[str, tuple[str, ...]],
) -> list[Storage]:
    """The storages with what scattered ops make of them: their output has no bytes, what it lies in stands for it.

    A part is an output where it stands for one. Where things are spilled it need not stay as that must, which it is no part
    of before its op. What is joined and scattered has the bytes for which no operand stands.
    """
    made = {op.results[0] for op in graph.ops if op.name in scattered}
    parted = split(graph, joined, scattered)
    size = {s.name: s.size for s in storages}
    holds: dict[str, set[str]] = {}
    for name in made:
        for held in lying.get(name, (name,)):
            holds.setdefault(held, set()).add(name)
    spilled = options.objective != "peak"
    found = []
    for s in storages:
        if s.name in holds:
            is_output = s.is_output or bool(holds[s.name] & graph.output_storages)
            resident = is_output and options.io == "resident" and not spilled
            s = replace(s, is_output=is_output, resident=resident, keep=s.keep and not spilled, offset=None)
        if s.name in parted:
            s = replace(s, size=s.size - sum(size[x] for x in lying.get(s.name, ()) if x != s.name))
        found.append(replace(s, nbytes=0, size=0) if s.name in made - parted else s)
    return found
