"""Seeded random graphs with ops that may be joined: nested, overlapping, with readers of parts and of what they make up."""

from __future__ import annotations

import random

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor


def joining_graph(rng: random.Random, ops: int, sizes: tuple[int, ...] = (1, 2, 3, 4)) -> Graph:
    """A connected-ish DAG of which about a third of the ops join earlier results; some write over an operand, some have
    weights or workspaces."""
    tensors = {"x": Tensor("x", rng.choice(sizes), "input", "int8")}
    roots: list[str] = []
    values, made = ["x"], list[Op]()
    for i in range(ops):
        recent = values[-4:] if rng.random() < 0.7 else values
        out, parts = f"t{i}", [x for x in roots if x in recent]
        rng.shuffle(parts)
        if len(parts) > 1 and rng.random() < 0.45:
            parts = parts[: rng.choice((2, 2, 3))]
            places, end = [], 0
            for x in parts:
                places.append((x, end))
                end += tensors[x].nbytes
            tensors[out] = Tensor(out, end, "activation", "int8")
            made.append(Op(f"op{i}", "Concat", tuple(parts), (out,), joins=tuple(places)))
        elif rng.random() < 0.1:
            source = rng.choice(recent)
            root = next((t.place[0] for t in [tensors[source]] if t.place), source)
            tensors[out] = Tensor(out, tensors[source].nbytes, "activation", "int8", place=(root, 0))
            made.append(Op(f"op{i}", "Reshape", (source,), (out,), view=True))
            values.append(out)
            continue
        else:
            inputs = rng.sample(recent, min(len(recent), rng.choice((1, 1, 2))))
            over = rng.random() < 0.4
            nbytes = tensors[inputs[0]].nbytes if over else rng.choice(sizes)
            tensors[out] = Tensor(out, nbytes, "activation", "int8")
            pairs = tuple((out, x) for x in inputs if over and tensors[x].nbytes == nbytes)
            scratch = f"t{i}.workspace" if rng.random() < 0.15 else None
            if scratch:
                tensors[scratch] = Tensor(scratch, rng.choice(sizes), "workspace")
            if rng.random() < 0.1:
                tensors["w"] = tensors.get("w", Tensor("w", rng.choice(sizes), "constant", "int8"))
                inputs.append("w")
            made_here = (out, scratch) if scratch else (out,)
            made.append(
                Op(f"op{i}", "Add", tuple(inputs), made_here, overwrites=pairs[:1], workspace=scratch)
            )
        values.append(out)
        roots.append(out)
    read = {x for op in made for x in op.inputs}
    outputs = tuple(x for x in values[1:] if x not in read or rng.random() < 0.08)
    return Graph(f"joining{ops}", tuple(tensors.values()), tuple(made), outputs)
