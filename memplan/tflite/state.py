"""Which operators touch what outlives a run, and so keep the order that the file has them in."""

from __future__ import annotations

from memplan.tflite.program import TfliteProgram

READS = ("READ_VARIABLE",)
"""Operators that leave a resource variable as it is."""

ANY_VARIABLE = "any variable"
"""The state that stands for all resource variables, where a subgraph is given a handle of some."""


def touched(program: TfliteProgram, number: int = 0) -> list[dict[str, bool]]:
    """By operator of a subgraph, the states that it touches, and whether it may change each.

    A state is a variable tensor, or a resource variable by its name.
    """
    subgraph = program.subgraphs[number]
    handles = {o.outputs[0]: o.variable for o in subgraph.operators if o.variable is not None and o.outputs}
    states = []
    for operator in subgraph.operators:
        found: dict[str, bool] = {}
        for i in (*operator.inputs, *operator.outputs):
            if i >= 0 and subgraph.tensors[i].variable:
                found[f"tensor {number}.{i}"] = True
            elif i >= 0 and subgraph.tensors[i].dtype == "resource" and operator.variable is None:
                name = f"variable '{handles[i]}'" if i in handles else ANY_VARIABLE
                found[name] = found.get(name, False) or operator.kind not in READS
        for called in operator.calls:
            for inner in touched(program, called):
                found |= {state: changes or found.get(state, False) for state, changes in inner.items()}
        states.append(found)
    return states


def kept_orders(states: list[dict[str, bool]]) -> list[list[int]]:
    """By operator, the earlier ones that it comes after: of two that touch a state, one of them changing it, the first."""
    if any(ANY_VARIABLE in mine for mine in states):
        states = [_merged(mine) for mine in states]
    after: list[list[int]] = []
    changed: dict[str, int] = {}  # who changed a state last
    read: dict[str, list[int]] = {}  # who read it since
    for i, mine in enumerate(states):
        before: set[int] = set()
        for state, changes in mine.items():
            if state in changed:
                before.add(changed[state])
            if changes:
                before.update(read.pop(state, []))
                changed[state] = i
            else:
                read.setdefault(state, []).append(i)
        after.append(sorted(before))
    return after


def _merged(states: dict[str, bool]) -> dict[str, bool]:
    """The same with one state for all resource variables."""
    found: dict[str, bool] = {}
    for state, changes in states.items():
        key = state if state.startswith("tensor ") else ANY_VARIABLE
        found[key] = found.get(key, False) or changes
    return found
