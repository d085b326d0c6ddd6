"""What each rule of the checker asks, why, and how to mend what breaks it: the words of `docs/rules.md`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule, in Markdown: the `word` that names it in a Violation, what is asked, why, and what to do."""

    word: str
    what: str
    why: str
    mend: str


RULES = (
    Rule(
        "graph",
        what="The plan was made for the graph that it is checked against. A plan carries the SHA-256 digest "
        "of its graph, and the digests are compared.",
        why="A plan speaks of its graph by names and sizes. Beside another graph it means nothing, even "
        "where the names happen to be the same. Where this rule is broken no other rule is looked at.",
        mend="Name the model that was planned, with the same `--dim`, or plan this one.",
    ),
    Rule(
        "status",
        what="A plan whose status is `infeasible` or `unknown` holds no schedule, no residencies, no moves "
        "and no in-place pairs.",
        why="Such a plan says that there is no answer, or that none was found in time. A schedule would "
        "contradict it.",
        mend="Leave the schedule out, or give the plan the status `feasible`, or `optimal` if its value "
        "equals its bound.",
    ),
    Rule(
        "tiles",
        what="A plan with a `tiling` speaks of the graph that the tiling makes of the model, which is derived again. In it each "
        "tile names an op of the model and a box of that op's results. It reads of each operand the box that its own needs, "
        "each element once, from tensors that hold it by then; every tensor that an op outside of the tiles reads, and every "
        "output, is written once, without gaps. Flops, workspaces, views and what may be written over what follow from the boxes. "
        "All other ops, and what goes in and comes out, are the model's.",
        why="Only then do the tiles compute what the model does. The rules of places and copies look at the tiles alone. "
        "Where this rule is broken no other rule is looked at.",
        mend="Name the model as it was tiled, or tile this one anew.",
    ),
    Rule(
        "schedule",
        what="The schedule is a list of executions: each names an op of the graph, comes after executions of all "
        "ops whose results it reads, and after those that its `after` names. Each op is executed at least "
        "once, and at most as often as the option `recompute` says; an op that is marked `once` is executed "
        "once. With the option `order = program` the first executions keep the graph's own order. All "
        "executions together cost no more than `compute_limit` times what executing each op once costs.",
        why="An op that runs before its operand is written computes with whatever bytes lie there, and one that "
        "is stateful gives something else when it runs again. Every rule about places and copies speaks of "
        "the schedule's steps, so those rules are left out where this one is broken.",
        mend="Execute each op once, producers before consumers. If the graph's own order is not meant, plan with "
        "`order = free`; if ops are to be computed again, allow it with `recompute`.",
    ),
    Rule(
        "names",
        what="Each residency and each move belongs to a storage of the graph. A storage is the run of bytes that a "
        "tensor and its views share; it is named after the tensor that is no view. A residency lies in a "
        "memory of the target in which plans give addresses; a move goes from one memory of the target to "
        "another.",
        why="A view has no bytes of its own. If it could be placed or moved, its storage would be in two places. "
        "In a memory without addresses, such as the backing memory, everything has its place already.",
        mend="Name the storage instead of the view: `Graph.storage_of` maps each tensor to it. Name memories as "
        "the target does, and give residencies in `Target.addressed` alone.",
    ),
    Rule(
        "aliases",
        what="The plan's `aliases` are the graph's: each view, with the storage in whose bytes it lies.",
        why="Who executes a plan finds the bytes of a view by this table.",
        mend="Give the plan `Graph.aliases` as they are.",
    ),
    Rule(
        "space",
        what="A residency lasts at least one step, within the schedule. Its size is that of its tensor, rounded up "
        "to the memory's alignment. Its offset is a multiple of the alignments of memory and tensor, not "
        "below 0, and it ends within the memory's capacity. Storages that are resident in one memory in the "
        "same step share no byte, but for an in-place pair in the step that writes the one over the other, "
        "and for an operand that lies where a part of a joined output will be written over it. A storage has "
        "one place in a memory at a time. A packing's buffers obey the same: alignment, capacity, no overlap.",
        why="A memory is one array of bytes. Two values in the same bytes at the same time destroy each other, "
        "and hardware reads at aligned addresses only.",
        mend="Assign the offsets anew for these residencies, for instance with a packer (`memplan.pack`). If they "
        "do not fit, end a residency earlier and load the storage again when it is needed.",
    ),
    Rule(
        "moves",
        what="A move is issued at a boundary (boundary t lies before step t) and due at that one or a later one. "
        "With the objectives `traffic`, `peak` and `compute` a move takes no time, so both are the same. It "
        "stands in a queue in which the target can copy from the one memory to the other, and no move in that "
        "queue is issued later and listed before it. A move to a memory with addresses begins a residency and "
        "is due before its last step. Where it fills bytes that lay there until its issue, each move that "
        "reads them is listed before it. A workspace is not moved.",
        why="A move copies bytes from a place to a place. Both must be there while it copies, and queues take "
        "moves in the order of the list.",
        mend="Issue a move at the first step of the residency that it begins, list moves by their issue, and at "
        "one boundary those that free bytes before those that fill them. Remove the other moves.",
    ),
    Rule(
        "origin",
        what="A residency begins in exactly one way: at boundary 0 in the storage's home, at an execution that "
        "writes it, or with exactly one move. A move reads a copy that is ready at its issue and does not end "
        "before it is due: one that was at home there, that an earlier step wrote, or that a move made which "
        "is due by then and, if at this very boundary, listed before. A memory without addresses is given no "
        "second copy.",
        why="Bytes do not appear from nowhere, and nothing is copied from one place to another within a memory.",
        mend="Add a move at the residency's first step, from a memory that has a copy then. Or let an earlier "
        "residency of the storage last until then, at the same offset.",
    ),
    Rule(
        "operands",
        what="Each storage that an execution reads has a ready copy in a memory from which the op may read it. "
        "Each storage that it writes goes to one place: a residency that begins at its step in a memory to "
        "which it may write, or the backing memory. No move is under way that reads or writes what the step "
        "writes. View ops and joined ops read and write nothing, and with `weights = ignore` constants are "
        "left out.",
        why="The target's `operands` say which memories its kernels reach, by the kind of the op or the role of "
        "the operand.",
        mend="Extend a residency over this step, or begin one with a move before it or at it, in a memory that the "
        "op reaches.",
    ),
    Rule(
        "outputs",
        what="At the end each output of the graph has a ready copy in its home: the backing memory with `io = "
        "host`, the first memory with `io = resident`. An output that is the next value of a donated input "
        "lies in that input's buffer.",
        why="The caller finds the results at home. What is left elsewhere is lost to it.",
        mend="Move each output home once, after the step that writes it and while a copy of it is there.",
    ),
    Rule(
        "peak",
        what="With the objectives `peak` and `compute` nothing is spilled: the only moves are the first of each "
        "input or constant from its home, and that of each output to its home. With `weights = stream` a "
        "constant is loaded for each of its uses.",
        why="These objectives ask how small a memory can be, or how little must be computed again, without "
        "spilling.",
        mend="Keep each storage resident from its first use to its last, or plan with the objective `traffic`.",
    ),
    Rule(
        "inplace",
        what="An execution writes its result over an operand only if the options allow it: `inplace`, or `donate` "
        "for an input. The pair must be one of the op's `overwrites`. All that the op reads of the operand's "
        "storage fills it and has the layout of the result. The operand's copy is ready, its residency ends "
        "with the step and the result's begins with it, both at one offset. A copy at home is overwritten "
        "only if it is that of a donated input.",
        why="The result destroys the operand byte by byte while the op still reads. That is safe only if the op's "
        "kernel is made for it. Who needs the operand later needs another copy.",
        mend="Remove the pair from the plan's `inplace` and give the result a place of its own, or plan with "
        "`inplace = on`.",
    ),
    Rule(
        "joined",
        what="An op is joined only if the option `join` allows it and the op has `joins`. Its operands are its "
        "parts: each lies in its output's storage from its first byte on and has no residency or move of its "
        "own. That storage has one residency, from the step that writes the first part to the joined op's "
        "step at least. Parts are activations, no outputs of the graph, aligned where they lie, in one joined "
        "op each, and overwritten by nothing. Those that write them are executed once, and so is the joined "
        "op.",
        why="A joined op copies nothing, since its operands lie side by side in its output already. So the "
        "output's bytes must be there from the first part on.",
        mend="Remove the op from the plan's `joined`, and give its operands and its output places of their own.",
    ),
    Rule(
        "weights",
        what="With `weights = ignore` no constant is placed or moved. With `weights = stream` each residency of a "
        "constant away from home serves one use and ends with it; it lasts for that step alone, unless the "
        "objective is `latency`.",
        why="The option says how the machine treats constants: read from a memory of their own, or streamed "
        "through a memory whenever they are used.",
        mend="Remove the constant's residencies and moves, or load it anew for each use. If constants are to be "
        "placed like all else, plan with `weights = tensor`.",
    ),
    Rule(
        "workspace",
        what="The workspace of an op has one residency for each step that executes the op, for that step alone, in "
        "one of the memories to which the op may write.",
        why="A workspace holds what a kernel writes down while it runs. It has no value before or afterwards.",
        mend="Give the workspace one residency for each step of its op.",
    ),
    Rule(
        "io",
        what="With `io = resident` an input lies in the first memory from the first step to its last use, and an "
        "output from the step that writes it to the end; neither is ever moved. An input that is an output "
        "too stays to the end; one that is neither used nor an output needs no place. With `io = external` "
        "both lie in the caller's buffers, and have neither residencies nor moves. With `io = host` the "
        "target needs a backing memory, where they are at home.",
        why="The caller hands its inputs over there and finds the outputs there.",
        mend="Give each of them that one residency and no moves, or plan with `io = host`.",
    ),
    Rule(
        "pins",
        what="What the options pin is kept. A storage pinned to `keep` has one residency from its first touch "
        "to its last or longer; one pinned to `host` has none and is never moved; one pinned to `MEMORY` lies "
        "in no other memory, but for its home and the backing memory, and one pinned to `MEMORY@OFFSET` lies "
        "there at that offset. `@OFFSET` means the first memory. An operand of a joined op lies "
        "where its bytes are in the op's output.",
        why="A pin says what is fixed outside the plan, such as a buffer that other programs share.",
        mend="Place the storage as its pin says and make room around it, or plan without the pin.",
    ),
    Rule(
        "claims",
        what="What the plan says of itself is what comes out when it is recomputed: the graph's name, each "
        "metric, and the value of the objective. The bound is not above the value, and the status is "
        "`optimal` if both are equal, and `feasible` otherwise.",
        why="The numbers in a file are only claims. They are recomputed where no other rule is broken.",
        mend="Take over the metrics that `memplan.simulate` returns, and the objective's value among them. "
        "A bound above the value is none: lower it to what is proved.",
    ),
    Rule(
        "count",
        what="A packing has one offset for each buffer.",
        why="Offsets are matched to buffers by their position. Where this rule is broken no other rule of "
        "packings is looked at.",
        mend="Return one offset for each buffer, in the order of the buffers.",
    ),
    Rule(
        "fixed",
        what="A buffer that is given with an offset lies at this offset in the packing.",
        why="Who gives an offset has something there already.",
        mend="Leave the buffer where it is and place the others around it, or give it without an offset.",
    ),
)
"""Every rule: those of plans, then those of packings alone."""
