"""What one chain of ops lacks never exceeds the optimum, and meets it where all that is kept is kept for long."""

from __future__ import annotations

from dataclasses import replace

from memplan_solvers.search.chain_bound import chain_bound
from memplan_solvers.search.subproblem import whole

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem, plan
from tests.agree import check_chain_bound
from tests.graphs import graph_of

SEEDS = 250
"""Random problems; 10,000 by `python -m tests.agree --rules --count 10000`."""


def test_never_exceeds_the_optimum() -> None:
    assert check_chain_bound(range(SEEDS)) > SEEDS / 50


def there_and_back(blocks: int) -> Graph:
    """A chain each of whose results is read again on the way back, last first."""
    tensors, ops, last = [Tensor("x", 4, "input")], [], "x"
    for k in range(blocks):
        ops.append(Op(f"op{k}", "Linear", (last,), (f"a{k}",)))
        tensors.append(Tensor(f"a{k}", 4 + k))
        last = f"a{k}"
    for k in reversed(range(blocks)):
        ops.append(Op(f"back{k}", "Linear", (last, f"a{k}"), (f"b{k}",)))
        tensors.append(Tensor(f"b{k}", 4))
        last = f"b{k}"
    tensors[-1] = Tensor(last, 4, "output")
    return graph_of("there_and_back", tuple(tensors), tuple(ops))


def test_meets_the_optimum_of_a_chain_that_comes_back() -> None:
    graph = there_and_back(8)
    made = plan(graph, scratchpad="0.6MP", solver="search", time_limit_s=60)
    assert made.status is Status.OPTIMAL and made.value
    assert chain_bound(whole(make_problem(graph, scratchpad="0.6MP")), Limits(60)) == made.value


def test_what_is_touched_between_two_lacks_leaves_twice() -> None:
    needs = {"op0": ("kept",), "op1": ("t0",), "op2": ("t1", "kept"), "op3": ("t2",), "op4": ("t3", "kept")}
    ops = tuple(Op(name, "Linear", reads, (f"t{k}",)) for k, (name, reads) in enumerate(needs.items()))
    sizes = (
        10,
        10,
        5,
        15,
        1,
    )  # op1 and op3 touch 20 bytes without the 5 that are kept, the others 21 at most with them
    tensors = tuple(Tensor(f"t{k}", z, "output" if k == 4 else "activation") for k, z in enumerate(sizes))
    touched_between = graph_of("twice", (Tensor("kept", 5, "input"), *tensors), ops)
    not_touched = replace(touched_between, ops=(*ops[:2], replace(ops[2], inputs=("t1",)), *ops[3:]))
    bounds = [
        chain_bound(whole(make_problem(graph, scratchpad=24)), Limits(60))
        for graph in (not_touched, touched_between)
    ]
    assert bounds == [5, 10]


def test_is_nothing_where_all_fits() -> None:
    assert chain_bound(whole(make_problem(there_and_back(8), scratchpad="MP")), Limits(60)) == 0
