"""The public functions that choose a room by what they are given, and import it only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.ranges import Dims
from memplan.judge.check.check import check as check_rules
from memplan.judge.check.violation import Violation
from memplan.judge.simulate import simulate as simulate_plan
from memplan.machine.target import Target
from memplan.problem.plan import Metrics, Plan, planned_graph
from memplan.runtimes.obedience import Obedience
from memplan.runtimes.report import RunReport
from memplan.solving.planning import PlanOptions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


def load(
    model: str | Path,
    dims: Dims | None = None,
    bounds: Mapping[str, Sequence[int]] | None = None,
    *,
    trust: bool = False,
    runtime: str | None = None,
) -> Model:
    """The model in a file, or the one of the zoo that has this name.

    Args:
        model: the path of an `.onnx`, `.pt2`, `.tflite` or graph `.json` file, or a name that `zoo_names` lists.
        dims: sizes of free dimensions, by name or as "INPUT:AXIS"; a free batch that is not named is 1. A pair
            of numbers is a range: the graph has its upper end, and a plan of it holds for every size within.
        bounds: the largest shapes of tensors whose sizes only a run decides, by tensor.
        trust: admit a `.pt2` with pickles and other parts that can run code as they are loaded.
        runtime: whose kernels the ops are: what they alias and write in place ("onnxruntime", of an ONNX model; "executorch", of
            a `.pt2`) or allocate ("torch", of a `.pt2`); plans of the model are for it.

    Returns:
        The model; its `notes` say what was decided on the way.

    Raises:
        GraphError: the file cannot be read, or what is in it cannot be planned.
        DimensionError: `dims` names no free dimension.
        BoundError: `bounds` names a tensor that needs none, or contradicts what is known of it.

    >>> import memplan
    >>> model = memplan.load("resnet8_int8")
    >>> print(model.graph.name, len(model.graph.ops))
    resnet8_int8 29
    """
    from memplan.library.load import load_model

    known = {name: tuple(shape) for name, shape in (bounds or {}).items()}
    return load_model(model, dims or {}, known, trust=trust, runtime=runtime)


def from_exported(
    program: ExportedProgram, dims: Dims | None = None, name: str = "graph", *, runtime: str | None = None
) -> Model:
    """The model in a torch.export.ExportedProgram; fake and meta tensors suffice, no weights are read.

    Parameters and unchanged buffers become constants; a buffer that the program updates is an input, and its
    next value an output.

    Args:
        program: what torch.export.export returns.
        dims: sizes of dynamic dimensions, by "INPUT:AXIS" or by symbol; a pair of numbers is a range, as of `load`.
        name: what the graph, and files made from it, are called.
        runtime: who executes it: with "torch" the graph is what eager torch does, whose kernels are asked what they allocate.

    Returns:
        The model, whose source is the program as a module in normal form, so that it can be executed and
        emitted.

    Raises:
        GraphError: it is no ExportedProgram, or cannot be planned.
        MemplanError: torch is not installed.

    >>> import memplan, torch
    >>> program = torch.export.export(torch.nn.ReLU(), (torch.zeros(3, 4),))
    >>> model = memplan.from_exported(program)
    >>> [(op.kind, model.graph.tensor[op.outputs[0]].nbytes) for op in model.graph.ops]
    [('aten.relu.default', 48)]
    """
    from memplan.torch import read as torch

    return torch.from_exported(program, dims, name, runtime)


def from_fx(
    module: GraphModule,
    example_inputs: Sequence[object] | None = None,
    name: str = "graph",
    *,
    runtime: str | None = None,
) -> Model:
    """The model in a torch.fx.GraphModule that is called with tensors like these.

    Placeholders become inputs, attributes constants; ops that are not aten, or that change their operands,
    are traced to functional aten ones. A placeholder or buffer that the module updates in place is an input,
    and its next value an output.

    Args:
        module: the traced module.
        example_inputs: a tensor for each placeholder, in order: fake, meta or real. Without them the
            placeholders' `meta["val"]` are used.
        name: what the graph, and files made from it, are called.
        runtime: as of `from_exported`.

    Returns:
        The model, whose source is the module in normal form, so that it can be executed and emitted.

    Raises:
        GraphError: it is no GraphModule, the inputs do not fit, or it cannot be planned.
        MemplanError: torch is not installed.

    >>> import memplan, torch
    >>> module = torch.fx.symbolic_trace(torch.nn.ReLU())
    >>> model = memplan.from_fx(module, [torch.zeros(3, 4)])
    >>> [(op.kind, model.graph.tensor[op.outputs[0]].nbytes) for op in model.graph.ops]
    [('aten.relu.default', 48)]
    """
    from memplan.torch import read as torch

    return torch.from_fx(module, example_inputs, name, runtime)


def check(model: Model | Graph, plan: Plan) -> list[Violation]:
    """Every rule the plan breaks and every claim in it that does not recompute; empty for a valid plan.

    Decided from the graph and from the target and the options that the plan names, by code that no solver
    shares. A malformed plan breaks rules, it raises nothing. Takes O(n log n) for n residencies and moves.

    Args:
        model: what was planned.
        plan: the plan, from a solver or a file.

    Returns:
        A violation for each broken rule and place; their words are explained in docs/rules.md.

    >>> import memplan
    >>> from dataclasses import replace
    >>> model = memplan.load("resnet8_int8")
    >>> plan = memplan.plan(model)
    >>> memplan.check(model, plan)
    []
    >>> memplan.check(model, replace(plan, schedule=plan.schedule[1:]))[0].rule
    'schedule'
    """
    return check_rules(model.graph if isinstance(model, Model) else model, plan)


def simulate(model: Model | Graph, plan: Plan) -> Metrics:
    """What a valid plan costs, recomputed: bytes moved, peaks in bytes, and on a timed target seconds.

    Args:
        model: what was planned.
        plan: a plan in which `check` finds nothing; of any other the answer means nothing.

    Returns:
        The metrics; latencies are 0 on an untimed target.

    >>> import memplan
    >>> model = memplan.load("resnet8_int8")
    >>> plan = memplan.plan(model)
    >>> memplan.simulate(model, plan) == plan.metrics
    True
    """
    return simulate_plan(planned_graph(model.graph if isinstance(model, Model) else model, plan), plan)


def run(
    model: Model,
    plan: Plan,
    inputs: Mapping[str, ArrayLike] | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
) -> RunReport:
    """Execute the plan op by op in buffers of its memories' peaks; compare each output with the reference.

    The reference is plain onnxruntime, or eager torch, on one thread. Outputs that differ raise nothing: the
    report says which, and `identical` whether any does.

    Args:
        model: what was planned, from ONNX or torch, or of the zoo: graph JSON has no kernels.
        plan: a valid plan with a schedule.
        inputs: an array for each input, by name, in the input's shape and dtype; seeded where there are none.
        seed: makes inputs, and weights that the model lacks.
        dims: sizes within the ranges that the model was loaded and planned with, by name; a range that is not
            named has its upper end.

    Returns:
        For each output whether its bits are the reference's, and the bytes and seconds that the execution
        took.

    Raises:
        PlanError: the plan was made for another graph.
        GraphError: the model has nothing that can be executed.
        OptionError: an input is missing, unknown, or of another shape or dtype; a size lies outside of its range.
        DimensionError: `dims` names no dimension with a range.
        ExecutionError: an operand is nowhere when its op runs, or a kernel fails.

    >>> import memplan
    >>> model = memplan.load("tc_resnet8")
    >>> memplan.run(model, memplan.plan(model, scratchpad="MR")).identical
    True
    """
    from memplan.runtimes.execute import run as run_plan

    return run_plan(model, plan, inputs, seed, dims)


def emit_fx(model: Model, plan: Plan, *, moves: bool = False, poison: bool = False) -> GraphModule:
    """The torch model's module with its ops in the plan's order; it computes what the source computes.

    `node.meta["memplan"]` says of each planned op where what it writes lies, and what is loaded, stored and
    freed around it; `module.meta["memplan"]` is the plan.

    Args:
        model: from `from_exported`, `from_fx` or a `.pt2`.
        plan: a plan of it with a schedule.
        moves: work in a scratchpad, the buffer `memplan_scratchpad` of as many bytes as the plan uses, and
            copy what the plan moves. Memory K > 0 of the target is `memplan_scratchpad_K`. Of a plan for the runtime torch,
            whose tensors torch allocates, only copy what is moved to the host and back.
        poison: with `moves`, overwrite bytes once the plan frees them.

    Returns:
        A new module, called as the source is; with `moves`, threads that call it wait for each other.

    Raises:
        MemplanError: the model does not come from torch.
        PlanError: the plan was made for another graph, or holds no schedule.
    """
    from memplan.torch import emit as torch

    return torch.emit_fx(model, plan, moves=moves, poison=poison)


def fx_pass(
    target: str | Path | Target = "scratchpad", *, moves: bool = False, **options: Unpack[PlanOptions]
) -> Callable[..., GraphModule]:
    """A pass for fx compilers: it plans a GraphModule and returns it emitted.

    Behind `torch._dynamo.backends.common.aot_autograd(fw_compiler=…)` it is a backend of torch.compile. A
    module whose sizes are free comes back as it is, with a warning.

    Args:
        target: as of `plan`.
        moves: as of `emit_fx`.
        options: those of `plan`.

    Returns:
        `run(module, example_inputs=None)`, which returns a GraphModule, and raises MemplanError where no plan
        is found. Without example inputs the placeholders' `meta["val"]` are used.
    """
    from memplan.torch import emit as torch

    return torch.fx_pass(target, moves=moves, **options)


def torch_backend(
    target: str | Path | Target = "scratchpad",
    *,
    planned: Callable[[Model, Plan], object] | None = None,
    **options: Unpack[PlanOptions],
) -> Callable[[GraphModule, Sequence[object]], Callable[..., object]]:
    """A backend of torch.compile that plans forward and backward as one program.

    The plan decides the order inside each, what is saved between them, what is executed again in the backward, and what is
    stored on the host meanwhile. Give `torch.compile` also `dynamic=False`: a graph whose sizes are free runs without a plan,
    with a warning. What needs no gradients is planned alone.

    Args:
        target: as of `plan`.
        planned: is told each model that is compiled, with its plan.
        options: those of `plan`; the objective is the peak where none is named. The runtime is torch.

    Returns:
        The backend, which raises MemplanError where no plan is found.

    Raises:
        MemplanError: torch is not installed.
    """
    from memplan.torch.read import require_torch

    require_torch()
    from memplan.torch import backend as torch

    return torch.torch_backend(target, planned=planned, **options)


def measure(model: Model, plan: Plan, on: str, seed: int = 0) -> Obedience:
    """What a runtime makes of the plan by its own count, beside what it makes of the model without one.

    Both run on the same made-up inputs.

    Args:
        model: what was planned, read from a file of the runtime's.
        plan: a plan of it that keeps to the runtime's ways, as `plan(model, runtime=on)` makes.
        on: the runtime: "c" (the emitted host test, compiled here), "executorch", "onnxruntime", "tflm" or "torch".
        seed: of the inputs.

    Returns:
        The bytes planned, measured, and taken by the runtime's own planner, and whether the outputs are the same.

    Raises:
        OptionError: the runtime is unknown.
        PlanError: the plan is of another graph, or asks for what the runtime does not do.
        ExecutionError: the runtime does not run the model.
        MemplanError: the runtime, or a C compiler, is not installed, or the model comes from no file of the runtime's.

    >>> import memplan
    >>> model = memplan.load("resnet8_int8")
    >>> try:
    ...     memplan.measure(model, memplan.plan(model, runtime="tflm"), on="tflm")
    ... except memplan.MemplanError as error:
    ...     print(error.message)
    'resnet8_int8' was not read from a .tflite file
    """
    from memplan.runtimes.measure import measure as measure_on

    return measure_on(model, plan, on, seed)


def emit(model: Model, plan: Plan, formats: str | Iterable[str], folder: str | Path = ".") -> list[Path]:
    """Write the plan into `folder` in each format; nothing is written if any of them fails.

    Args:
        model: what was planned; files are named after its `stem`.
        plan: a plan of it.
        formats: of "json", "onnx" (the source annotated), "tflite" or "pte" (the source as planned), "html" (a
            report), "svg", "trace" and "c" (for firmware), or a text of such names with commas between.
        folder: is made where it is not there.

    Returns:
        The paths written, in the order of the formats.

    Raises:
        OptionError: a format is unknown.
        PlanError: the plan was made for another graph, or holds nothing that the format could show.
        MemplanError: a format needs a source that the model lacks, or a file cannot be written.

    >>> import memplan, tempfile
    >>> model = memplan.load("resnet8_int8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for path in memplan.emit(model, memplan.plan(model), "json,svg", folder):
    ...         print(path.name)
    resnet8_int8.plan.json
    resnet8_int8.svg
    """
    from memplan.views.write import emit_plan

    return emit_plan(model, plan, formats, Path(folder))
