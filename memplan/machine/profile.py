"""Runtime profiles: what a runtime does with a plan, as data; TOML files under `profiles/`, a source for each fact."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any

from memplan.base.errors import OptionError, nearest
from memplan.machine.policies import POLICIES

CONTROL_FLOW = ("planned", "bounded")
"""What may be written for `Profile.control_flow`."""


@dataclass(frozen=True)
class KernelBehaviour:
    """What a runtime's kernel of one kind of op does; None where the importer's own word stands.

    Args:
        view: its output lies in the bytes of its first operand, and it then copies nothing.
        overwrites: positions, from 0, of the operands that its one result may be written over.
        joins: its result is its operands side by side, and it copies none that lies there already.
    """

    view: bool | None = None
    overwrites: tuple[int, ...] | None = None
    joins: bool | None = None


@dataclass(frozen=True)
class Profile:
    """What a runtime does with a plan.

    Args:
        name: what `--runtime` calls it.
        alignment: its offsets are multiples of so many bytes.
        keeps_order: it executes the ops in the order of the plan, and not in the model's alone.
        takes_offsets: it places tensors at the plan's offsets, and not where it likes.
        several_memories: it places tensors in more than one memory.
        moves: it copies tensors between memories: plans may spill.
        repeats: it can execute an op more than once.
        workspaces: what a kernel needs while it runs counts as its own tensors do.
        control_flow: what bodies hold lies where the plan says ("planned"), or takes at most what it says ("bounded").
        policies: how it treats weights, inputs and outputs, and whether it writes in place, where a call says nothing:
            by "weights", "io" and "inplace".
        copies_outputs: what it returns lies in the caller's buffers alone: a view that is an output is copied there.
        kernels: what its kernels do, by kind of op; "*" stands for every kind that is not named.
        sources: where each fact comes from, by its name.

    Raises:
        OptionError: a policy, or what is done with control flow, is unknown.
    """

    name: str
    alignment: int = 1
    keeps_order: bool = True
    takes_offsets: bool = True
    several_memories: bool = False
    moves: bool = False
    repeats: bool = False
    workspaces: bool = True
    control_flow: str = "bounded"
    copies_outputs: bool = False
    policies: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, KernelBehaviour] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, word in self.policies.items():
            if word not in POLICIES.get(key, ()):
                known = ", ".join(f"{k} = {' or '.join(words)}" for k, words in POLICIES.items())
                raise OptionError(f"profile '{self.name}': policy {key} = '{word}'", f"known: {known}")
        if self.control_flow not in CONTROL_FLOW:
            words = " or ".join(CONTROL_FLOW)
            raise OptionError(
                f"profile '{self.name}': control_flow = '{self.control_flow}'", f"known: {words}"
            )

    def kernel(self, kind: str) -> KernelBehaviour:
        """What is said of a kind of op: its own entry, that of all others, or nothing."""
        return self.kernels.get(kind) or self.kernels.get("*") or KernelBehaviour()


def profile_names() -> list[str]:
    """Names of the runtimes that have a profile, sorted."""
    folder = resources.files("memplan") / "machine" / "profiles"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


@cache
def load_profile(name: str) -> Profile:
    """The profile of the runtime of that name; OptionError with the nearest name if there is none."""
    known = profile_names()
    if name not in known:
        raise OptionError(f"unknown runtime '{name}'", nearest(name, known))
    source = resources.files("memplan") / "machine" / "profiles" / f"{name}.toml"
    return profile_from_dict(tomllib.loads(source.read_text(encoding="utf-8")))


def profile_from_dict(data: Mapping[str, Any]) -> Profile:
    """The profile that parsed TOML describes; OptionError names a key that no profile has.

    `[kernels.KIND]` is a table of what the kernel does, or `[[kernels_alike]]` says it of all its `kinds`.
    """
    tables = dict(data)
    kernels = {kind: _kernel(table, kind) for kind, table in tables.pop("kernels", {}).items()}
    for group in tables.pop("kernels_alike", []):
        said = dict(group)
        kinds = said.pop("kinds")
        kernels |= {kind: _kernel(said, kind) for kind in kinds}
    _refuse_unknown(tables, Profile, "profile")
    return Profile(**tables, kernels=kernels)


def _kernel(table: Mapping[str, Any], kind: str) -> KernelBehaviour:
    _refuse_unknown(table, KernelBehaviour, f"kernel '{kind}'")
    over = table.get("overwrites")
    return KernelBehaviour(table.get("view"), None if over is None else tuple(over), table.get("joins"))


def _refuse_unknown(table: Mapping[str, Any], kind: type[Profile | KernelBehaviour], where: str) -> None:
    known = [f.name for f in fields(kind)]
    if unknown := next((key for key in table if key not in known), None):
        raise OptionError(f"{where}: unknown key '{unknown}'", nearest(unknown, known))
