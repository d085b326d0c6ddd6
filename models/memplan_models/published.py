"""The published results: which comparisons they are, and RESULTS.md made from their lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from memplan.studies.compare.cases import Setting
from memplan.studies.compare.instances import Instance, instances_of
from memplan.studies.compare.markdown import table_md
from memplan.studies.compare.tables import Cell, Table, show_value

OURS = "portfolio"
BASELINES = tuple(
    f"baseline{{schedule={schedule},replace={replace}}}"
    for schedule in ("program", "peak")
    for replace in ("belady", "greedy_ilp")
)
BASELINE_NAMES = dict(
    zip(
        BASELINES, ("program, Belady", "program, greedy ILP", "peak, Belady", "peak, greedy ILP"), strict=True
    )
)
DRAWN = (
    "resnet50_int8", "resnext50_32x4d_int8", "densenet121_int8", "fc_densenet103_int8", "r2plus1d_18_int8", "s3d_int8",
    "fcn_resnet50_int8", "lraspp_mobilenet_v3_int8", "deeplabv3_resnet50_int8", "transformer_base_int8", "vit_b16_int8",
)  # fmt: skip
SEARCHED = ("pnasnet5_mobile_int8", "amoebanet_d_int8", "nasnet_a_mobile_int8", "darts_imagenet_int8")
WIRED = ("randwire_ws_regular_int8",)
TRAINING = (
    "torch_small_cnn_train", "torch_resnet18_train", "torch_tiny_gpt_train", "efficientnet_b0_train", "gpt2_char_train",
    "mobilenet_v2_train", "resnet50_train", "unet_train", "vgg16_train", "vit_ti16_train",
    "mcunet_5fps_train_full_int8", "mcunet_5fps_train_sparse_int8",
)  # fmt: skip
TIMED = (
    "resnet50", "shufflenet_v2_x1", "efficientnet_b0", "densenet121", "torch_bert_base", "gpt2_prefill", "ghostnet", "yolov8n",
)  # fmt: skip
"""None of which the policy of `malloc_game` was trained on."""

TIMED_SOLVERS = ("msa", "msa_tuned", "brkga", "anneal", "malloc_game", "malloc_game{mode=prod}", OURS)


@dataclass(frozen=True)
class Published:
    """One comparison: its lines lie in `models/results/NAME.jsonl`, its section is written by `section`."""

    name: str
    setting: Setting
    section: Callable[[Sequence[Instance]], str]


def published(time_limit_s: float, workers: int) -> list[Published]:
    """The comparisons, each case with these limits."""
    limits: dict[str, Any] = {"time_limit_s": time_limit_s, "workers": workers}
    cosma = Setting(
        DRAWN + SEARCHED + WIRED,
        (*BASELINES, OURS),
        ("MR", "MH", "MP"),
        weights=("ignore", "tensor"),
        **limits,
    )
    olla = Setting(
        TRAINING,
        ("pytorch", OURS),
        ("max",),
        objectives=("peak",),
        weights=("tensor",),
        io=("host", "resident"),
        **limits,
    )
    latency = Setting(
        TIMED,
        TIMED_SOLVERS,
        ("0.05MP", "0.25MP"),
        targets=("tpu-v4i",),
        objectives=("latency",),
        time_limit_s=time_limit_s,
        workers=1,
    )
    return [
        Published("cosma", cosma, cosma_md),
        Published("olla", olla, olla_md),
        Published("latency", latency, latency_md),
    ]


def results_md(found: Sequence[tuple[Published, Sequence[dict[str, Any]]]], made: str) -> str:
    """RESULTS.md: how it was made, in a sentence, and a section for each comparison that has lines."""
    parts = [
        f"""# Results

{made}

It is made from the lines in `models/results/`. Every plan was checked; every bound holds
for all plans that the options allow. Sizes are bytes. The [README](../README.md#the-words) explains the words: scratchpad, spill,
peak, bound."""
    ]
    parts += [one.section(instances_of(records)) for one, records in found if records]
    parts.append("""## Offsets

Packing buffers with given lifetimes is measured by itself, on MiniMalloc's instances and on generated ones, in
[docs/offsets.md](../docs/offsets.md).""")
    return "\n\n".join(parts) + "\n"


# ---- COSMA ----


def cosma_md(instances: Sequence[Instance]) -> str:
    """Traffic against COSMA's four baselines, with and without parameters."""
    parts = [
        f"""## Traffic at COSMA's capacities

COSMA (Li, Gupta, Malik, arXiv 2311.18246) plans order, spills and offsets by one integer program. Its setting: int8, batch 1, one
scratchpad in which the operands of an op must lie while it runs, at three capacities: M_R (the most bytes that a single op touches),
M_P (the least peak over all orders) and M_H half way between them. The value is the bytes of spills, which the paper calls
non-compulsory accesses. {_limits(instances)}

The paper reports 84 % fewer of these bytes than its baselines on average over ten human-designed nets, and 85 % over searched ones.
Its four baselines decide one thing after the other: the order (the program's, or the one of least peak), then what leaves the
scratchpad (by Belady's rule, which evicts the tensor whose next use is farthest away, or by an integer program for each step
alone), then the offsets (as TensorFlow Lite does, in order of size).

What differs: the graphs are the zoo's, drawn from the nets' papers, not the authors' files, and the searched nets are taken at
mobile size (224 px) where one exists; the baselines are repaired (more is evicted until they pack) where the paper's count
bytes that may not pack; a reloaded input or constant costs its load alone where the paper's equations charge a store too;
both "DenseNet" candidates are in.

The reduction is given both ways. *Of the sum* = 1 - sum of values / sum of the baseline's values; the largest nets decide it. *Mean* =
the mean of the cases' own reductions; each case counts alike. *At zero* = the cases in which the baseline spills nothing, of
all cases: there is nothing to reduce in them, and they count in neither. Where the optimum is proved nobody can reduce more: the
values by model tell where a baseline was optimal already."""
    ]
    for weights, words in (("ignore", "Activations only"), ("tensor", "Activations and parameters")):
        kept = [i for i in instances if i.one["weights"] == weights]
        parts += [
            f"### {words}: reduction",
            table_md(_reductions(kept)),
            f"### {words}: bytes by model",
            table_md(_traffic(kept)),
        ]
    return "\n\n".join(parts)


def reduction(pairs: Sequence[tuple[float, float]]) -> float | None:
    """1 - sum of ours / sum of theirs; None where theirs is 0 in all."""
    theirs = sum(b for _, b in pairs)
    return 1 - sum(a for a, _ in pairs) / theirs if theirs else None


def _reductions(instances: Sequence[Instance]) -> Table:
    """Three rows a group and capacity, a column a baseline: of the sums, mean of the cases, how many count in neither."""
    rows = []
    for group, names in (("human-designed", DRAWN), ("searched", SEARCHED), ("randomly wired", WIRED)):
        for budget in ("MR", "MH", "MP", "all"):
            kept = [i for i in instances if i.one["model"] in names and budget in (i.one["budget"], "all")]
            found = [_pairs(kept, spec) for spec in BASELINES]
            above = [[(a, b) for a, b in pairs if b > 0] for pairs in found]
            proved = Cell(f"{sum(map(_optimal, kept))} of {len(kept)}")
            sums = (Cell(_percent(reduction(p))) for p in above)
            means = (Cell(_percent(sum(1 - a / b for a, b in p) / len(p) if p else None)) for p in above)
            zeros = (Cell(f"{len(f) - len(a)} of {len(f)}") for f, a in zip(found, above, strict=True))
            rows += [
                (Cell(group), Cell(budget), Cell("of the sum"), *sums, proved),
                (Cell(group), Cell(budget), Cell("mean"), *means, Cell("")),
                (Cell(group), Cell(budget), Cell("at zero"), *zeros, Cell("")),
            ]
    head = (
        "nets",
        "budget",
        "reduction",
        *(f"against {BASELINE_NAMES[s]}" for s in BASELINES),
        "optimum proved",
    )
    return Table(head, tuple(rows), frozenset(range(3, 8)))


def _optimal(instance: Instance) -> bool:
    """Whether the portfolio's value is proved least, by whomever."""
    value = _of(instance, OURS)
    return value is not None and instance.bound is not None and value <= instance.bound


def _pairs(instances: Sequence[Instance], theirs: str) -> list[tuple[float, float]]:
    """(ours, theirs) wherever both have a plan."""
    found = [(_of(i, OURS), _of(i, theirs)) for i in instances]
    return [(a, b) for a, b in found if a is not None and b is not None]


def _traffic(instances: Sequence[Instance]) -> Table:
    head = (
        "model",
        "budget",
        "capacity",
        *(BASELINE_NAMES[s] for s in BASELINES),
        OURS,
        "bound",
        "gap",
        "seconds",
    )
    rows = []
    for i in sorted(instances, key=_published_order):
        cells = (Cell(show_value(_of(i, spec), "traffic")) for spec in BASELINES)
        rows.append((Cell(i.one["model"]), Cell(i.one["budget"]), Cell(f"{i.capacity:,}"), *cells, *_ours(i)))
    return Table(head, tuple(rows), frozenset(range(2, 11)))


def _published_order(instance: Instance) -> tuple[int, int]:
    return (DRAWN + SEARCHED + WIRED).index(instance.one["model"]), ("MR", "MH", "MP").index(
        instance.one["budget"]
    )


# ---- OLLA ----


def olla_md(instances: Sequence[Instance]) -> str:
    """Peaks of training steps against PyTorch's order and allocator."""
    parts = [
        f"""## Peaks of training steps

OLLA (Steiner et al., arXiv 2210.12924) looks for the least memory in which a training step runs: order and offsets are free, and
nothing is spilled or recomputed. {_limits(instances)}

The paper reports one third less memory on average than PyTorch. `pytorch` is the program's order with each buffer placed as
PyTorch's caching allocator would, segments side by side (a model of it, `solvers/memplan_solvers/offsets/caching.py`);
peak = the highest address in use, which leaves out the unused rest of its last segment.

What differs: the paper measures PyTorch on a GPU, on graphs it traced there, at batch 1 and 32; here the steps are the zoo's, some
traced by torch, some made by reverse mode over the graph, at the batch of the catalogue; updated parameters are new tensors, not
written over the old ones, and count beside them where both are resident; a buffer that a kernel uses inside itself is not seen."""
    ]
    for io, words in (
        ("host", "Parameters and optimizer state come from host when they are used"),
        ("resident", "Parameters and optimizer state resident"),
    ):
        kept = [i for i in instances if i.one["io"] == io]
        rows = []
        for i in kept:
            theirs, ours = _of(i, "pytorch"), _of(i, OURS)
            less = reduction([(ours, theirs)]) if ours is not None and theirs is not None else None
            live = (
                (i.records["pytorch"]["metrics"] or {}).get("live_peak") if "pytorch" in i.records else None
            )
            rows.append(
                (
                    Cell(i.one["model"]),
                    Cell(str(i.one["ops"])),
                    Cell(show_value(theirs, "peak")),
                    Cell(show_value(live, "peak")),
                    *_ours(i),
                    Cell(_percent(less)),
                )
            )
        lesses = [1 - a / b for a, b in _pairs(kept, "pytorch") if b]
        if lesses:
            mean = sum(lesses) / len(lesses)
            rows.append((Cell("mean"), *(Cell("") for _ in range(7)), Cell(_percent(mean))))
        head = ("step", "ops", "pytorch", "of which live", OURS, "bound", "gap", "seconds", "reduction")
        parts += [f"### {words}", table_md(Table(head, tuple(rows), frozenset(range(1, 9))))]
    return "\n\n".join(parts)


# ---- latency ----


def latency_md(instances: Sequence[Instance]) -> str:
    """Latency against XLA's memory space assignment."""
    specs = TIMED_SOLVERS
    rows = []
    for key, group in groupby(instances, key=lambda i: i.one["model"]):
        for i in group:
            r = next((r for r in i.records.values() if r["metrics"]), None)
            ends = (
                (r["metrics"]["latency_all_host_s"], r["metrics"]["latency_unlimited_s"])
                if r
                else (None, None)
            )
            values = (Cell(_micro(_of(i, spec))) for spec in specs)
            rows.append(
                (
                    Cell(key),
                    Cell(i.one["budget"]),
                    Cell(f"{i.capacity:,}"),
                    Cell(_micro(ends[0])),
                    *values,
                    Cell(_micro(i.bound)),
                    Cell(_micro(ends[1])),
                )
            )
    head = ("model", "budget", "capacity", "all in host", *specs, "bound", "all in scratchpad")
    table = table_md(Table(head, tuple(rows), frozenset(range(2, len(head)))))
    return f"""## Latency

Setting of memory space assignment, the pass by which Google's compiler XLA decides what lies in fast memory: ops read operands from
either memory, and copies run beside the computation. The target is `tpu-v4i`, whose numbers `memplan targets --json` lists. Its
scratchpad is cut to fractions of M_P, since all of these nets fit into the whole. `msa` is that compiler's pass restated,
`msa_tuned` the best of a grid over its options, `malloc_game` the agent, trained on none of these nets, and `mode=prod` the better
of it and `msa_tuned`. {_limits(instances)} Latencies are in microseconds.

What differs: times come from one analytic evaluator (roofline by op, one queue of copies), not from a chip.

{table}"""


def _micro(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e6 * seconds:,.2f}"


# ---- shared ----


def _ours(instance: Instance) -> tuple[Cell, Cell, Cell, Cell]:
    """Value, best bound, gap to it and seconds of the portfolio."""
    r = instance.records.get(OURS)
    if r is None or r["value"] is None or instance.bound is None:
        return Cell(r["outcome"] if r and r["outcome"] != "done" else "–"), Cell("–"), Cell("–"), Cell("–")
    gap = (r["value"] - instance.bound) / r["value"] if r["value"] else 0.0
    shown = show_value(math.ceil(instance.bound), r["objective"])
    return (
        Cell(show_value(r["value"], r["objective"])),
        Cell(shown),
        Cell(_percent(gap)),
        Cell(f"{r['seconds']:.2f}"),
    )


def _of(instance: Instance, spec: str) -> float | None:
    r = instance.records.get(spec)
    value: float | None = None if r is None else r["value"]
    return value


def _percent(part: float | None) -> str:
    return "–" if part is None else f"{100 * part:.1f} %"


def _limits(instances: Sequence[Instance]) -> str:
    if not instances:
        return ""
    one = instances[0].one
    cores = "core" if one["workers"] == 1 else "cores"
    return f"Each case: {one['time_limit_s']:g} s, {one['workers']} {cores}, seed {one['seed']}."
