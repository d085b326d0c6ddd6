"""The zoo: index against files, files against recipes, architectures against their papers."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from memplan_models.recipes import make, recipes
from memplan_models.recipes.cells import amoebanet_a
from memplan_models.recipes.randwire import barabasi_albert, erdos_renyi, watts_strogatz
from memplan_models.recipes.recipe import imported

import memplan
from memplan.base.errors import DimensionError, GraphError
from memplan.library import zoo

NAMES = zoo.zoo_names()
INDEX = {entry["name"]: entry for entry in zoo.zoo_index()}
SLOW = "torch_bert torch_convnext torch_gpt2 torch_llama torch_resnet18 torch_tiny_gpt torch_unet".split()
MADE = [name for name in NAMES if not name.startswith(tuple(SLOW))]
"""The models whose recipes are run again; tracing the other ones takes seconds each."""
WIDTH = {"int8": 1, "float16": 2, "float32": 4}
FILES = resources.files("memplan_models") / "graphs"

PARAMETERS = {  # as published or commonly counted, in millions; folded norms and masks differ a little
    "resnet50": 25.6, "resnext50_32x4d": 25.0, "densenet121": 8.0, "inception_v3": 23.8,
    "squeezenet1_1": 1.24, "mobilenet_v2": 3.5, "mobilenet_v3_small": 2.54, "shufflenet_v2_x1": 2.28,
    "efficientnet_b0": 5.3, "nasnet_a_mobile": 5.3, "darts_imagenet": 4.7, "randwire_ws_small": 5.6,
    "unet": 31.0, "yolov3_tiny": 8.85, "vit_ti16": 5.7, "bert_small": 28.8, "crnn": 8.3,
    "unet_plus_plus": 9.04, "fc_densenet56": 1.4, "fc_densenet103_int8": 9.4, "fcn_resnet50_int8": 33.0,
    "deeplabv3_resnet50_int8": 39.6, "lraspp_mobilenet_v3_int8": 3.22, "r2plus1d_18_int8": 31.5, "s3d_int8": 8.32,
    "transformer_base_int8": 63.1, "vit_b16_int8": 86.6,
    "pnasnet5_mobile_int8": 5.1, "pnasnet5_large": 86.1, "amoebanet_d_int8": 82.0, "nasnet_a_large": 88.9,
    "nasnet_a_cifar": 3.3, "darts_cifar": 3.3, "mobilenet_v1": 4.2, "mobilenet_v3_large": 5.48, "mnasnet_a1": 3.9,
    "ghostnet": 5.2, "mcunet_320kb_int8": 0.74, "vgg16": 138.4, "convnext_tiny": 28.6, "retinanet_resnet50": 34.0,
    "efficientdet_d0": 3.9, "yolov8n": 3.16, "hrnet_w32_pose": 28.5, "wav2letter_int8": 23.6, "tc_resnet8": 0.066,
    "whisper_tiny_encoder": 8.2, "gpt2_prefill": 124.4, "gpt2_decode": 124.4, "llama_1b_decode": 1100,
    "llama_7b_block_decode": 202.4, "mixtral_block_decode": 1451, "ddpm_cifar": 35.7, "torch_bert_base": 109.5, "torch_gpt2_prefill": 124.4, "torch_convnext_tiny": 28.6, "stable_diffusion_unet": 859.5,
}  # fmt: skip
MACS = {  # as published, in millions
    "resnet50": 4089, "resnext50_32x4d": 4230, "densenet121": 2834, "inception_v3": 5713,
    "mobilenet_v2": 300, "shufflenet_v2_x1": 146, "efficientnet_b0": 390, "nasnet_a_mobile": 564,
    "randwire_ws_small": 583, "yolov3_tiny": 2780,
    "r2plus1d_18_int8": 162_000, "s3d_int8": 17_980, "vit_b16_int8": 17_560,
    "pnasnet5_mobile_int8": 588, "pnasnet5_large": 25_000, "nasnet_a_large": 23_800, "randwire_ws_regular_int8": 4009,
    "randwire_er_small": 583, "randwire_ba_small": 583, "randwire_ws_small_b": 583,
    "mobilenet_v1": 569, "mobilenet_v3_large": 219, "mnasnet_a1": 312, "ghostnet": 141, "mcunet_320kb_int8": 81.8,
    "vgg16": 15_470, "convnext_tiny": 4456, "retinanet_resnet50": 151_540, "efficientdet_d0": 2500, "yolov8n": 4350,
    "hrnet_w32_pose": 7680,
}  # fmt: skip


def test_the_zoo_covers_the_families() -> None:
    families = {entry["family"] for entry in INDEX.values()}
    wanted = """cnn mobile nas segmentation detection keypoints video transformer recurrent speech tiny llm diffusion
    matmul training streaming""".split()
    assert families == set(wanted)
    assert {entry["dtype"] for entry in INDEX.values()} == {"int8", "float16", "float32"}
    assert sorted(recipes()) == NAMES == sorted(NAMES) and len(NAMES) >= 60


def test_the_catalogue_is_that_of_the_index() -> None:
    page = Path(make.__file__).parents[2] / "README.md"
    assert page.read_text(encoding="utf-8") == make.catalogue(zoo.zoo_index())


def test_every_file_is_in_the_index_and_small() -> None:
    files = {file.name: len(file.read_bytes()) for file in FILES.iterdir()}
    assert files.keys() == {entry["file"] for entry in INDEX.values()}
    assert max(files.values()) < 50_000 and sum(files.values()) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow(reason="reads the whole zoo")
def test_the_index_says_what_the_file_holds(name: str) -> None:
    model = zoo.load_zoo_model(name)
    assert model.stem == model.graph.name == name
    assert make.index_entry(recipes()[name], INDEX[name]["file"], model.graph) == INDEX[name]
    entry = INDEX[name]
    assert 0 < entry["mr"] <= entry["peak_program"] and entry["mr"] <= entry["mr_weights"]
    assert all(op.flops is not None or op.view for op in model.graph.ops)


@pytest.mark.slow(reason="makes the whole zoo again")
@pytest.mark.parametrize("name", MADE)
def test_recipes_give_the_same_bytes(name: str) -> None:
    file, data = make.model_file(recipes()[name])
    same = data == gzip.decompress((FILES / file).read_bytes())
    assert file == INDEX[name]["file"] and same, "scripts/make_zoo writes it anew"


def test_compression_leaves_no_trace_of_time_or_place() -> None:
    assert make.compress(b"abc")[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    assert gzip.decompress(make.compress(b"abc")) == b"abc"


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_match_the_paper(name: str) -> None:
    assert INDEX[name]["weight_bytes"] / WIDTH[INDEX[name]["dtype"]] / 1e6 == pytest.approx(
        PARAMETERS[name], rel=0.02
    )


@pytest.mark.parametrize("name", MACS)
def test_arithmetic_matches_the_paper(name: str) -> None:
    assert INDEX[name]["flops"] / 2e6 == pytest.approx(MACS[name], rel=0.05)


@pytest.mark.parametrize(("name", "layers", "projections"), [
    ("resnet50", 50, 4), ("resnext50_32x4d_int8", 50, 4), ("densenet121_int8", 121, 0), ("vgg16", 16, 0),
    ("fc_densenet56", 56, 0), ("fc_densenet103_int8", 103, 0), ("mobilenet_v1", 28, 0), ("squeezenet1_1", 26, 0),
])  # fmt: skip
def test_layers_with_weights_are_as_many_as_the_paper_counts(
    name: str, layers: int, projections: int
) -> None:
    """Convolutions, transposed ones and fully connected layers; projections of shortcuts do not count."""
    kinds = Counter(op.kind for op in zoo.load_zoo_model(name).graph.ops)
    assert kinds["Conv"] + kinds["ConvTranspose"] + kinds["Gemm"] - projections == layers


def test_amoebanet_a_has_the_published_size() -> None:
    graph = imported(amoebanet_a("amoebanet_a", 331, 6, 190, 96))
    parameters = sum(t.nbytes for t in graph.tensors if t.kind == "constant") / 4e6
    assert parameters == pytest.approx(86.7, rel=0.03)
    assert sum(op.flops or 0 for op in graph.ops) / 2e6 == pytest.approx(23_100, rel=0.03)


LARGER = (
    "gpt2_char", "darts_imagenet", "vit_ti16", "ssdlite_mobilenet_v2", "conformer_s", "ghostnet", "yolov8n",
    "latent_diffusion_small", "efficientdet_d0",
)  # fmt: skip
"""Models that take a second or more each to build and execute."""


def filled(model: onnx.ModelProto) -> bytes:
    """The model with small random weights instead of the missing ones."""
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            values: Any = rng.integers(-100, 100, tuple(tensor.dims)).astype(kind)
            if kind == np.float32:
                fan_in = max(1, int(np.prod(tensor.dims[1:])))
                values = (rng.standard_normal(tuple(tensor.dims)) / fan_in**0.5).astype(kind)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize(
    "name",
    [
        "ds_cnn_int8",
        "resnet8_int8",
        "shufflenet_v2_x1",
        "crnn",
        "mcunet_320kb_int8",
        "tc_resnet8",
        *(pytest.param(name, marks=pytest.mark.slow(reason="executes many nets")) for name in LARGER),
    ],
)
def test_models_run_with_weights_of_any_value(name: str) -> None:
    import onnxruntime as ort

    model = recipes()[name].build()
    session = ort.InferenceSession(filled(model), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    feeds = {}
    for value in session.get_inputs():
        shape = [2 if isinstance(d, str) else d for d in value.shape]  # the batch is free
        ids = "int64" in value.type
        feeds[value.name] = rng.integers(0, 2, shape) if ids else rng.random(shape, np.float32)
    outputs = session.run(None, feeds)
    assert all(np.isfinite(o).all() and o.std() > 0 for o in outputs)
    free = any(isinstance(value.shape[0], str) for value in session.get_inputs())
    assert {o.shape[0] for o in outputs} == {2 if free else 1} or name == "crnn"


def test_graph_json_has_no_free_dimension() -> None:
    with pytest.raises(DimensionError, match="'vit_b16_int8' is graph JSON and has no free dimension"):
        memplan.load("vit_b16_int8", {"batch": 4})


def test_an_int8_model_is_its_float_model_at_a_quarter_of_the_bytes() -> None:
    wide, narrow = (zoo.load_zoo_model(name).graph for name in ("resnet50", "resnet50_int8"))
    assert narrow.ops == wide.ops
    assert [(t.name, t.shape) for t in narrow.tensors] == [(t.name, t.shape) for t in wide.tensors]
    floats = [t for t in wide.tensors if t.dtype == "float32"]
    assert len(floats) == len(wide.tensors)
    assert all(4 * narrow.tensor[t.name].nbytes == t.nbytes for t in floats)
    assert {t.dtype for t in narrow.tensors} == {"int8"}


def test_batch_is_free() -> None:
    one, four = zoo.load_zoo_model("resnet8_int8"), zoo.load_zoo_model("resnet8_int8", {"batch": 4})
    assert four.graph.tensor["classes"].shape == (4, 10)
    assert four.graph.tensor["classes"].nbytes == 4 * one.graph.tensor["classes"].nbytes
    assert memplan.load("resnet8_int8", {"batch": 4}).graph == four.graph


def test_weights_are_declared_but_absent() -> None:
    model = recipes()["unet"].build()
    declared = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert len(declared) > 40 and not any(t.raw_data for t in declared)
    fields = [{e.key: e.value for e in t.external_data} for t in declared]
    assert {f["location"] for f in fields} == {"weights.bin"}
    ends = [0, *(int(f["offset"]) + int(f["length"]) for f in fields)]
    assert [int(f["offset"]) for f in fields] == ends[:-1]


def test_random_wiring_is_a_watts_strogatz_graph() -> None:
    preds = watts_strogatz(32, 4, 0.75, seed=0)
    assert sum(map(len, preds)) == 32 * 4 // 2
    assert all(u < v for v, sources in enumerate(preds) for u in sources)
    ring = watts_strogatz(8, 2, 0.0, seed=0)
    assert ring == [set(), {0}, {1}, {2}, {3}, {4}, {5}, {0, 6}]


def test_other_random_wirings() -> None:
    joined = erdos_renyi(64, 0.2, seed=0)
    assert sum(map(len, joined)) == pytest.approx(0.2 * 64 * 63 / 2, rel=0.15)
    busy = barabasi_albert(32, 5, seed=0)
    assert [len(sources) for sources in busy] == [0] * 5 + [5] * 27
    for preds in (joined, busy):
        assert all(u < v for v, sources in enumerate(preds) for u in sources)
    degree = [sum(u in sources for sources in busy) for u in range(32)]
    assert max(degree) > 3 * 5  # a few nodes gather most edges


@pytest.mark.parametrize("name", [n for n in NAMES if INDEX[n]["family"] == "streaming"])
def test_streamed_weights_outgrow_what_a_plan_needs(name: str) -> None:
    entry = INDEX[name]
    assert entry["weight_bytes"] > 10 * entry["mr_weights"]
    model = memplan.load(name)
    plan = memplan.plan(model, scratchpad=2 * entry["mr_weights"], weights="tensor", solver="greedy")
    assert memplan.check(model, plan) == []
    assert plan.metrics.compulsory_load >= entry["weight_bytes"]
    assert plan.metrics.traffic == 0  # every tile is brought in once


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(GraphError, match="'resnet_50' is neither a file nor a zoo model") as caught:
        memplan.load("resnet_50")
    assert "did you mean 'resnet50'" in caught.value.hint
    with pytest.raises(GraphError, match="neither a file nor a zoo model") as caught:
        memplan.load("notes.txt")
    assert ".onnx" in caught.value.hint and len(caught.value.hint) < 120
    with pytest.raises(GraphError, match="neither a file nor a zoo model"):
        memplan.load("folder/" * 1000 + "name")  # longer than any path


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "PACKAGE", "memplan_models_missing")
    with pytest.raises(GraphError, match="memplan_models_missing' is not installed"):
        zoo.zoo_names()


def test_traced_graphs_load_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; import memplan.library.zoo as z; "
        "print(len([z.load_zoo_model(n) for n in z.zoo_names() if n.startswith('torch_')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == sum(name.startswith("torch_") for name in NAMES) > 5


def test_listing_needs_no_heavy_import() -> None:
    code = (
        "import sys, memplan.library.zoo as z; z.zoo_names(); "
        "print([m for m in ('onnx', 'torch', 'onnxruntime', 'ortools', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
