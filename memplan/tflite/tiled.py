"""A tiled model as a .tflite file: tiles are operators on tensors that lie where the plan has their chunks.

Nothing is copied that lies contiguous: what a tile reads or writes of a chunk is a tensor of its own at the chunk's offset, which the
runtime takes without a check. Rows of several chunks are put together by CONCATENATION, in the tile's workspace. Since the
runtime pads both axes of an image or none, a tile of what slides over padded images is one operator for each row of the result,
whose window is no higher than the rows of the image that it covers, and which steps over all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from memplan.base.errors import PlanError
from memplan.ir.boxes import Box, common, contiguous, extents, first_element, whole
from memplan.ir.model import Model
from memplan.ir.parts import Op
from memplan.problem.plan import Plan
from memplan.tflite.build import Number, Old, Value
from memplan.tflite.flatbuffer import FlatbufferTable
from memplan.tflite.flops import ELEMENTWISE, POOLS, SOFTMAXES
from memplan.tflite.program import TfliteProgram
from memplan.tflite.read import tensor_names
from memplan.tflite.rewrite import headed
from memplan.tflite.schema import (
    CONCATENATION_AXIS,
    DILATION_FIELDS,
    OPERATORS,
    SAME_PADDING,
    ConvolutionField,
    ModelField,
    OperatorCodeField,
    OperatorField,
    PoolField,
    SubGraphField,
    TensorField,
)
from memplan.tiling.calls import Call, Operand, Piece, box_nbytes, calls
from memplan.tiling.derive import derive

SLIDING = {"CONV_2D": "biibii", "DEPTHWISE_CONV_2D": "biiibii", **dict.fromkeys(POOLS, "biiiib")}
"""Kinds that slide windows over images, and the forms of the fields of their options, which are 0 by default, but dilations 1."""

ALIKE = frozenset({*ELEMENTWISE, *SOFTMAXES, "FULLY_CONNECTED"})
"""Kinds whose tiles are operators with the same options."""

CONCATENATION_OPTIONS = 10
"""The number of the type of these options."""

_CONCATENATION_CODE: dict[int, Value] = {
    OperatorCodeField.OLD_CODE: Number("b", OPERATORS.index("CONCATENATION")),
    OperatorCodeField.VERSION: Number("i", 1),
    OperatorCodeField.CODE: Number("i", OPERATORS.index("CONCATENATION")),
}


@dataclass(frozen=True)
class _Held:
    """A tensor of the new file: its number, what box of which original tensor it holds, and its offset in the arena."""

    number: int
    original: int
    box: Box
    offset: int


class TiledFile:
    """The tiled file under construction.

    Args:
        program: the original one.
        model: what was read from it.
        plan: its plan, with a tiling.
        offsets: of the original tensors, -1 of one that exists as chunks only: it has no elements then.

    Raises:
        PlanError: a tile is no operator of the runtime; which, and why.
    """

    def __init__(self, program: TfliteProgram, model: Model, plan: Plan, offsets: Sequence[int]) -> None:
        if len(program.subgraphs) > 1:
            raise PlanError(
                f"'{model.stem}' calls subgraphs, and no tiles are written of such a file",
                "plan without tiles",
            )
        self.program, self.graph, self.main = program, model.graph, program.subgraphs[0]
        self.derived = derive(model.graph, plan.tiling)
        self.place = {r.tensor: r.offset for r in plan.residencies}
        self.number = {name: i for i, name in enumerate(tensor_names(program))}
        self.position = {op.name: i for i, op in enumerate(model.graph.ops)}
        self.old = self.main.table.tables(SubGraphField.OPERATORS)
        self.codes: list[Value] = [Old(t.at) for t in program.root.tables(ModelField.OPERATOR_CODES)]
        self.codes.append(_CONCATENATION_CODE)
        self.tensors: list[Value] = []
        self.offsets = list(offsets)
        self.operators: list[Value] = []
        self.buffers: list[bytes] = []
        self.known: dict[tuple[int, Box, int], _Held] = {}
        for name, i in self.number.items():
            chunked = name in self.graph.tensor and name not in self.derived.tensor
            self.tensors.append(self._like(i, (0,)) if chunked else Old(self.main.tensors[i].table.at))
        tiles, made = calls(self.graph, self.derived), {op.name: op for op in self.derived.ops}
        for name in plan.schedule:
            if name not in tiles:
                self.operators.append(Old(self.old[self.position[name]].at))
            elif not made[name].view:
                self._tile(tiles[name], made[name])

    def data(self, metadata: Mapping[str, bytes]) -> bytes:
        """The file, with these entries of metadata beside those of other names."""
        kept = (SubGraphField.INPUTS, SubGraphField.OUTPUTS, SubGraphField.NAME)
        main: dict[int, Value] = {
            SubGraphField.TENSORS: self.tensors,
            **{n: Old(target) for n in kept if (target := self.main.table.target(n)) is not None},
            SubGraphField.OPERATORS: self.operators,
        }
        fields: dict[int, Value] = {ModelField.OPERATOR_CODES: self.codes, ModelField.SUBGRAPHS: [main]}
        return headed(self.program, self.program.data, self.buffers, metadata, fields)

    def _first_byte(self, name: str) -> int:
        """Where a tensor of the derived graph begins in the arena."""
        return self.place[self.derived.storage_of[name]] + self.derived.tensor[name].first_byte

    def _like(self, original: int, shape: Sequence[int], buffer: int = 0) -> dict[int, Value]:
        """A tensor of that shape and buffer, in all else like an original one."""
        table = self.main.tensors[original].table
        fields: dict[int, Value] = {
            TensorField.SHAPE: list(shape),
            TensorField.TYPE: Number("b", table.number(TensorField.TYPE, "b")),
            TensorField.BUFFER: Number("I", buffer),
        }
        for shared in (TensorField.NAME, TensorField.QUANTIZATION):
            if (target := table.target(shared)) is not None:
                fields[shared] = Old(target)
        return fields

    def _added(self, original: int, box: Box, offset: int, buffer: int = 0) -> _Held:
        """A tensor that holds a box of an original one at that offset, or in that buffer; each is made once."""
        key = original, box, buffer or offset
        if key not in self.known:
            self.tensors.append(self._like(original, extents(box), buffer))
            self.offsets.append(-1 if buffer else offset)
            self.known[key] = _Held(len(self.tensors) - 1, original, box, offset)
        return self.known[key]

    def _within(self, held: _Held, box: Box) -> _Held:
        """The tensor of a box that lies contiguous in another one."""
        if box == held.box:
            return held
        value = self.main.tensors[held.original]
        item_bytes = value.nbytes // prod(value.shape)
        return self._added(held.original, box, held.offset + first_element(box, held.box) * item_bytes)

    def _of_piece(self, name: str, piece: Piece, box: Box) -> _Held:
        """The tensor of a box of the tensor `name` that lies contiguous in a piece of it."""
        number, offset = self.number[name], self._first_byte(piece.name)
        if box == piece.frame and piece.name != name:
            return self._added(number, box, offset)
        return self._within(_Held(number, number, piece.frame, offset), box)

    def _tile(self, call: Call, made: Op) -> None:
        """The operators of one tile."""
        written, kind = call.results[0], call.op.kind
        result = self.graph.tensor[call.op.results[0]]
        full = whole(result.shape or ())
        in_rows = call.box[:1] + call.box[2:] == full[:1] + full[2:]
        if written.scattered or not (kind in ALIKE or kind in SLIDING and in_rows):
            raise _refusal(call)
        if self._first_byte(written.before or written.piece.name) != self._first_byte(written.piece.name):
            raise PlanError(f"'{result.name}' moves while tiles write it", "plan with --inplace on")
        free = self._first_byte(made.workspace) if made.workspace is not None else 0
        operands = []
        for name, operand in zip(call.op.inputs, call.operands, strict=True):
            operands.append(self._operand(call, name, operand, free))
            free += box_nbytes(self.graph.tensor[name], operand.box) if operand.gathered else 0
        target = self._of_piece(result.name, written.piece, written.box)
        options = self.main.operators[self.position[call.op.name]].options
        if kind in ALIKE or options is None or options.number(ConvolutionField.PADDING, "b") != SAME_PADDING:
            self._operator(call, operands, target, Old(options.at) if options else None)
        else:
            for row in range(*call.box[1]):
                self._row(call, operands, target, row, options)

    def _operand(self, call: Call, name: str, operand: Operand, free: int) -> _Held:
        """The tensor of what a tile needs of an operand, which is gathered at `free` where it lies in several chunks."""
        number, box = self.number[name], operand.box
        if self.graph.tensor[name].kind == "constant":
            if operand.gathered or operand.pieces[0].frame != box:
                raise _refusal(call)
            return _Held(number, number, box, -1)
        piece = operand.pieces[0]
        if len(operand.pieces) == 1 and call.op.kind in SLIDING:
            box = (
                *box[:2],
                *piece.frame[2:],
            )  # columns at the end that no window reaches are no gaps between rows
        if len(operand.pieces) == 1 and contiguous(box, piece.frame):
            return self._of_piece(name, piece, box)
        axis = next((k for k, (first, stop) in enumerate(box) if stop - first > 1), 0)
        found, reached = list[_Held](), box[axis][0]
        for piece in sorted(operand.pieces, key=lambda one: one.frame):
            part = common(piece.frame, box)
            first, reached = reached, reached if part is None else part[axis][1]
            if part != (*box[:axis], (first, reached), *box[axis + 1 :]) or not contiguous(part, piece.frame):
                raise _refusal(call)
            found.append(self._of_piece(name, piece, part))
        gathered = self._added(number, box, free)
        self.operators.append(
            {
                OperatorField.OPCODE: Number("I", len(self.codes) - 1),
                OperatorField.INPUTS: [one.number for one in found],
                OperatorField.OUTPUTS: [gathered.number],
                OperatorField.OPTIONS_TYPE: Number("B", CONCATENATION_OPTIONS),
                OperatorField.OPTIONS: {CONCATENATION_AXIS: Number("i", axis)},
            }
        )
        return gathered

    def _row(
        self, call: Call, operands: list[_Held], target: _Held, row: int, options: FlatbufferTable
    ) -> None:
        """One row of a result: its window is no higher than the image, so that nothing is padded above or below."""
        op, image, access = call.op, operands[0], call.op.needs[0][1]
        assert access is not None
        dilations = DILATION_FIELDS.get(op.kind, ())
        size = (self.graph.tensor[op.inputs[0]].shape or ())[1]
        step = options.number(dilations[0], "i", 1) if dilations else 1
        first = row * access.stride - access.before
        taps = [tap for tap in range(access.extent // step + 1) if 0 <= first + tap * step < size]
        if not taps:
            raise _refusal(call)
        top, height = first + taps[0] * step, (len(taps) - 1) * step + 1
        changed: dict[int, int] = {ConvolutionField.STRIDE_HEIGHT: height} | (
            {} if dilations else {PoolField.FILTER_HEIGHT: len(taps)}
        )
        read = [self._within(image, (image.box[0], (top, top + height), *image.box[2:])), *operands[1:]]
        if dilations:
            read[1] = self._filter(call, operands[1], taps[0], taps[-1] + 1)
        fields = {
            k: Number(form, changed.get(k, options.number(k, form, int(k in dilations))))
            for k, form in enumerate(SLIDING[op.kind])
        }
        self._operator(
            call, read, self._within(target, (target.box[0], (row, row + 1), *target.box[2:])), fields
        )

    def _filter(self, call: Call, held: _Held, first: int, stop: int) -> _Held:
        """The rows of a filter that lie within the image."""
        box = (held.box[0], (first, stop), *held.box[2:])
        if box == held.box:
            return held
        value = self.main.tensors[held.original]
        data = np.frombuffer(self.program.held(value), np.uint8)
        if len(data) != value.nbytes:
            raise _refusal(call)
        rows = data.reshape(*value.shape[:2], -1)[:, first:stop].tobytes()
        if rows not in self.buffers:
            self.buffers.append(rows)
        return self._added(held.original, box, -1, len(self.program.buffers) + self.buffers.index(rows))

    def _operator(self, call: Call, operands: Sequence[_Held], result: _Held, options: Value | None) -> None:
        """An operator of the call's kind."""
        position = self.position[call.op.name]
        table, read = self.old[position], iter(operands)
        inputs = [next(read).number if i >= 0 else -1 for i in self.main.operators[position].inputs]
        fields: dict[int, Value] = {
            OperatorField.OPCODE: Number("I", table.number(OperatorField.OPCODE, "I")),
            OperatorField.INPUTS: inputs,
            OperatorField.OUTPUTS: [result.number],
        }
        if options is not None:
            kind = table.number(OperatorField.OPTIONS_TYPE, "B")
            fields |= {OperatorField.OPTIONS_TYPE: Number("B", kind), OperatorField.OPTIONS: options}
        self.operators.append(fields)


def _refusal(call: Call) -> PlanError:
    """The error of a tile that the runtime cannot compute alone."""
    return PlanError(
        f"a tile of op '{call.op.name}' ({call.op.kind}) is no operator on rows of its image that lie together",
        "give regions that are cut along axis 1 alone: memplan.plan(…, tiling=[Region(ops, (1,), (1,), cache=1)]); or plan "
        "without tiles",
    )
