"""Forward and backward planned as one program: what is saved, and what is executed again, follows from the plan.

In autograd's joint graph the forward hands its outputs to the caller, who hands in the tangents. An op stands for that, which
reads the outputs and writes the tangents. What a plan executes before it is the forward, what it executes after it the
backward. The caller keeps both until the end.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.fx import Graph, GraphModule, Node

from memplan.base.errors import GraphError
from memplan.ir.model import Model
from memplan.torch.graph import build
from memplan.torch.pickled import TorchModel
from memplan.torch.read import RUNTIME

TANGENT = "tangents"
"""What the names of the placeholders begin with by which autograd hands in gradients of the outputs."""
RENEWED = "InputMutationAOTOutput"
"""How AOTAutograd describes an output that is the next value of an input."""


class Halves(NamedTuple):
    """A planned joint graph as two modules.

    forward     called with the primals; returns the forward's outputs, then what is saved
    backward    called with what is saved, then with the tangents; returns the gradients
    """

    forward: GraphModule
    backward: GraphModule


def handed_over(outputs: Sequence[Any]) -> Any:
    """The tangents that the caller gives for the forward's outputs; no module holds it, since it is where they are cut."""
    raise NotImplementedError("a joint graph is executed in two halves")


def joint_model(joint: GraphModule, outputs: int, name: str) -> Model:
    """The model of a joint graph in normal form, of which the first so many outputs are the forward's; as torch executes it.

    Its source calls `handed_over`. What the caller keeps of the forward's outputs is computed once. GraphError where the graph has
    no tangents.
    """
    source, saved = _with_handover(joint, outputs)
    graph = build(source, name, eager=True)
    ends = next(op for op in graph.ops if op.name == _handover(source).name)
    kept = [graph.storage_of.get(x, x) for x in ends.inputs if x in graph.outputs]
    once = {graph.producer.get(x) for x in kept}
    ops = [replace(op, once=op.once or k in once or op.name in saved) for k, op in enumerate(graph.ops)]
    ops[graph.ops.index(ends)] = replace(ends, kind=handed_over.__name__, after=saved)
    return TorchModel(replace(graph, ops=tuple(ops)), name, source=source, runtime=RUNTIME)


def halves(emitted: GraphModule) -> Halves:
    """An emitted model of `joined`, cut where the forward's outputs are handed over.

    Saved is what the forward computes or is given and the backward reads. Linear.
    """
    nodes = list(emitted.graph.nodes)
    handover = _handover(emitted)
    at = nodes.index(handover)
    given = [item for item in nodes if item.target is operator.getitem and item.args[0] is handover]
    before, after = nodes[:at], [node for node in nodes[at + 1 : -1] if node not in given]
    gradients = nodes[-1].args[0][1]
    read = {x for node in after for x in node.all_input_nodes} | {x for x in gradients if isinstance(x, Node)}
    saved = [node for node in before if node in read and node.op != "get_attr"]
    forward, backward = Graph(), Graph()
    copies = _copy(forward, before, {})
    returned: Any = handover.args[0]
    forward.output([copies.get(x, x) for x in (*returned, *saved)])
    copies = {x: _placeholder(backward, x) for x in (*saved, *given)}
    copies = _copy(backward, [*(x for x in before if x.op == "get_attr" and x in read), *after], copies)
    backward.output([copies.get(x, x) for x in gradients])
    return Halves(GraphModule(emitted, forward), GraphModule(emitted, backward))


def _with_handover(joint: GraphModule, outputs: int) -> tuple[GraphModule, tuple[str, ...]]:
    """A copy of the joint graph that returns (the kept outputs of the forward, the gradients, the tangents) and takes no tangents.

    Program order is kept among what depends on tangents, which comes last, and among all else. Inputs that the caller overwrites
    with their next values are copied first, for what reads them in the backward; the names of the copies come with the graph.
    """
    *nodes, result = joint.graph.nodes
    tangents = [n for n in nodes if n.op == "placeholder" and n.name.startswith(TANGENT)]
    returned: Sequence[Any] = result.args[0]
    late = dict.fromkeys(tangents)
    for node in nodes:
        if any(x in late for x in node.all_input_nodes):
            late[node] = None
    if not tangents or any(x in late for x in returned[:outputs]):
        raise GraphError(
            "the graph's outputs and its tangents are not those of a forward", "plan it as one module"
        )
    renewed = _renewed(nodes, result, outputs)
    made = Graph()
    copies = _copy(made, [node for node in nodes if node.op == "placeholder" and node not in late], {})
    saved = [node for node in renewed.values() if node.users]
    for node in saved:
        copies[node] = made.call_function(torch.ops.aten.clone.default, (copies[node],))
        copies[node].meta = {"val": node.meta["val"].clone()}
    copies = _copy(made, [node for node in nodes if node not in late and node not in copies], copies)
    whole = made.call_function(handed_over, ([copies.get(x, x) for x in returned[:outputs]],))
    whole.meta["val"] = tuple(n.meta["val"] for n in tangents)
    for k, n in enumerate(tangents):
        copies[n] = made.create_node("call_function", operator.getitem, (whole, k), name=n.name)
        copies[n].meta = dict(n.meta)
    copies = _copy(made, [node for node in late if node not in copies], copies)
    kept = [x for x in returned[:outputs] if x not in renewed]
    groups = (kept, returned[outputs:], tangents)
    made.output(tuple([copies.get(x, x) for x in group] for group in groups))
    return GraphModule(joint, made), tuple(copies[node].name for node in saved)


def _renewed(nodes: Sequence[Node], result: Node, outputs: int) -> dict[Any, Node]:
    """The inputs that the caller overwrites as the forward ends, by the output that is the next value.

    GraphError where AOTAutograd does not describe what it returns, as torch before 2.9.
    """
    told = result.meta.get("desc")
    if told is None:
        raise GraphError(
            "the joint graph does not say which outputs renew inputs", "install torch 2.9 or newer"
        )
    given = {node.meta.get("desc"): node for node in nodes if node.op == "placeholder"}
    returned: Any = result.args[0]
    pairs = zip(returned[:outputs], told, strict=False)
    return {x: given[what.mutated_input] for x, what in pairs if type(what).__name__ == RENEWED}


def _handover(module: GraphModule) -> Node:
    nodes: list[Node] = [node for node in module.graph.nodes if node.target is handed_over]
    return nodes[0]


def _copy(graph: Graph, nodes: Sequence[Node], copies: dict[Node, Node]) -> dict[Node, Node]:
    for node in nodes:
        copies[node] = graph.node_copy(node, lambda n: copies[n])
    return copies


def _placeholder(graph: Graph, node: Node) -> Node:
    """A placeholder for what another module computes."""
    made = graph.placeholder(node.name)
    made.meta = dict(node.meta)
    return made
