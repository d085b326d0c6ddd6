"""From a plan to files. One emitter per format; each returns what its files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from memplan.base.errors import OptionError, nearest
from memplan.base.files import check_folder, write_atomic
from memplan.ir.model import Model
from memplan.problem.plan import Plan, planned_graph


def _json(model: Model, plan: Plan) -> str:
    from memplan.io.plan_json import plan_text

    return plan_text(plan)


def _onnx(model: Model, plan: Plan) -> bytes:
    from memplan.onnx.emit import annotated, tiled

    return tiled(model, plan) if plan.tiling else annotated(model, plan)


def _tflite(model: Model, plan: Plan) -> bytes:
    from memplan.tflite.emit import planned_tflite

    return planned_tflite(model, plan)


def _pte(model: Model, plan: Plan) -> bytes:
    from memplan.torch.executorch import require_executorch

    require_executorch()
    from memplan.torch.executorch.planning import planned_program

    return bytes(planned_program(model, plan).buffer)


def _html(model: Model, plan: Plan) -> str:
    from memplan.views.html import report_page

    return report_page(planned_graph(model.graph, plan), [plan])


def _trace(model: Model, plan: Plan) -> str:
    from memplan.views.trace import trace_text

    return trace_text(planned_graph(model.graph, plan), plan)


def _svg(model: Model, plan: Plan) -> str:
    from memplan.views.svg import svg_text

    return svg_text(planned_graph(model.graph, plan), plan)


def _c(model: Model, plan: Plan) -> tuple[str, ...]:
    from memplan.firmware.emit import c_files

    return c_files(model, plan)


def _c_names(stem: str) -> tuple[str, ...]:
    from memplan.firmware.emit import c_file_names

    return c_file_names(stem)


class Format(NamedTuple):
    """One way to write a plan: `names` of its files, by the model's stem, and what `make` puts into each."""

    names: Callable[[str], tuple[str, ...]]
    make: Callable[[Model, Plan], tuple[str | bytes, ...]]


def one_file(ending: str, make: Callable[[Model, Plan], str | bytes]) -> Format:
    """The format of one file, `STEM` and this ending."""
    return Format(lambda stem: (f"{stem}{ending}",), lambda model, plan: (make(model, plan),))


FORMATS: dict[str, Format] = {
    "json": one_file(".plan.json", _json),
    "onnx": one_file(".memplan.onnx", _onnx),
    "tflite": one_file(".memplan.tflite", _tflite),
    "pte": one_file(".memplan.pte", _pte),
    "html": one_file(".html", _html),
    "svg": one_file(".svg", _svg),
    "trace": one_file(".trace.json", _trace),
    "c": Format(_c_names, _c),
}
"""Every format by its name."""


def check_formats(formats: str | Iterable[str]) -> list[str]:
    """The formats, names or one text with commas between, each once; OptionError names an unknown one and the nearest."""
    words = formats.split(",") if isinstance(formats, str) else formats
    chosen = list(dict.fromkeys(name.strip() for name in words))
    for name in chosen:
        if name not in FORMATS:
            raise OptionError(f"unknown format '{name}'", nearest(name, FORMATS))
    return chosen


def file_names(formats: Iterable[str], stem: str) -> list[str]:
    """The files that these known formats make of a model of this stem."""
    return [file for name in formats for file in FORMATS[name].names(stem)]


def emit_plan(model: Model, plan: Plan, formats: str | Iterable[str], folder: Path) -> list[Path]:
    """Write the plan in each format; nothing is made if a format is unknown or a file cannot be there, nor written if
    one fails."""
    chosen = check_formats(formats)
    names = file_names(chosen, model.stem)
    check_folder(folder, *names)
    contents = [content for name in chosen for content in FORMATS[name].make(model, plan)]
    return [write_atomic(folder / name, content) for name, content in zip(names, contents, strict=True)]
