"""Zoo models of every family, planned at three budgets, execute bit-identically in a real arena.

`python -m tests.library.test_zoo_execution [PREFIX]` does so with every ONNX and torch model of less than 600 MB of weights.
"""

from __future__ import annotations

import sys
from math import isfinite

import pytest

import memplan
from memplan.library.zoo import load_zoo_model, zoo_index

LARGEST = 600_000_000
MODELS = (
    "bert_small", "crnn", "darts_imagenet", "deepspeech2_3gru", "densenet121", "ds_cnn_int8", "efficientnet_b0",
    "gpt2_char", "matmul_222_rank7_winograd", "matmul_444_rank64_classical", "mcunet_320kb_int8", "mobilenet_v1_025_int8", "mobilenet_v3_small", "resnet50",
    "resnet8_int8", "shufflenet_v2_x1", "squeezenet1_1", "tc_resnet8", "torch_small_cnn_train", "unet", "unet_plus_plus", "vit_ti16", "yolov3_tiny",
)  # fmt: skip


@pytest.mark.slow(reason="executes the whole zoo")
@pytest.mark.parametrize("name", MODELS)
def test_bit_identical_at_every_budget(name: str) -> None:
    model = load_zoo_model(name)
    digests = set()
    for budget in ("MR", "MH", "MP"):
        plan = memplan.plan(model, scratchpad=budget, solver="greedy", time_limit_s=10, workers=1)
        assert memplan.check(model, plan) == []
        report = memplan.run(model, plan)
        assert report.identical, f"{budget}: {report}"
        halves = any(t.dtype == "float16" for t in model.graph.tensors)
        assert isfinite(report.ratio) and (report.reference in ("onnxruntime", "eager torch") or halves)
        assert report.loaded_bytes == plan.metrics.compulsory_load + plan.metrics.spill_load
        assert report.stored_bytes == plan.metrics.compulsory_store + plan.metrics.spill_store
        digests.add(tuple(o.sha256 for o in report.outputs))
    assert len(digests) == 1


if __name__ == "__main__":
    for entry in zoo_index():
        runs = entry["file"].endswith(".onnx.gz") or entry["name"].startswith("torch_")
        if runs and entry["name"].startswith(tuple(sys.argv[1:]) or "") and entry["weight_bytes"] < LARGEST:
            test_bit_identical_at_every_budget(entry["name"])
            print(entry["name"], flush=True)
