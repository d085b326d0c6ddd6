"""Targets: the memories and rates of a machine, from presets or a TOML file of the user's own."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from memplan.base.errors import OptionError, TargetError, nearest
from memplan.base.plugins import TARGETS, load_plugin, plugins
from memplan.base.units import MAX_BYTES, parse_size
from memplan.machine.policies import POLICIES

OPERANDS = ("scratchpad", "any")
RATES = (1e-3, 1e24)
OVERHEADS = (1e-18, 1e6)
"""Ranges of rates (a second) and of overheads (seconds), in which no time overflows or is lost to rounding."""


@dataclass(frozen=True)
class Scratchpad:
    """The fast memory.

    Args:
        capacity: bytes, None without a limit.
        alignment: offsets are multiples of so many bytes.
        bandwidth: bytes a second, None where times are not known.
    """

    capacity: int | None = None
    alignment: int = 1
    bandwidth: float | None = None


@dataclass(frozen=True)
class Host:
    """The large memory, which holds everything.

    Args:
        bandwidth: bytes a second, None where times are not known.
    """

    bandwidth: float | None = None


@dataclass(frozen=True)
class Compute:
    """How fast ops compute.

    Args:
        default: floating-point operations a second, None where times are not known.
        rates: the same for single dtypes, by name.
        overhead_s: seconds that every op takes besides.
    """

    default: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    overhead_s: float = 0.0

    def rate(self, dtype: str | None) -> float | None:
        """Floating-point operations a second for `dtype`; None where it is not known."""
        return self.rates.get(dtype or "", self.default)


@dataclass(frozen=True)
class Target:
    """A machine: two memories, what copies between them, and what computes.

    Args:
        name: for people.
        scratchpad: the fast memory.
        host: the large one.
        operands: "scratchpad" where ops read and write that alone, "any" where they may use host memory too.
        dma_queues: 1, or 2 where loads and stores are copied side by side; each queue is first in, first out.
        compute: rates of arithmetic.
        defaults: policies that the target suggests where a call names none: by "weights", "io", "inplace".
        sources: where each number comes from, by its name.

    Raises:
        TargetError: a number is out of range, or a word unknown.

    >>> from memplan import Compute, Host, Scratchpad, Target
    >>> fast = Scratchpad(capacity=64 * 1024, alignment=16, bandwidth=4e9)
    >>> npu = Target("npu", fast, Host(bandwidth=2e8), compute=Compute(default=1e11))
    >>> npu.timed
    True
    """

    name: str = "scratchpad"
    scratchpad: Scratchpad = Scratchpad()
    host: Host = Host()
    operands: str = "scratchpad"
    dma_queues: int = 1
    compute: Compute = Compute()
    defaults: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.operands not in OPERANDS:
            raise TargetError(
                f"target '{self.name}': operands = '{self.operands}'", "operands are 'scratchpad' or 'any'"
            )
        if type(self.dma_queues) is not int or self.dma_queues not in (1, 2):
            raise TargetError(
                f"target '{self.name}': dma.queues = {self.dma_queues!r}",
                "one FIFO queue, or two (loads and stores)",
            )
        pad = self.scratchpad
        _whole(self, "scratchpad.alignment", pad.alignment)
        if pad.capacity is not None:
            _whole(self, "scratchpad.capacity", pad.capacity)
        numbers = {
            "scratchpad.bandwidth": pad.bandwidth,
            "host.bandwidth": self.host.bandwidth,
            "compute.default": self.compute.default,
        }
        numbers |= {f"compute.rates.{k}": v for k, v in self.compute.rates.items()}
        for key, value in numbers.items():
            if value is not None:
                _within(self, key, value, *RATES)
        if self.compute.overhead_s != 0:
            _within(self, "compute.overhead_s", self.compute.overhead_s, *OVERHEADS)
        if pad.bandwidth and self.host.bandwidth and pad.bandwidth < self.host.bandwidth:
            raise TargetError(
                f"target '{self.name}': the scratchpad is slower than the host memory",
                "scratchpad.bandwidth must be at least host.bandwidth",
            )
        for key, policy in self.defaults.items():
            _default(self, key, policy)

    @property
    def timed(self) -> bool:
        """Whether latency can be computed: both bandwidths and a compute rate are known."""
        known = (self.scratchpad.bandwidth, self.host.bandwidth, self.compute.default)
        return None not in known

    @property
    def policies(self) -> dict[str, str]:
        """The policies where the call names none: the target's defaults, else memplan's."""
        weights = "tensor" if self.operands == "any" else "ignore"
        return {"weights": weights, "io": "host", "inplace": "off"} | dict(self.defaults)

    def with_scratchpad(self, capacity: int | None, alignment: int | None = None) -> Target:
        """This target with another scratchpad.

        Args:
            capacity: bytes, None without a limit.
            alignment: bytes; this target's own where it is None.
        """
        pad = replace(self.scratchpad, capacity=capacity)
        return replace(self, scratchpad=pad if alignment is None else replace(pad, alignment=alignment))

    def to_dict(self) -> dict[str, object]:
        """The target as plan files record it: numbers only, in bytes, bytes/s, flop/s, seconds."""
        pad = {
            "capacity": self.scratchpad.capacity,
            "alignment": self.scratchpad.alignment,
            "bandwidth": self.scratchpad.bandwidth,
        }
        compute = {
            "default": self.compute.default,
            "rates": dict(self.compute.rates),
            "overhead_s": self.compute.overhead_s,
        }
        return {
            "name": self.name,
            "scratchpad": {k: v for k, v in pad.items() if v is not None},
            "host": {} if self.host.bandwidth is None else {"bandwidth": self.host.bandwidth},
            "operands": self.operands,
            "dma": {"queues": self.dma_queues},
            "compute": {k: v for k, v in compute.items() if v is not None},
        }

    @staticmethod
    def from_dict(d: Mapping[str, object], where: str = "target") -> Target:
        """A target from parsed TOML or JSON.

        Args:
            d: tables and numbers as `to_dict` writes them; sizes may be texts such as "256KiB".
            where: what messages call it.

        Raises:
            TargetError: a key is unknown, or what it says unusable; which, and where it stands.
        """
        _keys(d, {"name", "scratchpad", "host", "operands", "dma", "compute", "defaults", "sources"}, where)
        pad = _table(d, "scratchpad", {"capacity", "alignment", "bandwidth"}, where)
        host = _table(d, "host", {"bandwidth"}, where)
        dma = _table(d, "dma", {"queues"}, where)
        compute = _table(d, "compute", {"default", "rates", "overhead_s"}, where)
        rates = _table(compute, "rates", None, f"{where}: compute")
        sources = _table(d, "sources", None, where)
        return Target(
            name=_text(d, "name", where, where),
            scratchpad=Scratchpad(
                capacity=_size(pad["capacity"], f"{where}: scratchpad.capacity")
                if "capacity" in pad
                else None,
                alignment=_size(pad["alignment"], f"{where}: scratchpad.alignment")
                if "alignment" in pad
                else 1,
                bandwidth=_number(pad.get("bandwidth"), f"{where}: scratchpad.bandwidth"),
            ),
            host=Host(_number(host.get("bandwidth"), f"{where}: host.bandwidth")),
            operands=_text(d, "operands", "scratchpad", where),
            dma_queues=dma.get("queues", 1),
            compute=Compute(
                default=_number(compute.get("default"), f"{where}: compute.default"),
                rates={k: _number(v, f"{where}: compute.rates.{k}") or 0.0 for k, v in rates.items()},
                overhead_s=_number(compute.get("overhead_s", 0.0), f"{where}: compute.overhead_s") or 0.0,
            ),
            defaults=_table(d, "defaults", {"weights", "io", "inplace"}, where),
            sources={k: _text(sources, k, "", f"{where}: sources") for k in sources},
        )


def preset_names() -> list[str]:
    """Names of the targets that come with memplan or with packages that add some."""
    return sorted({*_own_presets(), *plugins(TARGETS)})


def _own_presets() -> list[str]:
    folder = resources.files("memplan") / "machine" / "presets"
    return [f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")]


def load_target(spec: str | Path | Target) -> Target:
    """The target that is meant: a preset by its name, a TOML file by its path, a target itself.

    Args:
        spec: a name that `preset_names` lists, a path that ends with `.toml`, or a Target.

    Returns:
        The target, every number in bytes, bytes a second, operations a second or seconds.

    Raises:
        TargetError: the name is unknown, the file cannot be read, or a key or number in it makes no sense.

    >>> import memplan
    >>> target = memplan.load_target("ethos-u65")
    >>> target.scratchpad.capacity, target.operands, target.timed
    (393216, 'any', True)
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
    elif text.endswith(".toml"):
        try:
            source = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or error) if isinstance(error, OSError) else "it is no text"
            raise TargetError(
                f"cannot read target file '{text}': {why}", "give the path of a TOML file"
            ) from error
    else:
        raise TargetError(
            f"unknown target '{text}'", f"{nearest(text, preset_names())} (or give a .toml file)"
        )
    try:
        return Target.from_dict(tomllib.loads(source), where=text)
    except (ValueError, RecursionError) as error:
        raise TargetError(
            f"target file '{text}' is not TOML: {error}", "see `memplan targets` for presets to start from"
        ) from error


def _keys(d: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(d) - known):
        raise TargetError(f"{where}: unknown key '{unknown[0]}'", nearest(unknown[0], known))


def _table(d: Mapping[str, Any], key: str, known: set[str] | None, where: str) -> Mapping[str, Any]:
    value = d.get(key, {})
    if not isinstance(value, Mapping):
        raise TargetError(f"{where}: '{key}' is not a table", f"write [{key}] and its keys below")
    if known is not None:
        _keys(value, known, f"{where}: {key}")
    return value


def _text(d: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = d.get(key, default)
    if not isinstance(value, str):
        raise TargetError(f"{where}: {key} = {value!r} is not a text", 'write it in quotes: "…"')
    return value


def _size(value: Any, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return parse_size(value)
        except OptionError as error:
            raise TargetError(f"{where}: {error.message}", error.hint) from error
    raise TargetError(
        f"{where} = {value!r} is not a whole number of bytes", "write bytes or a text such as '256KiB'"
    )


def _number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TargetError(f"{where} = {value!r} is not a number", "write a plain number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _within(target: Target, key: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise TargetError(f"target '{target.name}': {key} = {value}", f"it must be {least:g} … {most:g}")


def _whole(target: Target, key: str, value: int) -> None:
    if not (isinstance(value, int) and 1 <= value <= MAX_BYTES):
        raise TargetError(f"target '{target.name}': {key} = {value}", "it must be 1 … 2^62 bytes")


def _default(target: Target, key: str, value: str) -> None:
    if value not in POLICIES[key]:
        raise TargetError(
            f"target '{target.name}': defaults.{key} = {value!r}", f"known: {', '.join(POLICIES[key])}"
        )
