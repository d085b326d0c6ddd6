"""The `memplan` program: finds the command, turns every error into one message and an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import Any, NoReturn

from memplan.base.errors import MemplanError, OptionError, nearest
from memplan_start import INTERRUPTED


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all other errors of the program; options are written out in full."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What is understood; OptionError at once for the rest, by the parser of the command it was meant for."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            known = [option for option in self._option_string_actions if option.startswith("--")]
            hint = nearest(word, known) if word.startswith("-") else f"see `{self.prog} --help`"
            raise OptionError(f"unrecognized arguments: {' '.join(unknown)}", hint)
        return found, unknown

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write help and version; argparse itself would let it pass where the disk is full."""
        (file or sys.stdout).write(message)

    def error(self, message: str) -> NoReturn:
        raise OptionError(message, f"see `{self.prog} --help`")


class Version(argparse.Action):
    """Prints the versions, which take too long to find out for whoever does not ask."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from memplan.cli.machine import versions

        print(versions())
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; each command's module adds its own part."""
    from memplan.cli import check, compare, listing, machine, measure, pack, plan, run, show, sweep, tile

    parser = Parser(prog="memplan", description="Plans where and when tensors live in memory.")
    parser.add_argument("--version", action=Version, nargs=0, help="show what is installed and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for module in (plan, check, run, measure, show, pack, compare, sweep, tile, listing, machine):
        module.add_parser(commands)
    parser.set_defaults(program=parser)  # what completion completes
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status of MODEL: 0, 2, 3, 4, 5 or 130."""
    from memplan.base.text import visible
    from memplan.cli.terminal import visible_streams

    try:
        _open_streams()
        with visible_streams():
            status = _status(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone, as in `memplan zoo | head -1`
        return 0
    except OSError as error:
        _discard(1)
        try:
            print(
                visible(f"error: {error}\nhint: is the disk full, or a file out of reach?"), file=sys.stderr
            )
        except OSError:
            _discard(2)
        return 2


def _status(arguments: list[str]) -> int:
    """Run one command; what ends it early is said on stderr."""
    try:
        parser = build_parser()
        _known_command(parser, arguments)
        args = parser.parse_args(arguments)
        if not hasattr(args, "run"):
            parser.print_help()
            return 0
        if getattr(args, "ops", None):
            from memplan.io.ops_toml import declare_ops

            declare_ops(args.ops)
        status: int = args.run(args)
        return status
    except SystemExit:  # --help and --version have said what they say
        return 0
    except MemplanError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _discard(stream: int) -> None:
    """Let go of what the stream could not take, so that it is not written again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _open_streams() -> None:
    """Make stdout and stderr take whatever is written: they may be closed, or lack the letters of a name."""
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _known_command(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Name the nearest command where the first word is none."""
    actions = parser._subparsers._group_actions if parser._subparsers else []
    known = [name for action in actions for name in (action.choices or ())]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        raise OptionError(f"unknown command '{arguments[0]}'", nearest(arguments[0], known))
