"""The functions behind `import memplan`: load, plan, check, simulate, run, emit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.judge.check.check import check as check_rules
from memplan.judge.check.facts import Violation
from memplan.judge.simulate import simulate as simulate_plan
from memplan.machine.target import Target
from memplan.problem.plan import Metrics, Plan

if TYPE_CHECKING:
    from memplan.runtimes.report import RunReport


def load(
    model: str | Path,
    dims: Mapping[str, int] | None = None,
    bounds: Mapping[str, Sequence[int]] | None = None,
    *,
    trust: bool = False,
) -> Model:
    """The model in an .onnx, .pt2 or graph .json file, or of the zoo, by its name.

    `dims` gives sizes to free dimensions, by name or as "INPUT:AXIS"; `bounds` the largest shapes of tensors
    whose sizes only a run decides. `trust` admits a .pt2 with pickles and other parts that can run code as they
    are loaded. GraphError if it cannot be planned.
    """
    from memplan.library.load import load_model

    known = {name: tuple(shape) for name, shape in (bounds or {}).items()}
    return load_model(model, dims or {}, known, trust=trust)


def from_exported(program: Any, dims: Mapping[str, int] | None = None, name: str = "graph") -> Model:
    """The model in a torch.export.ExportedProgram, which needs no weights; see `importers.torch`."""
    from memplan.torch import read as torch

    return torch.from_exported(program, dims, name)


def from_fx(module: Any, example_inputs: Sequence[Any] | None = None, name: str = "graph") -> Model:
    """The model in a torch.fx.GraphModule called with such inputs; see `importers.torch`."""
    from memplan.torch import read as torch

    return torch.from_fx(module, example_inputs, name)


def check(model: Model | Graph, plan: Plan) -> list[Violation]:
    """Every rule the plan breaks and every claim in it that does not recompute; empty for a valid plan."""
    return check_rules(model.graph if isinstance(model, Model) else model, plan)


def simulate(model: Model | Graph, plan: Plan) -> Metrics:
    """What a valid plan costs, recomputed."""
    return simulate_plan(model.graph if isinstance(model, Model) else model, plan)


def run(model: Model, plan: Plan, inputs: Mapping[str, Any] | None = None, seed: int = 0) -> RunReport:
    """Execute the plan in a real arena and compare with the reference runtime; see `execute.run`."""
    from memplan.runtimes.execute import run as run_plan

    return run_plan(model, plan, inputs, seed)


def emit_fx(model: Model, plan: Plan, *, moves: bool = False, poison: bool = False) -> Any:
    """The torch model's GraphModule in the plan's order, with every move in it on request; see `emitters.torch`."""
    from memplan.torch import emit as torch

    return torch.emit_fx(model, plan, moves=moves, poison=poison)


def fx_pass(
    target: str | Path | Target = "scratchpad", *, moves: bool = False, **options: Any
) -> Callable[..., Any]:
    """A pass for fx compilers: plans a GraphModule with these options of `plan` and returns it emitted."""
    from memplan.torch import emit as torch

    return torch.fx_pass(target, moves=moves, **options)


def emit(model: Model, plan: Plan, formats: str | Iterable[str], folder: str | Path = ".") -> list[Path]:
    """Write the plan in each format ("json", "onnx", …) as `folder/STEM.…`; the paths written."""
    from memplan.views.write import emit_plan

    return emit_plan(model, plan, formats, Path(folder))
