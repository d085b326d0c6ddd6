"""What runs in a case's own process: reads a job from stdin, writes news and one answer as JSON lines.

A job is {"do": "prepare" | "solve", "cores": [core, …], …}. Lines written: {"news": [phase, value, bound,
seconds]} now and then, at last {"answer": {…}}, or {"failed": [outcome, reason]} for an error that has a sentence.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from memplan.base.children import end_with_parent
from memplan.base.errors import InvalidPlanError, MemplanError

Job = Mapping[str, Any]
Say = Callable[[dict[str, Any]], None]
NEWS_S = 0.2
"""Least time between two pieces of news."""


def main() -> None:
    """Do one job. Whatever else prints to stdout goes to stderr."""
    end_with_parent()
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # one buffer, so that words come in their order
    job = json.load(sys.stdin)
    if job.get("cores") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])

    def say(line: dict[str, Any]) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    try:
        say({"answer": {"prepare": prepare, "solve": solve}[job["do"]](job, say)})
    except InvalidPlanError as error:
        say({"failed": ["invalid", str(error)]})
    except MemplanError as error:
        say({"failed": ["refused", str(error)]})
    except MemoryError:
        say({"failed": ["memory", "a request for memory was refused"]})


def prepare(job: Job, say: Say) -> dict[str, Any]:
    """Load the model and compute its reference capacities under each (alignment, weights, io); M_P only if `peaks`.

    What an earlier run `kept` of the same graph is taken over, whether M_P is proved included.
    """
    from memplan.io.ops_toml import declare_ops
    from memplan.ir.ranges import dims_from_json
    from memplan.library.load import load_model
    from memplan.library.zoo import zoo_index
    from memplan.solving.capacities import least_capacity, reference_capacities
    from memplan.solving.planning import make_problem
    from memplan.studies.compare.cases import OWN, CaseOptions, reference_key

    if job["ops"]:
        declare_ops(job["ops"])
    bounds = {name: tuple(shape) for name, shape in job["bounds"].items()}
    model = load_model(job["model"], dims_from_json(job["dims"]), bounds, trust=job["trust"])
    graph, kept = model.graph, job["kept"]
    found = dict(kept["budgets"]) if kept and kept["sha256"] == graph.sha256 else {}
    for alignment, weights, io in job["policies"]:
        key = reference_key(alignment, CaseOptions(weights, io, "off"))
        if key in found and (found[key]["mp"] or not job["peaks"]):
            continue
        problem = make_problem(model, alignment=alignment, weights=weights, io=io, inplace=False)
        if job["peaks"]:
            found[key] = asdict(reference_capacities(problem))
        else:
            found[key] = {"mr": least_capacity(problem), "mp": 0, "mh": 0, "mp_proved": False}
    families = {entry["name"]: entry["family"] for entry in zoo_index()}
    return {
        "name": model.stem,
        "family": families.get(job["model"], OWN),
        "graph": graph.to_dict(),
        "sha256": graph.sha256,
        "ops": len(graph.ops),
        "dims": dict(model.dims),
        "bounds": dict(model.bounds),
        "reference": found,
    }


def solve(job: Job, say: Say) -> dict[str, Any]:
    """Plan once, checked and evaluated; the numbers of the answer, the plan as JSON and as a page."""
    from memplan.io.graph_json import graph_from_dict
    from memplan.io.plan_json import plan_text
    from memplan.ir.model import Model
    from memplan.ir.ranges import dims_from_json
    from memplan.machine.target_file import target_from_dict
    from memplan.solving.limits import Progress
    from memplan.solving.planning import plan
    from memplan.views.html import report_page

    last = [0.0]

    def progress(news: Progress) -> None:
        if time.monotonic() - last[0] >= NEWS_S:
            last[0] = time.monotonic()
            say({"news": [news.phase, news.value, news.bound, news.seconds]})

    bounds = {name: tuple(shape) for name, shape in job["bounds"].items()}
    dims = dims_from_json(job["dims"])
    model = Model(graph_from_dict(job["graph"], job["model"]), job["model"], dims, bounds=bounds)
    found = plan(
        model,
        target_from_dict(job["target"]),
        scratchpad=job["capacity"],
        objective=job["objective"],
        weights=job["weights"],
        io=job["io"],
        inplace=job["inplace"] == "on",
        join=job["join"] == "on",
        recompute=job["recompute"],
        compute_limit=float(job["compute_limit"]) if job["compute_limit"] else None,
        solver=job["solver"],
        time_limit_s=job["time_limit_s"],
        workers=job["workers"],
        seed=job["seed"],
        progress=progress,
    )
    found = replace(found, budget_proved=job["budget_proved"])
    return {
        "status": str(found.status),
        "value": found.value,
        "bound": found.bound,
        "gap": found.gap,
        "seconds": round(found.seconds, 6),
        "total_seconds": round(found.total_seconds, 6),
        "reason": found.reason,
        "metrics": found.metrics._asdict() if found.schedule or found.value is not None else None,
        "peak_rss": _peak_rss(),
        "plan": plan_text(found) if found.value is not None else None,
        "page": report_page(model.graph, [found]) if found.value is not None else None,
    }


def _peak_rss() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    main()
