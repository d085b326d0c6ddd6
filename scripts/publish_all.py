"""Makes every measured table anew that is older than the code it measures, one after the other.

    scripts/publish_all [--list] [--packs FOLDER] [PAGE ...]

A table that is made names its commit, so a run that was stopped goes on with what is left. With names, those pages alone. --packs is
a folder of MiniMalloc's instances for docs/offsets.md, which is left as it is without. At last what is made of other tables.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from marked import part
from provenance import MADE, ROOT, changes_since

from memplan.base.children import start_program

DERIVED = ("scripts/publish_obeyed", "scripts/readme_results")
"""Make tables of tables, in no time."""


@dataclass(frozen=True)
class Measured:
    """A page with a measured table.

    Args:
        page: the page's path from the root.
        mark: what its mark says after `scripts/`; empty where the whole page is made.
        code: files and folders that it measures, from the root.
    """

    page: str
    mark: str
    code: tuple[str, ...]

    @property
    def text(self) -> str:
        """The table as it is."""
        path = ROOT / self.page
        return part(path, self.mark) if self.mark else path.read_text(encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """What made it, and makes it anew."""
        made = MADE.search(self.text)
        if made is None:
            raise SystemExit(f"{self.page} does not say how its table is made")
        return shlex.split(made["command"])

    @property
    def newer(self) -> list[str]:
        """The commits that make it old; empty where it is up to date."""
        return changes_since(self.text, self.code)


def solvers(*names: str) -> tuple[str, ...]:
    """Folders and files of the solvers."""
    return tuple(f"solvers/memplan_solvers/{name}" for name in names)


EXACT = solvers("search", "peak", "offsets", "portfolio.py", "benders.py", "ilp")
TILES = ("memplan/tiling", "memplan/solving/tiling.py", *solvers("tiling"))
LATENCY = solvers("latency", "malloc_game", "replace", "schedule")
TABLES = (
    Measured("docs/speed.md", "bench_speed", ("memplan/problem", "memplan/judge", *solvers("greedy.py", "prefetch.py"))),
    Measured("docs/joins.md", "bench_joins", solvers("peak", "joins.py")),
    Measured("docs/placement.md", "bench_placement", solvers("placement")),
    Measured("docs/offsets.md", "bench_offsets", solvers("offsets")),
    Measured("docs/recompute.md", "bench_recompute", solvers("recompute")),
    Measured("docs/tiles.md", "bench_tiles", TILES),
    Measured("docs/tiles.md", "bench_fronts", TILES),
    Measured("docs/exact.md", "bench_exact", EXACT),
    Measured("docs/exact_nas.md", "bench_exact", EXACT),
    Measured("docs/exact_nas_weights.md", "bench_exact", EXACT),
    *(Measured("docs/latency.md", f"bench_latency {seconds} s", LATENCY) for seconds in (1, 10, 20, 60)),
    Measured("docs/tflm.md", "bench_tflm", ("memplan/runtimes/tflm.py", "memplan/tflite")),
    Measured("docs/onnxruntime.md", "bench_onnxruntime", ("memplan/runtimes/onnxruntime",)),
    Measured("docs/executorch.md", "bench_executorch", ("memplan/runtimes/executorch", "memplan/torch/executorch")),
    Measured("docs/torch.md", "bench_torch", ("memplan/torch", *solvers("recompute"))),
    Measured("docs/numba.md", "numba_matrix", solvers("jit_inside.py", "jit_plain.py")),
    Measured("docs/trained-models.md", "run_trained_models", ("memplan/onnx", "memplan/runtimes/arena.py")),
    Measured("models/RESULTS.md", "", (*EXACT, *LATENCY)),
)  # fmt: skip


def main() -> int:
    """Exit status 5 if a script that makes a table failed."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pages", nargs="*", metavar="PAGE")
    p.add_argument("--list", action="store_true", help="say which tables are old, and make none")
    p.add_argument("--packs", type=Path, help="MiniMalloc's instances")
    args = p.parse_args()
    failed = 0
    for table in TABLES:
        if (args.pages and table.page not in args.pages) or not (newer := table.newer):
            continue
        print(f"{table.page}, {table.mark or 'all of it'}: {len(newer)} changes since, last {newer[0]}")
        words = table.command
        if table.mark == "bench_offsets":
            if args.packs is None:
                print("left as it is: give --packs")
                continue
            words[-1] = str(args.packs)
        if not args.list:
            print(f"$ {shlex.join(words)}", flush=True)
            failed += start_program([str(ROOT / words[0]), *words[1:]], cwd=ROOT).wait() != 0
    for script in () if args.list else DERIVED:
        failed += start_program([str(ROOT / script)], cwd=ROOT).wait() != 0
    return 5 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
