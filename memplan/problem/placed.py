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
    tensors, producer, outputs = graph.tensor, graph.producer, graph.output_storages
    made = {op.results[0]: i for i, op in enumerate(graph.ops) if op.name in joined}
    pins = {name: parse_pin(word) for name, word in options.pins.items()}
    elsewhere = _elsewhere(graph, options, pins)
    uses: dict[str, list[int]] = {}
    if graph.ops and options.io == "resident":  # a returned input lies there though no op may touch it
        uses |= {t.name: [] for t in graph.tensors if t.kind == "input" and t.name in outputs}
    for i, names in enumerate(touched):
        for name in names:
            if name not in elsewhere:
                seen = uses.setdefault(name, [])
                if name in made or producer.get(name) != i:
                    seen.append(i)
    none, found = Pin(), []
    for name, readers in uses.items():
        tensor, pin = tensors[name], pins.get(name, none)
        is_input, is_constant, is_output = tensor.kind == "input", tensor.kind == "constant", name in outputs
        storage = Storage(
            name=name,
            nbytes=tensor.nbytes,
            size=align_up(tensor.nbytes, alignment),
            producer=-1 if name in made else producer.get(name, -1),
            uses=tuple(readers),
            is_input=is_input,
            is_constant=is_constant,
            is_output=is_output,
            resident=options.io == "resident" and not is_constant and (is_input or is_output),
            keep=name in made or tensor.kind == "workspace" or pin.keep,
            held_by=-1 if pin.keep else made.get(name, -1),
            offset=None if pin.memory else pin.offset,
        )
        found.append(storage)
    return found


def _elsewhere(graph: Graph, options: Options, pins: Mapping[str, Pin]) -> set[str]:
    """What is not placed: constants that are ignored, the caller's buffers, and what is pinned to host memory."""
    found = {name for name, pin in pins.items() if pin.host}
    if options.weights == "ignore":
        found |= {t.name for t in graph.tensors if t.kind == "constant"}
    if options.io == "external":
        found |= {t.name for t in graph.tensors if t.kind == "input"}
        found |= {s for s in graph.output_storages if graph.tensor[s].kind == "activation"}
    return found


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
