"""Rules 2 and 4 to 7: where every residency comes from, what operands find, and what is copied when."""

from __future__ import annotations

from bisect import bisect_left

from memplan.judge.check.plan_view import PlanView, Violation


def origins(view: PlanView) -> list[Violation]:
    """Rules 4, 5 and 7: every residency begins at its producer or with a load of a valid host copy."""
    found: list[Violation] = []
    for name, parts in view.residencies.items():
        loads = {}
        for m in view.loads.get(name, ()):
            if m.issue in loads:
                found.append(Violation("origin", f"'{name}' is loaded twice at once", m.issue, (name,)))
            loads[m.issue] = m
        touched = sorted(
            {*view.uses.get(name, ()), *([view.produced[name]] if name in view.produced else [])}
        )
        for r in parts:
            where = r.start, (name,), (r.offset,)
            load = loads.pop(r.start, None)
            born = view.produced.get(name) == r.start
            if load is None:
                opening = r.start == 0 and view.resident_io(name) and view.in_host_at_start(name)
                if not born and not opening:
                    found.append(
                        Violation("origin", f"'{name}' appears without being loaded or produced", *where)
                    )
                continue
            if born or (view.produced.get(name, -1) >= r.start):
                found.append(
                    Violation("origin", f"'{name}' is loaded before or while it is produced", *where)
                )
            elif not view.host_copy(name, load.issue, inclusive=False):
                found.append(
                    Violation("origin", f"'{name}' is loaded from a host copy that is not valid", *where)
                )
            k = bisect_left(touched, r.start)
            if load.due > min([r.stop - 1, *touched[k : k + 1]]):
                found.append(Violation("moves", f"the load of '{name}' is due after its first use", *where))
        for m in loads.values():
            found.append(Violation("moves", f"a load of '{name}' begins no residency", m.issue, (name,)))
    for name in view.loads.keys() - view.residencies.keys():
        found.append(
            Violation("moves", f"a load of '{name}' begins no residency", view.loads[name][0].issue, (name,))
        )
    return found


def operands(view: PlanView) -> list[Violation]:
    """Rule 2, and that an operand served from host is there."""
    found: list[Violation] = []
    root, anywhere = view.graph.storage_of, view.plan.target.direct
    present: dict[str, int] = {}
    starting: dict[int, list[str]] = {}
    stopping: dict[int, list[str]] = {}
    for name, parts in view.residencies.items():
        for r in parts:
            starting.setdefault(r.start, []).append(name)
            stopping.setdefault(r.stop, []).append(name)
    for t, op in enumerate(view.ops):
        for name in stopping.get(t, ()):
            present[name] -= 1
        for name in starting.get(t, ()):
            present[name] = present.get(name, 0) + 1
        if op.view:
            continue
        for name in dict.fromkeys(root[x] for x in (*op.inputs, *op.outputs)):
            if name not in view.placeable or present.get(name, 0) > 0:
                continue
            if not anywhere:
                found.append(
                    Violation("operands", f"op '{op.name}' needs '{name}', which is not resident", t, (name,))
                )
            elif view.produced.get(name) != t and not view.host_copy(name, t, inclusive=view.timed):
                message = f"op '{op.name}' reads '{name}' from host, where no valid copy is"
                found.append(Violation("operands", message, t, (name,)))
    return found


def stores(view: PlanView) -> list[Violation]:
    """Rules 4 and 7: at most one store per storage, within a residency, of something worth storing."""
    found: list[Violation] = []
    for name, stores in view.stores.items():
        if len(stores) > 1:
            found.append(
                Violation("moves", f"'{name}' is stored {len(stores)} times", stores[1].issue, (name,))
            )
        if view.in_host_at_start(name):
            found.append(Violation("moves", f"'{name}' is stored, but host has it", stores[0].issue, (name,)))
        for m in stores:
            last = m.due if view.timed else m.issue + 1
            place = view.at(name, m.issue)
            if place is None or last > place.stop or (view.timed and m.due <= m.issue):
                message = f"the store of '{name}' [{m.issue}, {m.due}] lies in no residency of it"
                found.append(Violation("moves", message, m.issue, (name,)))
            if view.produced.get(name, view.n) > m.issue:
                found.append(
                    Violation("moves", f"'{name}' is stored before it is produced", m.issue, (name,))
                )
    return found


def outputs(view: PlanView) -> list[Violation]:
    """Rule 6."""
    if view.plan.options.io == "resident":
        return []
    return [
        Violation("outputs", f"output '{name}' has no host copy at the end", view.n - 1, (name,))
        for name in sorted(view.outputs)
        if not view.host_copy(name, view.n, inclusive=True)
    ]


def spills(view: PlanView) -> list[Violation]:
    """Under objective peak nothing is spilled: the only copies are the first load of what is given, and of outputs."""
    if view.plan.options.objective != "peak":
        return []
    found: list[Violation] = []
    for name, loads in view.loads.items():
        constant = view.graph.tensor[name].kind == "constant"
        if constant and view.plan.options.weights == "stream":
            continue  # a load for each use is what the option asks for
        for m in loads[view.in_host_at_start(name) :]:
            found.append(Violation("peak", f"'{name}' is loaded again, which is a spill", m.issue, (name,)))
    for name in view.stores.keys() - view.outputs:
        m = view.stores[name][0]
        found.append(Violation("peak", f"'{name}' is stored, which is a spill", m.issue, (name,)))
    return found
