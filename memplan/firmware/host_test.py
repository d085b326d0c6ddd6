"""`NAME_plan_test.c`: the network's own facts in C, beside which the plan's tables are replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from memplan.base.units import align_up
from memplan.firmware.header import about
from memplan.firmware.identifiers import c_text
from memplan.firmware.names import Names
from memplan.firmware.program import FirmwareProgram, TensorAt, tensors_of
from memplan.firmware.tables import CTable, definition, literal, rows, starts, strings
from memplan.firmware.template import filled


def host_test(names: Names) -> str:
    """The test's text."""
    network = _Network(names.program)
    return filled(
        "plan_test.c",
        names.lower,
        {
            "about": about(names.program),
            "cell": f"typedef uint{32 if network.numbers < 2**32 else 64}_t cell;",
            "network": "\n".join(network.lines()),
            "given": "\n".join(
                [
                    *_placed(names, "given", names.program.given),
                    *_placed(names, "result", names.program.results),
                ]
            ),
            "blocks": "\n".join(_blocks(names)),
        },
    )


class _Network:
    """What of a network is so whatever the plan says of addresses.

    Args:
        program: whose tensors are described; ops that its plan joins make parts of a storage one with it.
    """

    def __init__(self, program: FirmwareProgram) -> None:
        self.program, self.view, self.graph = program, program.view, program.graph
        self.number = {t.name: k for k, t in enumerate(program.tensors)}

    @cached_property
    def first(self) -> dict[str, int]:
        """The number of the first byte of each storage that is no part of another, from 1 on."""
        found, end = {}, 1
        for t in self.program.tensors:
            if self.graph.storage_of[t.name] == t.name and t.name not in self.view.parts:
                found[t.name] = end
                end += t.nbytes
        return found

    @property
    def numbers(self) -> int:
        """How many bytes have a number, and 0."""
        return 1 + sum(self.graph.tensor[storage].nbytes for storage in self.first)

    def lines(self) -> Iterator[str]:
        """The facts as C."""
        graph, tensors = self.graph, self.program.tensors
        listed = [tensors_of(self.view, op) for op in graph.ops]
        pairs = [[pair for pair in op.overwrites if pair[1] in self.number] for op in graph.ops]
        position = {op.name: k for k, op in enumerate(graph.ops)}
        tables = {
            "tensor_bytes": [self._bytes(t.name) for t in tensors],
            "tensor_first": [self._first(t.name) for t in tensors],
            "tensor_alignment": [0 if t.name in graph.aliases else t.alignment or 1 for t in tensors],
            "first_tensor": starts(map(len, listed)),
            "op_tensors": [self.number[x] for found in listed for x in found],
            "op_reads": [max(0, len(x) - len(op.outputs)) for x, op in zip(listed, graph.ops, strict=True)],
            "first_pair": starts(map(len, pairs)),
            "pair_outputs": [self.number[output] for found in pairs for output, _ in found],
            "pair_operands": [self.number[operand] for found in pairs for _, operand in found],
            "first_before": starts(len(op.after) for op in graph.ops),
            "before_ops": [position[name] for op in graph.ops for name in op.after],
        }
        for name, values in tables.items():
            yield definition(CTable(name, values, ""), "static const")
        yield _texts("tensor_names", (t.name for t in tensors))
        yield _texts("op_names", (op.name for op in graph.ops))

    def _bytes(self, name: str) -> int:
        """A tensor's bytes; its whole storage's where nobody knows which of them a view has."""
        t, root = self.graph.tensor[name], self.graph.storage_of[name]
        return self.graph.tensor[root].nbytes if name != root and t.place is None else t.nbytes

    def _first(self, name: str) -> int:
        """The number of a tensor's first byte."""
        root = self.graph.storage_of[name]
        part = self.view.parts.get(root)
        storage, first = (root, 0) if part is None else part
        return self.first[storage] + first + self.graph.tensor[name].first_byte


def _placed(names: Names, word: str, tensors: Sequence[TensorAt]) -> Iterator[str]:
    """Tensors and their places, by the header's enumerators, and how many they are."""
    listed = [names.tensor(x) for x, _ in tensors] or ["0"]
    places = [names.tensor(x, word.upper()) for x, _ in tensors] or ["0"]
    yield f"static const uint32_t {word}_tensors[] = {{\n{rows(listed)}\n}};"
    yield f"static const uint32_t {word}_places[] = {{\n{rows(places)}\n}};"
    yield f"#define {word.upper()}_COUNT {literal(len(tensors))}"


def _blocks(names: Names) -> Iterator[str]:
    """Cells for each arena, buffers, and the table of all blocks."""
    program, listed = names.program, []
    for arena in program.arenas:
        name = names.memory(arena.memory.name)
        yield f"static cell {name.lower()}_cells[{name}_BYTES];"
        text, bytes_, cells = c_text(arena.memory.name), name.lower(), f"{name.lower()}_cells"
        listed.append(
            f'    {{"{text}", {bytes_}, {cells}, {name}_BYTES, {literal(arena.memory.alignment)}}},'
        )
    if program.buffers:
        places, end = [], 0
        for b in program.buffers:
            start = align_up(end, b.alignment) + b.alignment  # bytes of nobody's before each
            places.append(f"buffer_bytes + {start}")
            end = start + b.nbytes
        yield f"static cell buffer_cells[{literal(end)}];"
        aligned = f"{names.upper}_ALIGNED({names.upper}_BUFFER_ALIGNMENT)"
        yield f"static {aligned} unsigned char buffer_bytes[{literal(end)}];"
        yield f"void *{names.upper}_BUFFER_TABLE {names.lower}_buffers[{names.upper}_BUFFERS] = {{"
        yield rows(places)
        yield "};"
        listed.append(f'    {{"buffers", buffer_bytes, buffer_cells, {literal(end)}, 1u}},')
    yield "static const block blocks[] = {"
    yield from listed
    yield "};"


def _texts(name: str, texts: Iterable[str]) -> str:
    return f"static const char *const {name}[] = {{\n{strings(texts)}\n}};"
