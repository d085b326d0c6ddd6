"""Makes the zoo: runs the recipes, writes graphs/*.onnx.gz, graphs/*.json.gz and index.json beside them,
and the catalogue models/README.md.

`python -m memplan_models.recipes.make` in a checkout. The same recipes give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

from memplan.ir.graph import Graph
from memplan.library.zoo import read_model
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan_models.recipes import recipes
from memplan_models.recipes.recipe import Recipe

FOLDER = Path(__file__).parents[1]
CATALOGUE = """# The zoo

{models} models in {families} families, written by `scripts/make_zoo` with the graphs and their index. None holds weights.
Sizes are at batch 1 or as the summary says; *peak* is that of live activations in program order and *M_R* the least
scratchpad any plan can do with, both with weights ignored and inputs and outputs in host memory. A multiply-accumulate
counts as two operations. What a training step changes, parameters included, is input and output. Trained models of public packages (`memplan_models/trained.json`) join where those are installed.
"""
CATALOGUE_HEAD = """\
| model | what | dtype | ops | Gflop | weights (MB) | peak (MB) | M_R (MB) | after |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"""


def model_file(recipe: Recipe) -> tuple[str, bytes]:
    """Name and uncompressed content of the recipe's file: ONNX, or graph JSON."""
    made = recipe.build()
    if isinstance(made, Graph):
        text = json.dumps(made.to_dict(), separators=(",", ":"), ensure_ascii=False)
        return f"{recipe.name}.json.gz", text.encode()
    return f"{recipe.name}.onnx.gz", made.SerializeToString(deterministic=True)


def compress(data: bytes) -> bytes:
    """`data` as gzip, without a time stamp or a file name."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def index_entry(recipe: Recipe, file: str, graph: Graph) -> dict[str, Any]:
    """The recipe's line of the index, its graph being in `file`; sizes in bytes at batch 1."""
    plain = Problem(graph, Target(), Options())
    weighted = Problem(graph, Target(), Options(weights="tensor"))
    return {
        "name": recipe.name,
        "family": recipe.family,
        "summary": recipe.summary,
        "dtype": recipe.dtype,
        "paper": recipe.paper,
        "recipe": recipe.build.__module__,
        "file": file,
        "ops": len(graph.ops),
        "views": sum(op.view for op in graph.ops),
        "tensors": len(graph.tensors),
        "flops": sum(op.flops or 0 for op in graph.ops),
        "weight_bytes": sum(t.nbytes for t in graph.tensors if t.kind == "constant"),
        "mr": max(plain.need),
        "mr_weights": max(weighted.need),
        "peak_program": program_peak(plain),
    }


def program_peak(problem: Problem) -> int:
    """Live peak in program order: every storage from its first touch to its last."""
    change = [0] * (problem.n + 1)
    for storage in problem.storages:
        change[min(storage.touches)] += storage.size
        change[max(storage.touches) + 1] -= storage.size
    live = peak = 0
    for delta in change:
        live += delta
        peak = max(peak, live)
    return peak


def catalogue(index: list[dict[str, Any]]) -> str:
    """The zoo as a Markdown page, a table a family."""
    lines = [CATALOGUE.format(models=len(index), families=len({entry["family"] for entry in index}))]
    for family in sorted({entry["family"] for entry in index}):
        lines += [f"## {family}\n", CATALOGUE_HEAD]
        for e in index:
            if e["family"] == family:
                lines.append(
                    f"| {e['name']} | {e['summary']} | {e['dtype']} | {e['ops']:,} | {e['flops'] / 1e9:,.3f} "
                    f"| {e['weight_bytes'] / 1e6:,.2f} | {e['peak_program'] / 1e6:,.2f} "
                    f"| {e['mr'] / 1e6:,.2f} | {e['paper']} |"
                )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write every graph and the index; a graph whose content is unchanged keeps its file."""
    graphs = FOLDER / "graphs"
    graphs.mkdir(exist_ok=True)
    index = []
    for name, recipe in recipes().items():
        file, data = model_file(recipe)
        index.append(index_entry(recipe, file, read_model(file, data, name, str(graphs), {}).graph))
        path = graphs / file
        if not path.exists() or gzip.decompress(path.read_bytes()) != data:
            path.write_bytes(compress(data))
        print(f"{name:28} {index[-1]['ops']:5} ops {path.stat().st_size:7} bytes")
    for path in graphs.iterdir():
        if path.name not in {entry["file"] for entry in index}:
            path.unlink()
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index)
    (FOLDER.parent / "README.md").write_text(catalogue(index), encoding="utf-8")
    (FOLDER / "index.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
