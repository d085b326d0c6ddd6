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
        "schedule",
        what="The schedule names each op of the graph exactly once, and each op after the ops whose results "
        "it reads, and after those that its `after` names. With the option `order = program` it is the "
        "graph's own order.",
        why="An op that runs before its operand is written computes with whatever bytes lie there, and one "
        "that is to come after another may see what that one does to a variable. Every "
        "rule about places and copies speaks of the schedule's steps, so those rules are left out where "
        "this one is broken.",
        mend="List each op once, producers before consumers and ops before those that come after them. If the graph's own order is not meant, plan "
        "with `order = free`.",
    ),
    Rule(
        "names",
        what="Each residency and each move belongs to a storage of the graph, and each move is a `load` or "
        "a `store`. A storage is the run of bytes that a tensor and its views share; it is named after the "
        "tensor that is no view.",
        why="A view has no bytes of its own. If it could be placed or moved, its storage would be in two "
        "places.",
        mend="Name the storage instead of the view: `Graph.storage_of` maps each tensor to it.",
    ),
    Rule(
        "aliases",
        what="The plan's `aliases` are the graph's: each view, with the storage in whose bytes it lies.",
        why="Who executes a plan finds the bytes of a view by this table.",
        mend="Give the plan `Graph.aliases` as they are.",
    ),
    Rule(
        "space",
        what="A residency lasts at least one step, within the schedule. Its size is that of its tensor, "
        "rounded up to the alignment. Its offset is a multiple of the alignment, and of the tensor's own "
        "where it has one, not below 0, and it ends within the capacity. Storages that are resident in the same step share no byte, but for an "
        "in-place pair in the step that writes the one over the other. A storage has one place at a time. A "
        "packing's buffers obey the same: alignment, capacity, no overlap.",
        why="The scratchpad is one array of bytes. Two values in the same bytes at the same time destroy "
        "each other, and hardware reads at aligned addresses only.",
        mend="Assign the offsets anew for these residencies, for instance with a packer (`memplan.pack`). "
        "If they do not fit, end a residency earlier and load the storage again when it is needed.",
    ),
    Rule(
        "moves",
        what="A move is issued at a step of the schedule, and due at that step or later. With the "
        "objectives `traffic` and `peak` a move takes no time, so both are the same step; with `latency` a "
        "store takes at least one step. A load begins a residency, and is due no later than the first use "
        "in it. A storage is stored at most once, within a residency, and not before it is written. What "
        "host memory holds from the start is never stored.",
        why="A move copies bytes between a place in the scratchpad and host memory. There must be such a "
        "place while it copies, and the bytes must be there when an op reads them. A storage is written "
        "once, so a second store says nothing new.",
        mend="Issue a load at the first step of the residency that it begins. Issue one store while the "
        "storage is resident, at the step of its producer or later. Remove the other moves.",
    ),
    Rule(
        "origin",
        what="A residency begins at the step of the op that writes the storage, or with exactly one load "
        "from a valid copy in host memory. A copy is valid if it is an input or a constant, if it was "
        "stored at an earlier step, or if its op wrote it to host memory. With `io = resident` an input "
        "lies in the scratchpad from the first step, without a load.",
        why="Bytes do not appear from nowhere, and nothing is copied from one place in the scratchpad to "
        "another.",
        mend="Add a load at the residency's first step, and for a tensor that an op writes a store at an "
        "earlier step. Or let an earlier residency of the storage last until then, at the same offset.",
    ),
    Rule(
        "operands",
        what="What an op reads or writes is resident at the op's step. On a target with `operands = "
        '"any"`, an operand that is not resident is read from a valid copy in host memory instead. View '
        "ops read and write nothing, and with `weights = ignore` constants are left out.",
        why="An accelerator computes on its scratchpad alone, unless the target says that it reaches host "
        "memory as well.",
        mend="Extend a residency over this step, or begin one with a load before it or at it.",
    ),
    Rule(
        "outputs",
        what="With `io = host`, host memory holds a copy of each output of the graph at the end.",
        why="The caller finds the results in host memory. What is left in the scratchpad is lost to it.",
        mend="Store each output once, at the step that writes it or while it is still resident.",
    ),
    Rule(
        "peak",
        what="With the objective `peak` nothing is spilled. An input or a constant is loaded at most once, "
        "a tensor that an op writes never, and outputs alone are stored. With `weights = stream` a constant "
        "is loaded for each of its uses.",
        why="This objective asks how small a scratchpad can be without spilling. With spills the answer "
        "would always be what the largest op needs.",
        mend="Keep each storage resident from its first use to its last, or plan with the objective "
        "`traffic`.",
    ),
    Rule(
        "inplace",
        what="An op writes its result over an operand only if the options allow it: `inplace` for an "
        "activation, `donate` for an input. The pair must be one of the op's `overwrites`. All that the op "
        "reads of the operand's storage fills it and has the layout of the result. The operand is no output "
        "and no constant, nobody reads it later, and nothing else is written over it. Its residency ends "
        "with the step and the result's begins with it, both at one offset.",
        why="The result destroys the operand byte by byte while the op still reads. That is safe only if "
        "the op's kernel is made for it, and if nobody needs the operand afterwards.",
        mend="Remove the pair from the plan's `inplace` and give the result a place of its own, or plan "
        "with `inplace = on`.",
    ),
    Rule(
        "weights",
        what="With `weights = ignore` no constant is placed or moved. With `weights = stream` each "
        "residency of a constant serves one use and ends with it; it lasts for that step alone, unless the "
        "objective is `latency`.",
        why="The option says how the machine treats constants: read from a memory of their own, or streamed "
        "through the scratchpad whenever they are used.",
        mend="Remove the constant's residencies and moves, or load it anew for each use. If constants are "
        "to be placed like all else, plan with `weights = tensor`.",
    ),
    Rule(
        "workspace",
        what="The workspace of an op lies in the scratchpad during the op's step and at no other time, and "
        "is never moved.",
        why="A workspace holds what a kernel writes down while it runs. It has no value before or "
        "afterwards.",
        mend="Give the workspace one residency, for the step of its op alone.",
    ),
    Rule(
        "io",
        what="With `io = resident` an input lies in the scratchpad from the first step to its last use, and "
        "an output from the step that writes it to the end; each has one residency and is never moved. An "
        "input that is an output too stays to the end; one that is neither used nor an output needs no "
        "place.",
        why="The caller hands its inputs over in the scratchpad and finds the outputs there.",
        mend="Give each of them that one residency and no moves, or plan with `io = host`.",
    ),
    Rule(
        "pins",
        what="What the options pin is kept. A storage pinned to `keep` has one residency, from its first "
        "touch to its last or longer; one pinned to `host` has none and is never moved; one pinned to "
        "`@OFFSET` lies at that offset whenever it is resident.",
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
