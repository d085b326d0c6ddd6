"""The comparison's and the sweep's page in headless Chromium: silence, links, sorting, filter, keys, both themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memplan.studies.compare.html import report_html
from memplan.studies.compare.instances import instances_of
from tests.browser import CHROMIUM, Browser
from tests.studies.compare.test_statistics import RECORDS, record
from tests.studies.conftest import Run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.scheme("light")
        yield opened


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Browser:
    path = tmp_path / "report.html"
    path.write_text(report_html(instances_of(RECORDS)), encoding="utf-8")
    browser.js("try { localStorage.clear() } catch {}")
    browser.open(path)
    return browser


def column(browser: Browser, section: str, number: int) -> list[str]:
    """The texts of one column, hidden rows left out."""
    return browser.js(
        f"[...document.querySelectorAll('#{section} tbody tr:not([hidden])')]"
        f".map(row => row.cells[{number}].textContent)"
    )


def test_silence(page: Browser) -> None:
    assert page.problems == [] and all(url.startswith("file://") for url in page.requests)
    assert len(page.requests) == 1
    wide = page.js("document.documentElement.scrollWidth <= innerWidth")
    page.size(420, 800)
    assert wide and page.js("document.documentElement.scrollWidth <= innerWidth")
    page.size(1440, 900)


def test_sorting_is_by_number(page: Browser) -> None:
    values = column(page, "cases", 5)
    assert "100" in values and "30" in values and "–" in values
    head = "#cases th:nth-child(6) button"
    page.js(f"document.querySelector('{head}').scrollIntoView({{block: 'center'}})")
    page.click_on(head)
    assert column(page, "cases", 5) == ["0", "0", "0", "10", "30", "100", "200", "–", "–", "–"]
    page.click_on(head)
    assert column(page, "cases", 5)[3:] == ["200", "100", "30", "10", "0", "0", "0"]
    assert (
        page.js("document.querySelector('#cases th:nth-child(6)').getAttribute('aria-sort')") == "descending"
    )


def test_the_keyboard_alone_filters_and_opens_a_plan(page: Browser, tmp_path: Path) -> None:
    page.key("/")
    page.type("b mp feasible")
    assert (
        column(page, "cases", 0) == ["b"]
        and page.js("document.getElementById('shown').textContent") == "1 case"
    )
    assert page.js("[...document.querySelectorAll('#curves figure:not([hidden])')].length") == 0
    page.key("Escape")
    assert len(column(page, "cases", 0)) == 10 and page.js("document.activeElement === document.body")
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "x.html").write_text("<!doctype html><title>a plan</title>")
    page.js("document.querySelector('#cases td a').focus()")
    page.key("Enter")
    page.until("document.title === 'a plan'")


def test_light_and_dark_are_told_apart_and_readable(page: Browser) -> None:
    def colours() -> list[str]:
        return page.js(
            "[document.body, document.querySelector('.chart text'), document.querySelector('.s1')].map((e, k) =>"
            " getComputedStyle(e)[['backgroundColor', 'fill', 'stroke'][k]])"
        )

    light = colours()
    page.key("l")
    dark = colours()
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert contrast(light[0], light[1]) > 4.5 and contrast(dark[0], dark[1]) > 4.5
    assert contrast(light[0], light[2]) > 3 and contrast(dark[0], dark[2]) > 3
    page.click_on("#theme")
    assert colours() == light


def contrast(a: str, b: str) -> float:
    """The ratio of WCAG between two `rgb(…)`."""

    def luminance(text: str) -> float:
        parts = [int(x) / 255 for x in text.removeprefix("rgb(").rstrip(")").split(",")]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_marks_of_a_curve_are_links(page: Browser) -> None:
    assert page.js("document.querySelectorAll('#curves svg a').length") == 7
    title = page.js("document.querySelector('#curves svg a').getAttribute('aria-label')")
    assert title == "x at MR (100 B): 100"
    assert page.js("document.querySelector('#curves svg a').href.baseVal") == "plans/x.html"


def test_names_stay_names(browser: Browser, tmp_path: Path) -> None:
    evil = [
        record('<img src=x onerror="document.title=1">', b, "</script><b>", v)
        for b, v in (("MR", 5), ("MP", 1))
    ]
    path = tmp_path / "evil.html"
    path.write_text(report_html(instances_of(evil)), encoding="utf-8")
    browser.open(path)
    assert browser.problems == [] and browser.js("document.images.length") == 0


@pytest.mark.slow(reason="runs a whole comparison")
def test_a_real_run_leads_from_report_to_memory_map(
    command: Run, browser: Browser, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert command("compare", model, "--solvers", "greedy", "--budgets", "MR,MP", "-o", out).returncode == 0
    browser.open(out / "report.html")
    browser.js("setTimeout(() => document.querySelector('#cases td a').click())")
    browser.until("document.querySelector('.panes canvas') !== null")
    assert browser.problems == [] and "chain13" in browser.js("document.title")


@pytest.mark.slow(reason="runs a whole sweep")
def test_the_sweep_s_page(command: Run, browser: Browser, model: Path, tmp_path: Path) -> None:
    words = ("sweep", model, "--points", 5, "--solver", "greedy", "--time-limit", 1, "-o", tmp_path)
    assert command(*words).returncode == 0
    browser.open(tmp_path / "small.sweep.html")
    assert browser.problems == [] and browser.js("document.querySelectorAll('tbody tr').length") == 5
    assert browser.js("document.querySelectorAll('polyline.stroke').length") >= 2
    browser.open(tmp_path / "small.sweep.svg")
    assert (
        browser.problems == []
        and browser.js("getComputedStyle(document.querySelector('polyline.s0')).stroke") == "rgb(0, 114, 178)"
    )
