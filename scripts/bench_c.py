"""Plans for firmware, replayed by the host test that is emitted with them; keeps the rows of docs/obeyed.md.

scripts/bench_c
"""

from __future__ import annotations

import sys

from publish_obeyed import keep

import memplan
from memplan.runtimes.obedience import Obedience

TARGETS = {"cortex-m7": "traffic", "ethos-u65": "latency", "stm32h743": "traffic"}
"""Machines of one and of several memories, and what is planned for on each."""

NETS = (
    "darts_imagenet_int8", "ds_cnn_int8", "mcunet_320kb_int8", "mobilenet_v1_025_int8", "nasnet_a_mobile_int8", "resnet8_int8",
    "tc_resnet8", "wav2letter_int8",
)  # fmt: skip
SECONDS = 5.0


def main() -> int:
    """Keep the rows; exit status 5 where a plan is not obeyed."""
    found = list(filter(None, (row(net, target) for net in NETS for target in TARGETS)))
    keep("c", found)
    return 0 if all(seen.obeys for _, seen in found) else 5


def row(net: str, target: str) -> tuple[str, Obedience] | None:
    """What the replay of the net's plan for the target counts; None where the net does not fit there."""
    model = memplan.load(net)
    plan = memplan.plan(model, target, runtime="c", objective=TARGETS[target], time_limit_s=SECONDS)
    if not plan.schedule:
        print(f"{net} on {target}: {plan.reason}", file=sys.stderr)
        return None
    seen = memplan.measure(model, plan, on="c")
    print(f"{net} on {target}: {seen.predicted:,} B planned, {seen.measured:,} B used", file=sys.stderr)
    return f"{net}, {target}", seen


if __name__ == "__main__":
    sys.exit(main())
