"""Targets by name or path: presets that come with memplan, those of packages, and a user's own files."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from memplan.base.errors import TargetError, nearest
from memplan.base.plugins import TARGETS, load_plugin, plugins
from memplan.machine.target import Target
from memplan.machine.target_file import target_from_dict
from memplan.machine.vela import parse_vela, split_spec


def preset_names() -> list[str]:
    """Names of the targets that come with memplan or with packages that add some."""
    return sorted({*_own_presets(), *plugins(TARGETS)})


def _own_presets() -> list[str]:
    folder = resources.files("memplan") / "machine" / "presets"
    return [f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")]


def load_target(spec: str | Path | Target) -> Target:
    """The target that is meant: a preset by its name, a TOML file by its path, a target itself.

    Args:
        spec: a name that `preset_names` lists, a path that ends with `.toml`, a `vela.ini:SYSTEM:MODE`, or a Target.

    Returns:
        The target, every number in bytes, bytes a second, operations a second or seconds.

    Raises:
        TargetError: the name is unknown, the file cannot be read, or a key or number in it makes no sense.

    >>> import memplan
    >>> target = memplan.load_target("ethos-u65")
    >>> target.scratchpad.capacity, target.direct, target.timed
    (393216, True, True)
    """
    if isinstance(spec, Target):
        return spec
    text = str(spec)
    if text in _own_presets():
        source = (resources.files("memplan") / "machine" / "presets" / f"{text}.toml").read_text()
    elif text in plugins(TARGETS):
        made = load_plugin(plugins(TARGETS)[text])
        made = made() if callable(made) else made
        if not isinstance(made, Target):
            raise TargetError(
                f"target '{text}' is a {type(made).__name__}",
                "its package gives a memplan.Target, or a function that makes one",
            )
        return made
    elif vela := split_spec(text):
        path, words = vela
        return parse_vela(_read(path, "a vela.ini"), path, words)
    elif text.endswith(".toml"):
        source = _read(text, "a TOML file")
    else:
        raise TargetError(
            f"unknown target '{text}'",
            f"{nearest(text, preset_names())} (or give a .toml file, or vela.ini:SYSTEM:MODE)",
        )
    try:
        return target_from_dict(tomllib.loads(source), where=text)
    except (ValueError, RecursionError) as error:
        raise TargetError(
            f"target file '{text}' is not TOML: {error}", "see `memplan targets` for presets to start from"
        ) from error


def _read(path: str, kind: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else "it is no text"
        raise TargetError(f"cannot read target file '{path}': {why}", f"give the path of {kind}") from error
