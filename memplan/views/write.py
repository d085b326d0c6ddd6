"""From a plan to files. One emitter per format; each returns the file's content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from memplan.base.errors import OptionError, nearest
from memplan.base.files import check_folder, write_atomic
from memplan.ir.model import Model
from memplan.problem.plan import Plan


def _json(model: Model, plan: Plan) -> str:
    from memplan.io.plan_json import plan_text

    return plan_text(plan)


def _onnx(model: Model, plan: Plan) -> bytes:
    from memplan.onnx.emit import annotated

    return annotated(model, plan)


def _tflite(model: Model, plan: Plan) -> bytes:
    from memplan.tflite.emit import planned_tflite

    return planned_tflite(model, plan)


def _html(model: Model, plan: Plan) -> str:
    from memplan.views.html import report_page

    return report_page(model.graph, [plan])


def _trace(model: Model, plan: Plan) -> str:
    from memplan.views.trace import trace_text

    return trace_text(model.graph, plan)


def _svg(model: Model, plan: Plan) -> str:
    from memplan.views.svg import svg_text

    return svg_text(model.graph, plan)


FORMATS: dict[str, tuple[str, Callable[[Model, Plan], str | bytes]]] = {
    "json": (".plan.json", _json),
    "onnx": (".memplan.onnx", _onnx),
    "tflite": (".memplan.tflite", _tflite),
    "html": (".html", _html),
    "svg": (".svg", _svg),
    "trace": (".trace.json", _trace),
}
"""File ending and maker of each format."""


def check_formats(formats: str | Iterable[str]) -> list[str]:
    """The formats, names or one text with commas between, each once; OptionError names an unknown one and the nearest."""
    words = formats.split(",") if isinstance(formats, str) else formats
    chosen = list(dict.fromkeys(name.strip() for name in words))
    for name in chosen:
        if name not in FORMATS:
            raise OptionError(f"unknown format '{name}'", nearest(name, FORMATS))
    return chosen


def emit_plan(model: Model, plan: Plan, formats: str | Iterable[str], folder: Path) -> list[Path]:
    """Write `folder/STEM.…` for each format; nothing is made if a format is unknown or a file cannot be there, nor
    written if one fails."""
    chosen = [FORMATS[name] for name in check_formats(formats)]
    check_folder(folder, *(f"{model.stem}{ending}" for ending, _ in chosen))
    contents = [(ending, make(model, plan)) for ending, make in chosen]
    return [write_atomic(folder / f"{model.stem}{ending}", content) for ending, content in contents]
