"""Graphs cut into tiles, so that a plan may need less memory than one op touches.

A tiling is a tuple of `record.Region`: ops that adjoin in the program, the axes of the last one's result that are cut,
the size of a tile, and the axis along which what was made is kept. `derive.derive(graph, tiling)` gives the tiled graph,
an ordinary graph that solvers, checker and simulator see; it is a pure function, and raises OptionError, which says what
cannot be tiled and why. Whoever searches for tilings calls it; `ranges.Ranges` tells what the tiles of one region would
compute without making the graph (`work()`).

What an importer must say is in the IR: `Op.needs`, an `Access` for each axis of each operand (`memplan.ir.needs` tells
boxes and padding from it; `cut_axes` along which axes an op can be cut; an op without needs is computed as a whole). In the
derived graph
- `Tensor.part` is (tensor of the original graph, box): a chunk, row-major. One that is written slice by slice has states as
  well, all of the chunk's box: `y[…].1`, `y[…].2` … `y[…]`. A tensor of the original graph that an op
  outside of all regions reads whole, or an output, is there whole under its own name. It is written tile by tile: `y.1`, `y.2`
  … `y` are its states, each tile reading the state before it as its last operand, over which it may write;
- `Op.tile` is (op of the original graph, box of its results); its kernel is that op's, with less to do. An op that no
  tile cuts is what it was.

Whoever executes or emits a derived graph asks `calls.calls(graph, derived)`: by name of the op a `Call`, which says for each
operand of the original op the box that is needed, the padding of this tile, in which tensors the box lies, and whether it
must be gathered because it does not lie contiguous in one of them; for each result its box, the tensor it is written to,
the state before, and whether it must be scattered. What is gathered and scattered lies in the op's workspace, operands
in order and then results, one behind the other (`calls.workspace_nbytes`); before them lies what the op itself needs. A
tile that only renames bytes (`calls.renames`) has none unless it both gathers and scatters: what it gathers are the
bytes of its result. It is a view where its operand lies contiguous in one tensor and its result is a chunk.
"""
