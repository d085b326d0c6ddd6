"""Train the policy network of the mallocGame by expert iteration, on local processes or a Ray cluster.

The graphs below are all that training sees; reported graphs are others. Goes on from the checkpoint in the
output folder, writes policy.safetensors, curve.json and the picture of the curve there. With --guide it trains
the network that guides the agent's annealing instead: guide.safetensors, guide.json, guide.svg.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from memplan_solvers.malloc_game.actors import Actors, Alone, Processes, Ray, TrainingCase
from memplan_solvers.malloc_game.guide import save_guide
from memplan_solvers.malloc_game.guide_learner import experience, teach
from memplan_solvers.malloc_game.train import Schedule, train

from memplan.base.files import write_atomic
from memplan.views.charts import Axis, Mark, Series, plot, standalone

GRAPHS = (
    "amoebanet_a_mobile", "bert_small", "crnn", "darts_cifar", "fc_densenet56", "gpt2_char", "gpt2_char_train",
    "latent_diffusion_small", "matmul_444_rank49_strassen", "mnasnet_a1", "mobilenet_v1", "mobilenet_v2",
    "mobilenet_v2_train", "mobilenet_v3_small", "nasnet_a_cifar", "randwire_ba_small", "randwire_ws_small_b",
    "ssdlite_mobilenet_v2", "torch_convnext_tiny", "torch_resnet18_train", "unet", "unet_plus_plus", "vit_ti16",
    "yolov3_tiny",
)  # fmt: skip
"""Zoo models to learn from."""

TARGETS = ("tpu-v4i", "ethos-u65")
SHARES = (0.1, 0.25, 0.05, 0.15)
"""Scratchpads as shares of live peak + weights; dealt to the graphs in turn, two a graph and target."""

GUIDE_STEPS = 2000
"""Steps of the guide's learning; more only fit the taught graphs better."""


def cases() -> list[TrainingCase]:
    """Every graph on both targets at two shares."""
    return [
        TrainingCase(graph, target, SHARES[(k + j + 2 * half) % 4])
        for k, graph in enumerate(GRAPHS)
        for j, target in enumerate(TARGETS)
        for half in range(2)
    ]


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/agent"))
    parser.add_argument("--iterations", type=int, default=Schedule.iterations)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--start", default="", help="policy to begin with (default: a network drawn by the seed)"
    )
    parser.add_argument(
        "--rate", type=float, default=Schedule.rate, help="of learning, in the first iteration"
    )
    parser.add_argument("--last-rate", type=float, default=Schedule.last_rate, help="and in the last")
    parser.add_argument(
        "--workers", type=int, default=1, help="local processes that play (default: 1, bit-exact)"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="play on a Ray cluster; 'local' starts one here")
    parser.add_argument("--guide", action="store_true", help="train the guide of the annealing (one process)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.guide:
        train_guide(args.output, args.seed)
        return
    actors: Actors = Alone()
    if args.ray:
        actors = Ray(args.ray)
    elif args.workers > 1:
        actors = Processes(args.workers)
    try:
        schedule = Schedule(
            iterations=args.iterations,
            seed=args.seed,
            start=args.start,
            rate=args.rate,
            last_rate=args.last_rate,
        )
        train(cases(), actors, schedule, args.output, lambda line: print(line, file=sys.stderr, flush=True))
    finally:
        actors.close()
    curve = json.loads((args.output / "curve.json").read_text())["curve"]
    what, names = "latency over the first games", {"policy": "the network alone", "best": "best game so far"}
    write_atomic(args.output / "curve.svg", picture(curve, f"Training: {what}", "iteration", what, names))


def train_guide(output: Path, seed: int) -> None:
    """Anneal every case, teach the guide what its rounds gained; each sixth graph is held out and only tells the loss."""
    lived = {}
    for case in cases():
        lived[case] = experience(case, seed)
        print(f"{len(lived)} of {len(cases())} cases", file=sys.stderr, flush=True)
    held = [case for case in lived if GRAPHS.index(case.model) % 6 == 5]
    curve: list[dict[str, float]] = []
    guide = teach(
        [lived[c] for c in lived if c not in held], [lived[c] for c in held], GUIDE_STEPS, seed, curve.append
    )
    write_atomic(output / "guide.safetensors", save_guide(guide))
    about = {
        "seed": seed,
        "held out": [asdict(c) for c in held],
        "cases": [asdict(c) for c in lived],
        "curve": curve,
    }
    write_atomic(output / "guide.json", json.dumps(about, indent=1))
    names = {"taught": "graphs it is taught", "held out": "graphs held out"}
    write_atomic(output / "guide.svg", picture(curve, "Training of the guide", "step", "loss", names))


def picture(curve: list[dict[str, float]], title: str, by: str, what: str, names: dict[str, str]) -> str:
    """`what` is named, by `by`."""
    series = [
        Series(name, shade, tuple(Mark(row[by], row[key]) for row in curve), dots=False)
        for shade, (key, name) in enumerate(names.items())
    ]
    values = [mark.y for line in series for mark in line.marks]
    return standalone(
        plot(title, Axis(by, curve[0][by], curve[-1][by]), Axis(what, min(values), max(values)), series)
    )


if __name__ == "__main__":
    main()
