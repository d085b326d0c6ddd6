"""C names of whatever a network calls its tensors, and such names as text that a C compiler reads as it is meant."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

LONGEST = 63
"""How many letters of an identifier every C99 compiler tells apart."""

LONGEST_STEM = 24
LONGEST_TEXT = 100
OTHER = re.compile(r"[^A-Za-z0-9_]")
PLAIN = re.compile(r"[A-Za-z0-9 _.,:;(){}\[\]<>=+|~^!@#$%&'/-]")


def file_stem(stem: str) -> str:
    """The name of files and functions made from a model of this stem: lower case, at most `LONGEST_STEM` letters, a
    letter first. Of a longer stem the end is a digest, so that two that begin alike stay apart."""
    plain = OTHER.sub("_", stem).lower().strip("_") or "net"
    plain = plain if plain[0].isalpha() else f"n{plain}"
    if len(plain) <= LONGEST_STEM:
        return plain
    digest = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: LONGEST_STEM - 9].rstrip('_')}_{digest}"


def words(names: Iterable[str], longest: int, *, upper: bool = False) -> dict[str, str]:
    """The end of an identifier for each of these different names, of at most `longest` letters, no two alike; by name,
    in order.

    Letters of a name that none may have become `_`, and of a long name the end is kept, which tells more. Where two
    come out alike, who is an identifier already goes first, and others get a number, in their order.
    """
    wished = {name: OTHER.sub("_", name.upper() if upper else name)[-longest:] or "_" for name in names}
    found: dict[str, str] = {}
    taken: set[str] = set()
    ends: Counter[str] = Counter()
    for name in sorted(wished, key=lambda name: wished[name] != name):
        word = wish = wished[name]
        while word in taken:
            ends[wish] += 1
            end = f"_{ends[wish] + 1}"
            word = wish[: longest - len(end)] + end
        taken.add(word)
        found[name] = word
    return {name: found[name] for name in wished}


def c_text(name: str) -> str:
    """The name inside a C string or comment: letters that mean something there, or are not ASCII, as octal bytes, and
    no more than `LONGEST_TEXT` letters."""
    cut = name if len(name) <= LONGEST_TEXT else name[: LONGEST_TEXT - 3] + "..."
    return "".join(letter if PLAIN.fullmatch(letter) else _octal(letter) for letter in cut)


def _octal(letter: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", "surrogatepass"))
