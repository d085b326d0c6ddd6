"""From a .tflite file to a Model, with what TensorFlow Lite Micro's kernels do, by its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from memplan.base.errors import DimensionError, GraphError
from memplan.base.files import unreadable
from memplan.ir.declarations import completed
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Op, Tensor
from memplan.ir.ranges import Dims
from memplan.ir.soundness import sound_ops
from memplan.machine.profile import KernelBehaviour, load_profile
from memplan.tflite.bodies import called_bodies
from memplan.tflite.flops import flops
from memplan.tflite.fold import folded
from memplan.tflite.needs import needs, pool_window
from memplan.tflite.program import Operator, SubGraph, TfliteProgram, parse
from memplan.tflite.scratch import rounded, scratch_nbytes
from memplan.tflite.state import kept_orders, touched

PROFILE = "tflm"


def read_tflite(path: Path, dims: Dims) -> Model:
    """The model in a .tflite file; GraphError if it cannot be read or planned, DimensionError if a size is given.

    Its source is the `TfliteProgram` whose operators are the graph's ops, one by one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(GraphError, path, error) from error
    if dims:
        raise DimensionError(
            f"the sizes of '{path}' are fixed: the runtime resizes no tensor", "leave --dim out, convert anew"
        )
    program, count = folded(parse(data, str(path)))
    spared = f"{count} operator{'s' * (count > 1)} that only unpack constants"
    notes = (f"the constants are kept unpacked, which spares {spared}",) if count else ()
    return Model(_graph(program, path.stem), path.stem, notes=notes, source=program)


def tensor_names(program: TfliteProgram) -> list[str]:
    """Names of the main subgraph's tensors, as the graph has them: the file's, made unique by the tensor's number."""
    names: list[str] = []
    taken: set[str] = set()
    for i, value in enumerate(program.subgraphs[0].tensors):
        name = " ".join(value.name.split()) or f"tensor_{i}"
        name = "".join(c if c.isprintable() else "?" for c in name)
        while name in taken:
            name += f"#{i}"
        taken.add(name)
        names.append(name)
    return names


def op_name(operator: Operator, number: int) -> str:
    """What the graph calls an operator of the main subgraph: its kind and its number in the file."""
    kind = "".join(c if c.isprintable() else "?" for c in operator.kind)
    return f"{kind.lower()}_{number}"


def _graph(program: TfliteProgram, name: str) -> Graph:
    main, names = program.subgraphs[0], tensor_names(program)
    tensors = {names[i]: _tensor(main, i, names[i], kind) for i, kind in _kinds(main).items()}
    bodies, states = called_bodies(program), touched(program)
    known = [op_name(operator, i) for i, operator in enumerate(main.operators)]
    ops = []
    for number, (operator, before) in enumerate(zip(main.operators, kept_orders(states), strict=True)):
        operands = [names[i] if i >= 0 and names[i] in tensors else None for i in operator.inputs]
        op = Op(
            known[number],
            operator.kind,
            tuple(x for x in operands if x is not None),
            tuple(names[i] for i in operator.outputs if names[i] in tensors),
            once=bool(states[number]),
            after=tuple(known[i] for i in before),
            source=(f"operator {number}",),
            needs=needs(program, operator),
        )
        space = bodies[number].nbytes if number in bodies else scratch_nbytes(main, operator)
        op, space = completed(_described(op, operator, operands, tensors), operands, tensors, space)
        if space and not op.view:
            workspace = f"{op.name}.workspace"
            while workspace in tensors:
                workspace += "'"
            tensors[workspace] = Tensor(workspace, rounded(space), "workspace")
            op = replace(op, outputs=(*op.outputs, workspace), workspace=workspace)
        ops.append(op)
    outputs = dict.fromkeys(names[i] for i in main.outputs if names[i] in tensors)
    placed = _with_places(tensors, ops)
    return Graph(name, placed, sound_ops(placed, ops), tuple(outputs))


def _kinds(main: SubGraph) -> dict[int, str]:
    """By number, what the graph calls the tensors that it holds: those that are touched, variables aside.

    Variables are the runtime's, which keeps them from one run to the next. What has no bytes and no writer is an empty constant.
    """
    read = [i for operator in main.operators for i in operator.inputs if i >= 0]
    written = dict.fromkeys(i for operator in main.operators for i in operator.outputs)
    found = dict.fromkeys(main.inputs, "input")
    for i in dict.fromkeys([*read, *main.outputs]):
        value = main.tensors[i]
        if value.constant or (value.nbytes == 0 and i not in written and i not in found):
            found[i] = "constant"
        elif not (i in written or i in found or value.variable):
            raise GraphError(
                f"tensor {i} ('{value.name}') of '{main.table.file.where}' is read, but nothing writes it and it holds nothing",
                "is the file whole? convert the model anew",
            )
    found |= dict.fromkeys(written, "activation")
    return {i: kind for i, kind in found.items() if not main.tensors[i].variable}


def _tensor(main: SubGraph, number: int, name: str, kind: str) -> Tensor:
    value = main.tensors[number]
    return Tensor(name, value.nbytes, kind, value.dtype, value.shape)


def _described(op: Op, operator: Operator, operands: list[str | None], tensors: Mapping[str, Tensor]) -> Op:
    """The op with its cost, and with what its kernel may do, by the runtime's profile."""
    shapes = [None if x is None else tensors[x].shape for x in operands]
    results = [tensors[x].shape for x in op.outputs]
    op = replace(op, flops=flops(op.kind, shapes, results, pool_window(operator)))
    kernel = load_profile(PROFILE).kernels.get(op.kind)
    return op if kernel is None else _obeying(op, kernel, operands, tensors)


def _obeying(op: Op, kernel: KernelBehaviour, inputs: list[str | None], tensors: Mapping[str, Tensor]) -> Op:
    """The op with what its kernel may do.

    A view needs an operand of its own size in the arena; from a constant, which lies where the file does, it is copied.
    """
    if len(op.outputs) != 1 or not inputs or inputs[0] is None:
        return op
    first, result = tensors[inputs[0]], tensors[op.outputs[0]]
    if kernel.view and first.kind != "constant" and first.nbytes == result.nbytes:
        return replace(op, view=True)
    over = dict.fromkeys(inputs[i] for i in kernel.overwrites or () if i < len(inputs))
    return replace(op, overwrites=tuple((result.name, x) for x in over if x is not None))


def _with_places(tensors: Mapping[str, Tensor], ops: list[Op]) -> tuple[Tensor, ...]:
    """The tensors, views with the storage that they fill."""
    root = {name: name for name in tensors}
    found = dict(tensors)
    for op in ops:
        if op.view:
            root[op.outputs[0]] = root[op.inputs[0]]
            found[op.outputs[0]] = replace(found[op.outputs[0]], place=(root[op.outputs[0]], 0))
    return tuple(found.values())
