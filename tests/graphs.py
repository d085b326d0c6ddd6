"""Graphs for tests, written down as version 1 of the format has them."""

from memplan.io.graph_v1 import upgraded

graph_of = upgraded
"""Tensors of kind `output` are the outputs, and kinds of ops say which are views and which may work in place."""
