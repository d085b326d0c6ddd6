"""Plans a zoo model in less memory than it needs by three methods, checks, executes and draws the best plan, and says what was gained."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import memplan
from memplan import Plan
from memplan.cli.live import LiveLine
from memplan.cli.machine import show_warming

MODEL = "nasnet_a_mobile"
BUDGET = "MH"
BASELINE, GREEDY, BEST = "baseline", "greedy", "portfolio"
COMPILED = ("peak", "search", "frontiers")
"""What the best one needs compiled; the others begin without."""

OUT = Path("out")

COLUMNS = """
  solver           a method of planning: baseline combines well-known rules, greedy tries many orders and
                   rules, portfolio, the default, asks all methods in turn
  spilled bytes    bytes copied out of the scratchpad and back because space is short
  proved at least  what no plan in this scratchpad can spill less than, shown by computation
  peak             the end of the highest address in use, in bytes
  status           optimal: proved, there is no better plan; feasible: a plan, not proved to be the best
  seconds          what planning took
"""

NEXT = f"""
Next, after `. .venv/bin/activate`:
  with a model file         memplan plan {OUT / MODEL}.memplan.onnx --scratchpad 4MiB --emit json,html -o {OUT}
  in a compiler             python -c "import memplan; print(memplan.plan(memplan.load('bert_small'), scratchpad='MR').moves[:3])"
  to compare methods        memplan compare bert_small --solvers baseline,greedy,portfolio -o {OUT / "comparison"}
Each is the beginning of a tutorial: docs/tutorials/shell.md, compiler.md and research.md. `memplan warm` compiles what
other methods need.
"""


def main() -> int:
    """Exit status 0 if every plan is valid and the best one executes bit-identically."""
    model = memplan.load(MODEL)
    live = LiveLine()
    ask = partial(memplan.plan, model, scratchpad=BUDGET, time_limit_s=20)
    print(
        f"{MODEL} is a network of {len(model.graph.ops)} operations that classifies images. It is planned for a scratchpad, a small\n"
        "fast memory, half way between the least in which it can run and the least in which nothing has to leave.\n",
        flush=True,
    )
    with ThreadPoolExecutor(1) as beside:
        first = [beside.submit(ask, solver=solver) for solver in (BASELINE, GREEDY)]
        show_warming(lambda: False, COMPILED)
    plans = [*(plan.result() for plan in first), ask(solver=BEST, progress=live)]
    live.clear()
    print(table(plans) + COLUMNS)
    baseline, best = plans[0], min(plans, key=lambda plan: (plan.value, plan.metrics.peak))
    print(gain(baseline, best))
    violations = memplan.check(model, best)
    print("check:     " + ("every rule holds, every claim recomputes" if not violations else str(violations)))
    report = memplan.run(model, best)
    print(f"run:       {report}")
    for path in memplan.emit(model, best, ("json", "onnx", "html", "svg"), OUT):
        print(f"wrote      {path}")
    print(
        f"look at it: open {(OUT / MODEL).absolute()}.html in a browser, a map of the scratchpad, or the picture beside it"
    )
    print(NEXT, end="")
    return 0 if report.identical and not violations else 5


def table(plans: list[Plan]) -> str:
    """A line for each plan."""
    heads = f"{'solver':12} {'spilled bytes':>14} {'proved at least':>16} {'peak':>12} {'status':>10} {'seconds':>8}\n"
    return heads + "".join(
        f"{plan.solver:12} {plan.value:14,.0f} {plan.bound:16,.0f} {plan.metrics.peak:12,} {plan.status:>10} {plan.seconds:8.2f}\n"
        for plan in plans
    )


def gain(baseline: Plan, best: Plan) -> str:
    """What the best plan saves of the baseline's copies, and how sure that is, in a sentence each."""
    saved = 1 - best.value / baseline.value
    proved = (
        "no plan copies fewer" if best.status == "optimal" else f"no plan copies fewer than {best.bound:,.0f}"
    )
    return (
        f"What was gained: in {best.target.scratchpad.capacity:,} bytes the well-known rules copy {baseline.value:,.0f} bytes at each run of\n"
        f"the network, and the best plan {best.value:,.0f}, which is {saved:.0%} fewer. It is proved that {proved}.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
