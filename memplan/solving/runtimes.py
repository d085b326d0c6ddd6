"""What it means for a call that its plan is for a runtime: whose kernels the model has, and what can be asked."""

from __future__ import annotations

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.profile import Profile, load_profile
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.pins import parse_pin


def loaded_for(model: Model | Graph) -> str | None:
    """The runtime whose kernels the model's ops are, None where that is left open."""
    return model.runtime if isinstance(model, Model) else None


def profile_for(model: Model | Graph, runtime: str | None) -> Profile | None:
    """The profile of the runtime, if one is named.

    OptionError where it is unknown, or says something of every kind of op and the model was loaded without it.
    """
    if runtime is None:
        return None
    profile = load_profile(runtime)
    if isinstance(model, Model) and model.runtime != runtime and "*" in profile.kernels:
        raise OptionError(
            f"'{model.stem}' was not read as {runtime} executes it",
            f"give a file that it runs; in Python, load it by memplan.load(path, runtime='{runtime}')",
        )
    return profile


def carried_out(profile: Profile, objective: str | None, target: Target) -> str | None:
    """The objective, the peak where none is named and the runtime moves nothing; OptionError where its plans would move.

    On a target that moves nothing either, a runtime with several memories can be asked for the least traffic to the slower ones.
    """
    placed = profile.several_memories and len(target.addressed) > 1 and not target.queues
    if profile.moves or (placed and objective != "latency"):
        return objective
    if objective not in (None, "peak"):
        raise OptionError(
            f"runtime '{profile.name}' moves nothing, so that no plan for it spills", "use objective peak"
        )
    return "peak"


def refuse_undone(profile: Profile, target: Target, options: Options) -> None:
    """OptionError where a plan could ask of the runtime what it does not do."""
    used = {name for names in target.operands.values() for name in names if not target.memory[name].readonly}
    several = len(used | {target.scratchpad.name}) > 1
    pinned = next((name for name, pin in options.pins.items() if parse_pin(pin).offset is not None), None)
    faults = (
        (
            not profile.keeps_order and options.order == "free",
            "keeps the order of the model",
            "--order program",
        ),
        (not profile.repeats and options.recompute != 1, "executes each op once", "--recompute off"),
        (
            not profile.several_memories and several,
            f"has one memory, and ops on '{target.name}' use several",
            "a --target on which they use one",
        ),
        (
            not profile.takes_offsets and pinned is not None,
            f"places '{pinned}' itself",
            "no --pin to an offset",
        ),
    )
    for wrong, what, instead in faults:
        if wrong:
            raise OptionError(f"runtime '{profile.name}' {what}", f"give {instead}")
