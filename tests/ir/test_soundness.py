"""Importers claim what a kind of op could do; what the layout forbids is left out, and the rest makes a graph."""

from __future__ import annotations

import random

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops


def test_whatever_is_claimed_a_graph_is_made_of_what_is_sound() -> None:
    kept = {"overwrites": 0, "joins": 0, "views": 0}
    for seed in range(300):
        dice = random.Random(seed)
        tensors, ops = [Tensor("x", 4, "input", shape=(4,))], []
        for i in range(6):
            operands = tuple(dict.fromkeys(dice.choices([t.name for t in tensors], k=dice.randint(1, 2))))
            view = dice.random() < 0.2
            nbytes = {t.name: t.nbytes for t in tensors}
            size = nbytes[operands[0]] if view else dice.choice((4, sum(nbytes[x] for x in operands)))
            tensors.append(Tensor(f"t{i}", size, shape=(size,)))
            pairs = tuple((f"t{i}", x) for x in operands)
            joins = tuple((x, dice.randint(0, 9)) for x in dice.choice((operands, operands * 2)))
            ops.append(Op(f"op{i}", "Any", operands, (f"t{i}",), view=view, overwrites=pairs, joins=joins))
        sound = sound_ops(tensors, ops)
        graph = Graph("g", tuple(tensors), sound)  # which refuses what is not
        assert [op.inputs for op in sound] == [op.inputs for op in ops]
        for op in graph.ops:
            kept["overwrites"] += len(op.overwrites)
            kept["joins"] += len(op.joins)
            kept["views"] += op.view
            assert [x for x, _ in op.joins] in ([], list(op.inputs))
        assert sound_ops(tensors, sound) == sound
    assert min(kept.values()) > 100, kept


def test_parts_are_laid_anew_where_tensors_were_resized() -> None:
    tensors = [Tensor("x", 1, "input"), Tensor("a", 6), Tensor("b", 2), Tensor("y", 8)]
    made = [Op("p", "Split", ("x",), ("a", "b"))]
    cat = Op("cat", "Concat", ("a", "b"), ("y",), joins=(("a", 0), ("b", 24)))
    assert sound_ops(tensors, [*made, cat])[1].joins == (("a", 0), ("b", 6))
