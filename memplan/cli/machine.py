"""`memplan warm`, `doctor` and `completion`: getting this machine ready."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from memplan.base.errors import OptionError

PACKAGES = ("numba", "ortools", "onnx", "torch")
"""Whose versions decide what memplan can do."""

EXTRAS = {"torch": "torch", "tflite-micro": "tflm", "ray": "ray"}
"""The optional packages, and the extra of memplan that installs each."""

LEAST_MEMORY = 2 * 2**30
"""Free bytes below which large models may not be planned: solvers and torch take some 1.5 GB."""

PROGRAMS = (
    ("browser", ("chromium", "google-chrome", "firefox"), "open reports (--emit html) on another machine"),
    ("C compiler", ("gcc", "clang", "cc"), "compile what --emit c writes on another machine"),
)
"""Programs that are of use beside memplan, the names that they go by, and what to do without one."""

FILES = ("MODEL", "PLAN", "FILE", "DIR")
"""What is completed as the name of a file."""

SHELLS = ("bash", "zsh")


class Finding(NamedTuple):
    """What was looked at, what it is like, and what to do about it where it is not well."""

    subject: str
    state: str
    remedy: str = ""


def add_parser(commands: Any) -> None:
    """Add the three commands to the program."""
    p = commands.add_parser(
        "warm", help="compile all inner loops now, which otherwise happens when first needed"
    )
    p.set_defaults(run=_warm)
    p = commands.add_parser("doctor", help="say what works on this machine, and what to do about the rest")
    p.set_defaults(run=_doctor)
    p = commands.add_parser("completion", help="print a completion script for a shell")
    p.add_argument("shell", metavar="|".join(SHELLS), help="source the output in the shell's startup file")
    p.set_defaults(run=_completion)


def versions() -> str:
    """The versions of memplan and of the packages it stands on, a line each."""
    from memplan.base.version import __version__

    return "\n".join(
        [f"memplan {__version__}", *(f"{name} {installed(name) or 'missing'}" for name in PACKAGES)]
    )


def installed(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _warm(args: argparse.Namespace) -> int:
    from memplan.cli.live import interruptible

    with interruptible() as cancel:
        show_warming(cancel)
        if cancel():
            raise KeyboardInterrupt
    print("all inner loops are compiled")
    return 0


def show_warming(cancel: Callable[[], bool], names: Collection[str] | None = None) -> None:
    """Compile what is not compiled yet, of these names or all, and show how far it is."""
    from rich.console import Console
    from rich.progress import Progress

    from memplan.solving.kernels import warm

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compiling")
        for warming in warm(cancel, names):
            what = ", ".join(warming.compiling) or "all"
            progress.update(
                task, description=f"compiling {what}", completed=warming.done, total=warming.total
            )


def _doctor(args: argparse.Namespace) -> int:
    findings = list(_findings())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.subject:{width}}  {finding.state}")
        if finding.remedy:
            print(f"{'':{width}}  -> {finding.remedy}")
    return 0


def _findings() -> Iterator[Finding]:
    from memplan.base.units import format_size
    from memplan.solving.kernels import kernel_groups

    for line in versions().splitlines():
        yield Finding(*line.split(" ", 1))
    for package, extra in EXTRAS.items():
        if not installed(package):
            yield Finding(
                package, "not installed, needed for nothing else", f"pip install 'memplan[{extra}]'"
            )
    cold = [group.use for group in kernel_groups().values() if not group.ready()]
    yield Finding(
        "inner loops",
        f"to be compiled at their first use: {', '.join(cold)}" if cold else "compiled",
        "memplan warm" if cold else "",
    )
    for subject, names, use in PROGRAMS:
        found = next(filter(None, map(shutil.which, names)), None)
        yield Finding(subject, found or "none found", "" if found else use)
    yield Finding("processor cores", str(os.cpu_count()))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Finding(
        "free memory", format_size(free), "" if free >= LEAST_MEMORY else "large models may need more"
    )


def _completion(args: argparse.Namespace) -> int:
    import shtab

    if args.shell not in SHELLS:
        raise OptionError(f"no completion for shell '{args.shell}'", f"choose one of {', '.join(SHELLS)}")
    for action in _actions(args.program):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(args.program, args.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All that the program and its commands take."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
