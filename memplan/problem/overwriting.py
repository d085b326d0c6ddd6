"""Which storages an op may write its result over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memplan.ir.graph import Graph
from memplan.problem.options import Options
from memplan.problem.storage import Storage


def overwritten(
    graph: Graph, options: Options, storages: Sequence[Storage], number: Mapping[str, int]
) -> dict[int, tuple[int, tuple[int, ...]]]:
    """Per op, the storage it writes and those that rule 8 lets it write over in some plan; `number` is by name.

    With in-place on, these are all but the caller's buffers; a donated input is written over by its next value alone.
    """
    if not (options.inplace or options.donate):
        return {}
    found = {}
    renewed = {old: graph.storage_of[new] for new, old in graph.updates}
    for i, op in enumerate(graph.ops):
        written = number.get(op.overwrites[0][0]) if op.overwrites else None
        if written is not None and storages[written].producer == i:
            operands = (number.get(graph.storage_of[x]) for _, x in op.overwrites)
            new = storages[written]
            over = [
                s
                for s in operands
                if s is not None and _may_overwrite(graph, options, renewed, new, storages[s])
            ]
            if over:
                found[i] = (written, tuple(dict.fromkeys(over)))
    return found


def _may_overwrite(
    graph: Graph, options: Options, renewed: Mapping[str, str], new: Storage, old: Storage
) -> bool:
    if None not in (new.offset, old.offset) and new.offset != old.offset:
        return False
    donated = old.is_input and old.name in options.donate and not old.is_output
    mine = donated and renewed.get(old.name, new.name) == new.name
    resident = old.resident and (old.is_input or old.name in graph.output_storages)
    return mine or (options.inplace and not resident)  # what stands for an output may be written over
