"""A JSON object whose fields are asked for by type: what is wrong in it is said with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from memplan.base.errors import MemplanError, nearest
from memplan.base.files import parse_json, unreadable

VERSIONS = {"memplan-graph": 2, "memplan-plan": 2}
"""The newest version of each format."""


LARGEST = 10**40  # numbers beyond mean nothing and overflow arithmetic


T = TypeVar("T")
ErrorKind = Callable[[str, str], MemplanError]


def load_json(path: Path, error: ErrorKind) -> Any:
    try:
        return parse_json(path.read_bytes())
    except OSError as cause:
        raise unreadable(error, path, cause) from cause
    except (ValueError, RecursionError) as cause:
        raise error(
            f"'{path}' is not JSON: {cause}", "is the file complete, and every key there once?"
        ) from cause


class JsonReader:
    """A JSON object whose fields are asked for by type; says where a wrong one stands."""

    def __init__(self, data: Any, where: str, error: ErrorKind) -> None:
        if not isinstance(data, dict):
            raise error(f"{where} is not a JSON object", "see the file formats in ARCHITECTURE.md")
        self.data, self.where, self.error = data, where, error
        self.asked: set[str] = set()

    def record(self, fields: Mapping[str, Field], required: Collection[str]) -> dict[str, Any]:
        """The object's values by key, each read as `fields` says; what is null counts as left out.

        Raises:
            MemplanError: a key is none of `fields`, one of `required` is missing, or a value is of another type.
        """
        found = {}
        for key, value in self.data.items():
            if (read := fields.get(key)) is None:
                raise self._unknown(key, fields)
            if value is not None or key in required:
                found[key] = read(self, key)
        if len(found) < len(fields):
            for key in required:
                self.get(key)
        return found

    def header(self, kind: str) -> None:
        """Refuse another format, or a version from the future."""
        self.asked |= {"format", "version"}
        found, version = self.data.get("format"), self.data.get("version")
        if found != kind:
            raise self.error(f"{self.where}: format is {found!r}, not '{kind}'", "is it the right file?")
        if isinstance(version, bool) or not isinstance(version, int) or version > VERSIONS[kind]:
            raise self.error(
                f"{self.where}: version {version!r} of {kind} is not known",
                f"this memplan reads versions up to {VERSIONS[kind]}; update it",
            )

    def has(self, key: str) -> bool:
        self.asked.add(key)
        return self.data.get(key) is not None

    def refuse_unknown(self) -> None:
        """Refuse a key that nobody has asked for: called once all that is known was."""
        if unknown := next((key for key in self.data if key not in self.asked), None):
            raise self._unknown(unknown, self.asked)

    def _unknown(self, key: str, known: Collection[str]) -> MemplanError:
        return self.error(f"{self.where}: unknown key '{key}'", nearest(key, known))

    def get(self, key: str) -> Any:
        self.asked.add(key)
        try:
            return self.data[key]
        except KeyError:
            raise self.error(f"{self.where}: '{key}' is missing", "is the file complete?") from None

    def _typed(self, key: str, kind: type, name: str) -> Any:
        value = self.get(key)
        if not isinstance(value, kind):
            raise self._wrong(key, value, name)
        return value

    def _wrong(self, key: str, value: Any, name: str) -> MemplanError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return self.error(f"{self.where}: '{key}' is {shown}", f"expected {name}")

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def whole(self, key: str) -> int:
        value = self.get(key)
        if type(value) is not int or value < 0:
            raise self._wrong(key, value, "a whole number from 0")
        if value > LARGEST:
            raise self._wrong(key, value, "a number below 10^40")
        return value

    def number(self, key: str) -> float:
        value = self.get(key)
        if type(value) not in (int, float) or not abs(value) <= LARGEST:
            raise self._wrong(key, value, "a finite number")
        number: float = value
        return number

    def texts(self, key: str) -> tuple[str, ...]:
        values: list[str] = self._typed(key, list, "a list of texts")
        for v in values:
            if not isinstance(v, str):
                raise self._wrong(key, v, "a list of texts")
        return tuple(values)

    def wholes(self, key: str) -> tuple[int, ...]:
        values: list[int] = self._typed(key, list, "a list of whole numbers")
        for v in values:
            if type(v) is not int or v < 0:
                raise self._wrong(key, v, "a list of whole numbers from 0")
        return tuple(values)

    def truth(self, key: str) -> bool:
        value: bool = self._typed(key, bool, "true or false")
        return value

    def pair(self, key: str, *kinds: type) -> tuple[Any, ...]:
        return self._pair(key, self.get(key), kinds)

    def pairs(self, key: str, *kinds: type) -> tuple[tuple[Any, ...], ...]:
        return tuple(self._pair(key, value, kinds) for value in self._typed(key, list, "a list of pairs"))

    def _pair(self, key: str, value: Any, kinds: tuple[type, ...]) -> tuple[Any, ...]:
        if not isinstance(value, list) or [type(x) for x in value] != list(kinds):
            raise self._wrong(key, value, f"a pair of {' and '.join(kind.__name__ for kind in kinds)}")
        return tuple(value)

    def made(self, key: str, make: Callable[[Any], T], name: str) -> T:
        """What `make` makes of the value, which raises TypeError or ValueError where that is not `name`."""
        value = self.get(key)
        try:
            return make(value)
        except (TypeError, ValueError):
            raise self._wrong(key, value, name) from None

    def table(self, key: str) -> JsonReader:
        return JsonReader(self._typed(key, dict, "an object"), f"{self.where}: {key}", self.error)

    def mapping(self, kind: type) -> dict[str, Any]:
        for key, value in self.data.items():
            if type(value) is not kind:
                raise self._wrong(key, value, f"a {kind.__name__}")
        return dict(self.data)

    def items(self, key: str) -> list[JsonReader]:
        values = self._typed(key, list, "a list of objects")
        return [JsonReader(v, f"{self.where}: {key}[{i}]", self.error) for i, v in enumerate(values)]


Field = Callable[[JsonReader, str], Any]
"""Reads the value of a key."""
