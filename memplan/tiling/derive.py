"""The graph that a tiling makes of another one: a pure function, so that a plan need only record the tiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from memplan.base.errors import OptionError
from memplan.ir.boxes import Box, box_text, extents, first_element, volume, whole
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops
from memplan.tiling.calls import (
    Call,
    Operand,
    Piece,
    Result,
    box_nbytes,
    operand,
    own_box,
    renames,
    result,
    workspace_nbytes,
)
from memplan.tiling.ranges import Index, Ranges, Work
from memplan.tiling.record import Tiling
from memplan.tiling.slices import slices


def derive(graph: Graph, tiling: Tiling) -> Graph:
    """The graph whose regions are executed tile by tile; `graph` itself without regions.

    Inside a region tensors exist as chunks only, each written by one op. What an op outside of all regions reads, and
    the graph's outputs, are written tile by tile into one tensor: each tile continues what the one before it has left,
    over whose bytes it may write. Ops that no tile cuts stay what they are.

    Args:
        graph: what is tiled; its ops say what they need.
        tiling: the regions.

    Raises:
        OptionError: a region cannot be tiled like this; which, and why.
    """
    return _Derivation(graph, tiling).graph() if tiling else graph


class _Derivation:
    """The derived graph under construction.

    Args:
        graph: what is tiled.
        tiling: the regions.
    """

    def __init__(self, graph: Graph, tiling: Tiling) -> None:
        self.original = graph
        self.regions = self._resolved(tiling)
        self.tensors = {t.name: t for t in graph.tensors if t.kind in ("input", "constant")}
        self.ops: list[Op] = []
        self.pieces: dict[str, list[Piece]] = {}
        self.names = {t.name for t in graph.tensors} | {op.name for op in graph.ops}
        self.place = {t.name: (t.name, 0) for t in self.tensors.values()}

    def graph(self) -> Graph:
        """The derived graph."""
        inside = {position: ranges for ranges in self.regions for position in ranges.positions}
        for position, op in enumerate(self.original.ops):
            ranges = inside.get(position)
            if ranges is None:
                self.copy(op)
            elif position == ranges.positions[0]:
                _Tiles(self, ranges).emit()
        g = self.original
        tensors = tuple(self.tensors.values())
        return Graph(g.name, tensors, sound_ops(tensors, self.ops), g.outputs, g.updates)

    def held(self, name: str) -> list[Piece]:
        """What holds a tensor of the original graph that is not made in the region at hand."""
        return self.pieces.get(name) or [Piece(name, whole(self.original.tensor[name].shape or ()))]

    def fresh(self, name: str) -> str:
        """The name, or with primes after it, as nothing is called yet."""
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def copy(self, op: Op) -> None:
        """An op that no tile cuts: what it reads is there under its own name."""
        for name in op.outputs:
            tensor, place = self.original.tensor[name], None
            if op.view and tensor.place is not None:
                root, first = self.place[op.inputs[0]]
                place = root, first + tensor.first_byte - self.original.tensor[op.inputs[0]].first_byte
            self.add(replace(tensor, place=place))
        self.ops.append(op)

    def add(self, tensor: Tensor) -> None:
        """Declare a tensor that the next op writes."""
        self.tensors[tensor.name] = tensor
        self.place[tensor.name] = tensor.place or (tensor.name, 0)

    def _resolved(self, tiling: Tiling) -> list[Ranges]:
        """The regions with what of them is wanted outside."""
        g = self.original
        found = [Ranges(g, region, frozenset()) for region in tiling]
        inside: set[str] = set()
        end = 0
        for ranges in found:
            if ranges.positions[0] < end:
                raise OptionError(
                    f"the region from '{ranges.region.ops[0]}' begins before the one listed before it has ended",
                    "list regions in the program's order; they share no op",
                )
            end = ranges.positions[-1] + 1
            inside |= {g.ops[position].name for position in ranges.positions}
        for op in g.ops:
            if late := next((name for name in op.after if name in inside), None):
                raise OptionError(
                    f"op '{op.name}' is to come after '{late}', which would be cut into tiles",
                    "leave that op out",
                )
        ranges_of = {position: ranges for ranges in found for position in ranges.positions}
        maker = {name: i for i in ranges_of for name in g.ops[i].results}
        self.whole = {name for name in g.outputs if name in maker}
        escaping = set(self.whole)
        for position, op in enumerate(g.ops):
            there = ranges_of.get(position)
            for number, name in enumerate(op.inputs):
                if name in maker and ranges_of[maker[name]] is not there:
                    escaping.add(name)
                    if there is None or there.reads_whole(position, number):
                        self.whole.add(name)
        return [replace(ranges, escaping=frozenset(escaping)) for ranges in found]


class _Tiles:
    """The tiles of one region, added to a derivation."""

    def __init__(self, derivation: _Derivation, ranges: Ranges) -> None:
        self.to, self.ranges, self.graph = derivation, ranges, derivation.original
        self.made: dict[tuple[str, Index], list[Piece]] = {}
        self.maker = {
            name: position for position in ranges.positions for name in self.graph.ops[position].results
        }
        self.left: dict[int, int] = {}
        self.states = Counter[str]()

    def emit(self) -> None:
        """Add the ops of all tiles, and leave behind what of the region is read outside."""
        work = list(self.ranges.work())
        self.left = Counter(item.position for item in work)
        for item in work:
            self.left[item.position] -= 1
            self._tile(item)
        for name in self.ranges.escaping & self.maker.keys():
            parts = [piece for (made, _), pieces in self.made.items() if made == name for piece in pieces]
            self.to.pieces[name] = parts[-1:] if name in self.to.whole else parts

    def _tile(self, item: Work) -> None:
        op = self.graph.ops[item.position]
        shapes = [self.graph.tensor[name].shape or () for name in op.results]
        operands = self._operands(item, item.box)
        uncut = item.box == whole(shapes[0]) and op.results[0] not in self.to.tensors
        if uncut and [piece.name for o in operands for piece in o.pieces] == list(op.inputs):
            self.to.copy(op)
            for name, shape in zip(op.results, shapes, strict=True):
                self._now_there(name, item, Piece(name, whole(shape)))
            return
        frames = [self._frame(op, number, item.box) for number in range(len(op.results))]
        before = self._held(op.results[0], item.tile)[:1] if op.results[0] in self.to.whole else []
        written = result(op, self.graph.tensor[op.results[0]], item.box, Piece("", frames[0]), None)
        copies = written.scattered or any(found.gathered for found in operands)
        left = slices(self.graph, op, item.box, self.ranges.region.slices if copies else 1)
        while left:
            box = left.pop(0)
            results = [
                self._result(item, number, box, frame, before, complete=not left)
                for number, frame in enumerate(frames)
            ]
            made = tuple(found for found, _ in results)
            name = op.name if uncut and box == item.box else self.to.fresh(op.name + box_text(box, shapes[0]))
            read = operands if box == item.box else self._operands(item, box)
            self._add(name, Call(op, box, read, made), [tensor for _, tensor in results])
            before = [made[0].piece]
        for result_name, found in zip(op.results, made, strict=True):
            self._now_there(result_name, item, found.piece)

    def _operands(self, item: Work, box: Box) -> tuple[Operand, ...]:
        """What is read to compute the box in the item's tile."""
        op, found = self.graph.ops[item.position], list[Operand]()
        for number, name in enumerate(op.inputs):
            held = self._held(name, item.tile)
            try:
                found.append(operand(op, number, self.graph.tensor[name], box, held))
            except LookupError as error:
                raise OptionError(
                    f"a tile of op '{op.name}' needs nothing but padding of '{name}'",
                    "make the tiles larger",
                ) from error
        return tuple(found)

    def _frame(self, op: Op, number: int, box: Box) -> Box:
        """What the tensor holds into which a result of the box is written: that, or all of it."""
        tensor = self.graph.tensor[op.results[number]]
        own, full = own_box(op, tensor, box), whole(tensor.shape or ())
        if tensor.name not in self.to.whole or own == full:
            return own
        if len(op.results) > 1:
            raise OptionError(
                f"'{tensor.name}', which is needed outside of its region, is one of several results of op '{op.name}'",
                "end the region before it",
            )
        return full

    def _result(
        self, item: Work, number: int, box: Box, frame: Box, before: Sequence[Piece], complete: bool
    ) -> tuple[Result, Tensor]:
        """What of a result is written for a box of the item, and the tensor that it is written to.

        That holds `frame`, of which `before` has what was written before. It is `complete` for this item; a tensor that is
        needed whole is so with the last item of all.
        """
        op = self.graph.ops[item.position]
        tensor = replace(self.graph.tensor[op.results[number]], place=None)
        full = whole(tensor.shape or ())
        made = tensor.name if frame == full else tensor.name + box_text(frame, tensor.shape or ())
        if not complete or tensor.name in self.to.whole and self.left[item.position]:
            self.states[made] += 1
            made += f".{self.states[made]}"
        if made != tensor.name or made in self.to.tensors:
            made = self.to.fresh(made)
        chunk = replace(tensor, name=made, part=None if made == tensor.name else (tensor.name, frame))
        if frame != full:
            nbytes = box_nbytes(tensor, frame)
            chunk = replace(chunk, nbytes=nbytes, shape=extents(frame), strides=None)
        found = result(op, tensor, box, Piece(made, frame), before[0].name if before else None)
        return found, chunk

    def _add(self, name: str, call: Call, made: list[Tensor]) -> None:
        """Add the tile op, and what it writes."""
        op, first = call.op, call.results[0]
        pieces = [piece for found in call.operands for piece in found.pieces]
        inputs = [piece.name for piece in pieces] + [r.before for r in call.results if r.before is not None]
        view = renames(self.graph, op) and first.piece.frame == first.box and not call.operands[0].gathered
        if view:
            source = call.operands[0]
            root, at = self.to.place[source.pieces[0].name]
            offset = box_nbytes(
                self.graph.tensor[op.inputs[0]], ((0, first_element(source.box, source.pieces[0].frame)),)
            )
            made = [replace(made[0], place=(root, at + offset))]
        for tensor in made:
            self.to.add(tensor)
        outputs = [tensor.name for tensor in made]
        space = workspace_nbytes(self.graph, call)
        space += self.graph.tensor[op.workspace].nbytes if op.workspace is not None else 0
        workspace = self.to.fresh(f"{name}.workspace") if space and not view else None
        if workspace is not None:
            self.to.add(Tensor(workspace, space, "workspace"))
            outputs.append(workspace)
        flops = None if op.flops is None else -(-op.flops * volume(call.box) // volume(self._whole(op)))
        self.to.ops.append(
            Op(
                name,
                op.kind,
                tuple(inputs),
                tuple(outputs),
                flops,
                view=view,
                overwrites=self._overwrites(call),
                workspace=workspace,
                once=op.once,
                source=op.source,
                tile=(op.name, call.box),
            )
        )

    def _overwrites(self, call: Call) -> tuple[tuple[str, str], ...]:
        """A whole tensor continues what is there of it; a chunk may lie over an operand's chunk where the op may work so."""
        if (before := call.results[0].before) is not None:
            return ((call.results[0].piece.name, before),)
        if call.results[0].box != call.results[0].piece.frame:
            return ()
        made = {name: found.piece.name for name, found in zip(call.op.results, call.results, strict=True)}
        pairs = {
            (made[output], found.pieces[0].name): None
            for output, over in call.op.overwrites
            for name, found in zip(call.op.inputs, call.operands, strict=True)
            if name == over and not found.gathered and found.pieces[0].frame == found.box
        }
        return tuple(pairs)

    def _whole(self, op: Op) -> Box:
        return whole(self.graph.tensor[op.results[0]].shape or ())

    def _held(self, name: str, index: Index) -> list[Piece]:
        if name not in self.maker:
            return self.to.held(name)
        return self.made.get(self._key(name, index), [])

    def _now_there(self, name: str, item: Work, piece: Piece) -> None:
        pieces = self.made.setdefault(self._key(name, item.tile), [])
        if name in self.to.whole:
            pieces.clear()  # it is one tensor, of which this is the latest state
        pieces.append(piece)

    def _key(self, name: str, index: Index) -> tuple[str, Index]:
        """By what is found what there is of a tensor for the tile: all tiles write to a whole one."""
        return name, () if name in self.to.whole else self.ranges.scope(self.maker[name], index)
