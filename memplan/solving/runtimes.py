"""What it means for a call that its plan is for a runtime: whose kernels the model has, and what can be asked."""

from __future__ import annotations

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.profile import Profile, load_profile


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
            f"give a model file of the runtime's kind; in Python, load it by memplan.load(path, runtime='{runtime}')",
        )
    return profile


def carried_out(profile: Profile, objective: str | None) -> str | None:
    """The objective, the peak where none is named and the runtime moves nothing; OptionError where its plans would move."""
    if profile.moves:
        return objective
    if objective not in (None, "peak"):
        raise OptionError(
            f"runtime '{profile.name}' moves nothing, so that no plan for it spills", "use objective peak"
        )
    return "peak"
