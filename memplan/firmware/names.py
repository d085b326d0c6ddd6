"""The C names of one program: of its files, memories, tensors and ops."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from memplan.firmware.identifiers import LONGEST, file_stem, words
from memplan.firmware.program import FirmwareProgram


@dataclass(frozen=True)
class Names:
    """What things are called in C.

    Args:
        stem: what files made from the model are called.
        program: what is written.
    """

    stem: str
    program: FirmwareProgram

    @property
    def lower(self) -> str:
        """What functions and variables begin with."""
        return file_stem(self.stem)

    @property
    def upper(self) -> str:
        """What macros and enumerators begin with."""
        return self.lower.upper()

    def memory(self, name: str) -> str:
        """What the macros about a memory begin with; in lower case, the name of its arena."""
        return f"{self.upper}_MEMORY_{self.memory_words[name]}"

    def tensor(self, name: str, kind: str = "TENSOR") -> str:
        """The enumerator of a tensor, or of something about it, such as its buffer."""
        return f"{self.upper}_{kind}_{self._tensors[name]}"

    def op(self, name: str) -> str:
        """The enumerator of an op."""
        return f"{self.upper}_OP_{self._ops[name]}"

    @cached_property
    def memory_words(self) -> dict[str, str]:
        """What each memory that is used is called within names."""
        used = (arena.memory.name for arena in self.program.arenas)
        return words(used, LONGEST - len(f"{self.upper}_MEMORY__ATTRIBUTES"), upper=True)

    @cached_property
    def _tensors(self) -> dict[str, str]:
        known = (t.name for t in self.program.tensors)
        return words(known, LONGEST - len(f"{self.upper}_TENSOR_"))

    @cached_property
    def _ops(self) -> dict[str, str]:
        return words((op.name for op in self.program.graph.ops), LONGEST - len(f"{self.upper}_OP_"))
