"""Files that declare kinds of ops: TOML, a table a kind."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memplan.base.errors import OptionError, nearest
from memplan.base.files import unreadable
from memplan.base.units import parse_size
from memplan.ir.declarations import Declaration, declare

KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    "view": ((bool,), "true or false"),
    "overwrites": ((list,), "a list of positions of operands, from 0"),
    "joins": ((bool,), "true or false"),
    "workspace": ((int, str, dict), 'bytes, a size such as "4KiB", or a table of factors by unit'),
    "flops": ((int, dict), "a whole number, or a table of factors by unit"),
    "once": ((bool,), "true or false"),
}
"""What may be said of a kind, with the types that TOML has for it, and those in words."""


def declare_ops(path: str | Path) -> list[str]:
    """Declare every kind of op that a TOML file describes, as `declare_op` does: a table `[ops."KIND"]` each.

    Either all of the file is taken or nothing of it.

    Args:
        path: the file.

    Returns:
        The kinds, in the file's order.

    Raises:
        OptionError: the file cannot be read, or something in it makes no sense; what, and where it stands.

    >>> import memplan, pathlib, tempfile
    >>> text = '''
    ... [ops."acme::ScaledAdd"]
    ... overwrites = [0, 1]
    ... workspace = "4KiB"
    ... flops = {output_elements = 2}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "ops.toml")
    ...     _ = file.write_text(text)
    ...     memplan.declare_ops(file)
    ['acme::ScaledAdd']
    """
    found = _read(Path(path))
    declare(found)
    return [said.kind for said in found]


def _read(path: Path) -> list[Declaration]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(OptionError, path, error) from error
    except (ValueError, RecursionError) as error:
        raise OptionError(
            f"'{path}' is not TOML: {error}", 'write [ops."KIND"] and its keys below'
        ) from error
    if unknown := next((key for key in data if key != "ops"), None):
        raise OptionError(f"{path}: unknown key '{unknown}'", 'write [ops."KIND"] and its keys below')
    kinds = _table(data.get("ops", {}), f"{path}: ops")
    return [_declaration(kind, value, f"{path}: ops.{kind}") for kind, value in kinds.items()]


def _declaration(kind: str, value: Any, where: str) -> Declaration:
    found: dict[str, Any] = {}
    for key, word in _table(value, where).items():
        if key not in KEYS:
            raise OptionError(f"{where}: unknown key '{key}'", nearest(key, KEYS))
        kinds, meaning = KEYS[key]
        if type(word) not in kinds:
            raise OptionError(f"{where}: {key} = {word!r}", f"write {meaning}")
        found[key] = parse_size(word) if isinstance(word, str) else tuple(word) if kinds == (list,) else word
    return Declaration(kind, **found)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{where} is not a table", 'write [ops."KIND"] and its keys below')
    return value
