"""Targets from a `vela.ini`, in which Arm's compiler for Ethos-U is told of a system and its memory mode.

A system configuration says which memory hangs on which of two AXI ports, and how fast it is; a memory mode says on
which port constants, the arena and its cache lie. The words are explained in Vela's own `OPTIONS.md`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from configparser import Error, RawConfigParser
from dataclasses import dataclass

from memplan.base.errors import TargetError, nearest
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target

SPEC = re.compile(r"(.+\.ini)((?::[^:]*)*)")
SYSTEM, MODE = "System_Config", "Memory_Mode"
WRITABLE = ("Sram", "Dram")
FLASH = ("OnChipFlash", "OffChipFlash")

ALIGNMENT = 16
"""Bytes to which Vela aligns the tensors of the NPU."""

PORT_BYTES = {"u55": 8, "u65": 16, "u85": 16}
"""Bytes a cycle of an AXI port: with them `core_clock` gives the rates that Arm's vela.ini states in its comments."""

MACS = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}
"""Multiply-accumulates a cycle that each family comes with, the last word of an accelerator's name."""


@dataclass(frozen=True)
class _Section:
    """A section with what it inherits; `where` is what messages call it."""

    where: str
    values: Mapping[str, str]

    def word(self, key: str, known: Collection[str]) -> str:
        """The value of a key, which is one of these words."""
        value = self.values.get(key)
        if value is None:
            raise TargetError(f"{self.where}: '{key}' is missing", f"add {key}=, one of {', '.join(known)}")
        if value not in known:
            raise TargetError(f"{self.where}: {key}={value}", nearest(value, known))
        return value

    def number(self, key: str, default: str = "") -> float:
        """The value of a key as a positive number."""
        text = self.values.get(key, default)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise TargetError(
                f"{self.where}: {key}={text}", f"write {key}= and a positive number, such as 500e6"
            )
        return value

    def whole(self, key: str) -> int | None:
        """The value of a key as a number of bytes; None where it is absent."""
        text = self.values.get(key)
        if text is not None and not re.fullmatch(r"\d{1,19}", text):
            raise TargetError(f"{self.where}: {key}={text}", f"write {key}= and a whole number of bytes")
        return None if text is None else int(text)


def split_spec(text: str) -> tuple[str, list[str]] | None:
    """The path and the names in `FILE.ini:SYSTEM:MODE:ACCELERATOR`, of which some may be absent; None for other texts."""
    match = SPEC.fullmatch(text)
    return (match[1], match[2].split(":")[1:]) if match else None


def parse_vela(source: str, path: str, words: Sequence[str]) -> Target:
    """The target that names of a system, of a mode and maybe of an accelerator mean in a vela.ini.

    Its memories have Vela's own names.
    Bandwidths are known where the accelerator is named or the system's name has U55, U65 or U85 in it; rates of
    arithmetic, and so times, where the accelerator is named, such as `ethos-u65-512`.

    Args:
        source: what the file says.
        path: where it lies, for messages.
        words: the names, two or three.

    Raises:
        TargetError: the file lacks what is named, or what it says makes no sense.
    """
    ini = _parsed(source, path)
    if not (2 <= len(words) <= 3 and all(words)):
        systems, modes = _names(ini, SYSTEM), _names(ini, MODE)
        raise TargetError(
            f"target '{':'.join([path, *words])}' does not name a system configuration and a memory mode",
            f"write {path}:SYSTEM:MODE; systems: {', '.join(systems)}; modes: {', '.join(modes)}",
        )
    system, mode = _section(ini, path, SYSTEM, words[0]), _section(ini, path, MODE, words[1])
    family, macs = _accelerator(words[2]) if len(words) == 3 else (_family(words[0]), 0)
    ports = {f"Axi{i}": system.word(f"axi{i}_port", WRITABLE + FLASH) for i in (0, 1)}
    cache, arena, constants = (ports[mode.word(f"{a}_mem_area", ports)] for a in ("cache", "arena", "const"))
    for area, name in (("cache", cache), ("arena", arena)):
        if name in FLASH:
            raise TargetError(
                f"{mode.where}: {area}_mem_area is {name} of {system.where}, and flash cannot be written",
                f"choose another memory mode or system; modes: {', '.join(_names(ini, MODE))}",
            )
    writable = tuple(dict.fromkeys((cache, arena)))
    bandwidth = {name: _bandwidth(system, name, family) for name in (*writable, constants)}
    memories = [Memory(cache, mode.whole("arena_cache_size"), ALIGNMENT, bandwidth[cache])]
    operands, home = {"default": writable}, {}
    if constants not in writable:  # which Vela takes to be read-only
        memories.append(Memory(constants, bandwidth=bandwidth[constants], readonly=True))
        operands, home = operands | {"constants": (*writable, constants)}, {"constants": constants}
    elif constants != arena:
        home = {"constants": constants}
    if arena != cache:
        memories.append(Memory(arena, bandwidth=bandwidth[arena]))
    return Target(
        ":".join(words),
        tuple(memories),
        operands,
        home,
        compute=Compute(2 * macs * system.number("core_clock") if macs else None),
        sources={"machine": f"{system.where}; {mode.where}"},
    )


def _parsed(source: str, path: str) -> RawConfigParser:
    ini = RawConfigParser()
    ini.optionxform = str  # type: ignore[method-assign, assignment] # Vela's keys are told apart by case
    try:
        ini.read_string(source)
    except Error as error:
        raise TargetError(
            f"'{path}' is no vela.ini: {error}",
            "write [System_Config.NAME] and [Memory_Mode.NAME] with KEY=VALUE",
        ) from error
    return ini


def _names(ini: RawConfigParser, part: str) -> list[str]:
    return [s.removeprefix(f"{part}.") for s in ini.sections() if s.startswith(f"{part}.")]


def _section(ini: RawConfigParser, path: str, part: str, name: str) -> _Section:
    """A section by its name, with the values of those it inherits where it has none of its own."""
    values: dict[str, str] = {}
    title, met = f"{part}.{name}", list[str]()
    while title:
        if title in met:
            raise TargetError(
                f"'{path}': {title} inherits itself", f"end the circle {' -> '.join([*met, title])}"
            )
        if not ini.has_section(title):
            raise TargetError(f"'{path}' has no section [{title}]", nearest(title, ini.sections()))
        met.append(title)
        own = dict(ini.items(title))
        title = own.pop("inherit", "")
        values = own | values
    return _Section(f"'{path}': {part}.{name}", values)


def _family(system: str) -> str:
    """The family that a system configuration's name has in it; empty where it has none."""
    return next((family for family in PORT_BYTES if family.upper() in system.upper()), "")


def _accelerator(name: str) -> tuple[str, int]:
    """Family and MACs a cycle of an accelerator, by the name that Vela knows it by."""
    known = {f"ethos-{family}-{macs}": (family, macs) for family, sizes in MACS.items() for macs in sizes}
    if name not in known:
        raise TargetError(f"unknown accelerator '{name}'", nearest(name, known))
    return known[name]


def _bandwidth(system: _Section, memory: str, family: str) -> float | None:
    if not family:
        return None
    clock, scale = system.number("core_clock"), system.number(f"{memory}_clock_scale", "1")
    return PORT_BYTES[family] * system.number(f"{memory}_ports_used", "1") * clock * scale
