"""A small network whose early tensors are needed late, so that keeping them costs memory."""

from memplan import Graph, Op, Tensor

DEPTH = 5


def hourglass() -> Graph:
    """`DEPTH` levels down, as many up, and a skip connection from each level to its mirror image."""
    sizes = [8192 - 1024 * level for level in range(DEPTH + 1)]
    tensors = [Tensor("down0", sizes[0], "input", "int8", (sizes[0],))]
    ops = []
    for level in range(DEPTH):
        source, made = f"down{level}", f"down{level + 1}"
        tensors.append(Tensor(made, sizes[level + 1], "activation", "int8", (sizes[level + 1],)))
        ops.append(Op(f"down_op{level}", "Conv", (source,), (made,), 2 * sizes[level]))
    below = f"down{DEPTH}"
    for level in reversed(range(DEPTH)):
        made = f"up{level}"
        tensors.append(Tensor(made, sizes[level], "activation", "int8", (sizes[level],)))
        ops.append(Op(f"up_op{level}", "Conv", (below, f"down{level}"), (made,), 4 * sizes[level]))
        below = made
    return Graph("hourglass", tuple(tensors), tuple(ops), outputs=(below,))
