"""Rule 9, broken one way at a time, and two queues that race for one place."""

from __future__ import annotations

from dataclasses import replace

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from tests.plans import load, row, store
from tests.programs import program


def _tensor(name: str, nbytes: int, kind: str = "activation") -> Tensor:
    return Tensor(name, nbytes, kind, "int8", (nbytes,))


TENSORS = (_tensor("x", 4, "input"), *(_tensor(s, 4) for s in "cab"), _tensor("ab", 8), _tensor("y", 8))
OPS = (
    Op("first", "Conv", ("x",), ("a",)),
    Op("other", "Conv", ("x",), ("c",)),
    Op("second", "Relu", ("c",), ("b",), overwrites=(("b", "c"),)),
    Op("join", "Concat", ("a", "b"), ("ab",), joins=(("a", 0), ("b", 4))),
    Op("last", "Conv", ("ab",), ("y",)),
)
GRAPH = Graph("joined", TENSORS, OPS, ("y",))
# c lies where b will be written over it: inside the place of ab, in which a lies already.
ROWS = (row("x", 0, 2, 16, 4), row("ab", 0, 5, 0, 8), row("c", 1, 3, 4, 4), row("y", 4, 5, 8, 8))
PLAN = Plan(
    GRAPH.name, GRAPH.sha256, Target(), Options(inplace=True, join=True), "t", Status.FEASIBLE,
    tuple(op.name for op in OPS), ROWS, (load("x", 0), store("y", 5)), {}, (InPlace(2, "b", "c"),), ("join",),
)  # fmt: skip


def faults(graph: Graph = GRAPH, **fields: object) -> set[str]:
    return {v.rule for v in check(graph, replace(PLAN, **fields), claims=False)}  # type: ignore[arg-type]


def placed(**new: Residency) -> tuple[Residency, ...]:
    return tuple(new.get(r.tensor, r) for r in ROWS)


def test_parts_lie_in_the_joined_output_and_one_is_written_over_its_operand_there() -> None:
    assert faults() == set()


def test_a_joined_output_may_be_written_over_once_it_is_joined() -> None:
    ops = (*OPS[:-1], replace(OPS[-1], overwrites=(("y", "ab"),)))
    graph = replace(GRAPH, ops=ops)
    pairs = (*PLAN.inplace, InPlace(4, "y", "ab"))
    over = placed(y=row("y", 4, 5, 0, 8))
    assert faults(graph, graph_sha256=graph.sha256, residencies=over, inplace=pairs) == set()
    assert faults(graph, graph_sha256=graph.sha256, residencies=over) == {"space"}


def test_only_that_operand_may_lie_in_the_output_before_the_part_is_written() -> None:
    assert faults(inplace=(), residencies=ROWS) == {"space"}
    assert faults(residencies=placed(c=row("c", 1, 3, 0, 4))) == {
        "space",
        "inplace",
    }  # where the other part lies
    assert faults(residencies=placed(x=row("x", 0, 2, 4, 4))) == {"space"}


def test_the_output_has_one_residency_from_its_first_part_on() -> None:
    assert "joined" in faults(residencies=placed(ab=row("ab", 0, 3, 0, 8)))
    late = faults(residencies=placed(ab=row("ab", 1, 5, 0, 8)))
    assert {"joined", "origin"} <= late
    assert "operands" in faults(residencies=placed(ab=row("ab", 0, 4, 0, 8)))


def test_a_part_has_no_place_or_move_of_its_own() -> None:
    assert faults(residencies=(*ROWS, row("a", 1, 2, 32, 4))) == {"joined"}
    assert faults(moves=(*PLAN.moves, store("a", 5))) == {"joined"}


def test_parts_are_aligned() -> None:
    coarse = two_level(scratchpad=Memory("scratchpad", alignment=8))
    wide = tuple(r._replace(size=8, offset=8 * k) for k, r in enumerate(ROWS))
    assert "joined" in faults(target=coarse, residencies=wide)


def test_what_is_joined_is_whole_before_it_is_moved() -> None:
    assert faults(moves=(PLAN.moves[0], store("ab", 4), PLAN.moves[1])) == set()
    assert faults(moves=(PLAN.moves[0], store("ab", 3), PLAN.moves[1])) == {"origin"}


def test_a_part_is_no_output_and_in_one_joined_op() -> None:
    returned = replace(GRAPH, outputs=("a", "y"))
    assert faults(returned) == {"joined"}
    assert faults(joined=("join", "join")) == {"joined"} and faults(joined=("last",)) == {"joined"}
    assert faults(options=Options(inplace=True)) == {"joined"}


RACE = program("x>a x>b a,b>y")


def test_of_two_moves_at_one_boundary_the_one_that_reads_the_bytes_is_listed_before_the_one_that_fills_them() -> (
    None
):
    rows = (
        row("x", 0, 2, 0, 1),
        row("a", 0, 1, 1, 1),
        row("b", 1, 3, 2, 1),
        row("a", 2, 3, 0, 1),
        row("y", 2, 3, 3, 1),
    )
    target = two_level(queues=2)
    out, back = store("a", 1, queue=1), load("a", 2)
    plan = Plan(
        RACE.name, RACE.sha256, target, Options(), "t", Status.FEASIBLE, ("op0", "op1", "op2"), rows,
        (load("x", 0), out, back, store("y", 3, queue=1)),
    )  # fmt: skip
    assert check(RACE, plan, claims=False) == []
    copied = Move("b", "scratchpad", "host", 2, 2, 1)
    racing = (row("x", 0, 2, 0, 1), row("a", 0, 1, 1, 1), row("b", 1, 2, 2, 1), row("b", 2, 3, 4, 1))
    rows = (*racing, row("a", 2, 3, 2, 1), row("y", 2, 3, 3, 1))
    again = load("b", 2)
    for moves, wrong in (
        ((copied, back, again), set()),
        ((back, copied, again), {"moves"}),
        ((again, copied, back), {"origin"}),
    ):
        listed = (load("x", 0), out, *moves, store("y", 3, queue=1))
        found = check(RACE, replace(plan, residencies=rows, moves=listed), claims=False)
        assert {v.rule for v in found} == wrong, (moves, found)


def test_what_is_pinned_keeps_its_pin_as_a_part_too() -> None:
    def pinned(storage: str, word: str) -> set[str]:
        return faults(options=replace(PLAN.options, pins={storage: word}))

    for word in ("@0", "keep@0", "scratchpad", "keep"):
        assert pinned("a", word) == set(), word
    assert pinned("b", "@4") == pinned("b", "keep@4") == set()
    for storage, word in (("a", "host"), ("a", "@4"), ("b", "@0"), ("b", "host")):
        assert pinned(storage, word) == {"pins"}, word
