"""Makes the zoo: runs the recipes, writes graphs/*.onnx.gz, graphs/*.json.gz and index.json beside them.

`python -m memplan_models.recipes.make` in a checkout. The same recipes give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

from memplan.graph import Graph
from memplan.options import Options
from memplan.problem import Problem
from memplan.target import Target
from memplan.zoo import read_model
from memplan_models.recipes import recipes
from memplan_models.recipes.recipe import Recipe

FOLDER = Path(__file__).parents[1]


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
        "views": sum(op.is_view for op in graph.ops),
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
    (FOLDER / "index.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
