"""Session options: which plans they are for, and the least arena under them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.base.errors import ExecutionError, OptionError, PlanError
from memplan.runtimes.onnxruntime import measure, optimized, session_options, trace
from memplan.runtimes.onnxruntime.arena import STEP, least_arena
from memplan.runtimes.onnxruntime.filled import filled
from memplan.runtimes.onnxruntime.measure import in_order, made_up_inputs, output_buffers, own_options
from memplan.runtimes.onnxruntime.trace import opened, traced_runs
from memplan.runtimes.sessions import run_bound
from tests.runtimes.onnxruntime.nets import branches, in_file_order, loaded, planned


def test_options_are_for_plans_of_this_runtime() -> None:
    plan = planned(loaded(branches()))
    assert not session_options(plan).enable_mem_reuse and session_options().enable_mem_reuse
    with pytest.raises(PlanError, match="was made for tflm"):
        session_options(replace(plan, runtime="tflm"))


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown optimisation level 'most'"):
        optimized(loaded(branches()), "most")


def test_the_least_arena_runs_and_less_does_not() -> None:
    net = loaded(branches(count=8))
    plan = in_file_order(net)
    source = filled(net, 0)
    fed, written = made_up_inputs(net, source, 0), output_buffers(net.graph)
    run = traced_runs(source, session_options(plan), fed, written)[0]
    least = least_arena(
        source, lambda nbytes: session_options(plan, arena=nbytes), fed, written, run.held + run.peak
    )
    assert least >= run.held + run.peak
    run_bound(opened(source, session_options(plan, arena=least)), fed, written)
    with pytest.raises(ExecutionError, match="Available memory"):
        run_bound(opened(source, session_options(plan, arena=least - STEP)), fed, written)


def test_words_of_onnxruntime_are_passed_on() -> None:
    source = filled(loaded(branches()), 0)
    source.graph.node[0].op_type = "Unheard"
    with pytest.raises(ExecutionError, match="Unheard"):
        opened(source, session_options())


def test_a_profile_that_counts_no_bytes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older releases have none of the memory columns."""
    monkeypatch.setattr(trace, "COUNTED", "mem_counted_elsewhere")
    net = loaded(branches())
    with pytest.raises(ExecutionError, match="does not count bytes"):
        measure(net, planned(net))


def test_without_these_options_the_order_of_the_file_is_lost() -> None:
    net = loaded(branches())
    plan = in_file_order(net)
    ordered, written = in_order(net, plan, 0), output_buffers(net.graph)
    fed = made_up_inputs(net, ordered, 0)
    kept, lost = (
        traced_runs(ordered, options, fed, written)[0]
        for options in (session_options(plan), own_options("disable"))
    )
    assert kept.nodes == plan.schedule and kept.peak == plan.metrics.live_peak
    assert lost.nodes != plan.schedule and sorted(lost.nodes) == sorted(plan.schedule)
