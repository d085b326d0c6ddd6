"""The documentation as a site: it is built without a warning, asks nothing of a network, and its search finds pages."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, Browser

ROOT = Path(__file__).parents[1]
EXTRA = ("mkdocs", "material", "mkdocstrings")

pytestmark = [
    pytest.mark.skipif(
        not all(map(find_spec, EXTRA)), reason="the extra docs is not installed: scripts/docs does that"
    ),
    pytest.mark.slow(reason="builds the site"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_examples_of_docstrings_are_code(site: Path) -> None:
    page = (site / "docs" / "reference.html").read_text(encoding="utf-8")
    assert "so that it can be executed and emitted." in " ".join(page.split()), (
        "what is returned is one thing"
    )
    assert "<blockquote>" not in page and 'id="memplan.plan"' in page and 'class="gp">&gt;&gt;&gt; ' in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_pages_ask_nothing_of_a_network_and_fit_any_window(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        for page in (
            "index.html",
            "docs/start.html",
            "docs/tutorials/compiler.html",
            "docs/reference.html",
            "docs/latency.html",
        ):
            for scheme, width in (("light", 1440), ("dark", 420)):
                browser.scheme(scheme)
                browser.size(width, 900)
                browser.visit(address + page)
                assert not [
                    url for url in browser.requests if not url.startswith((address, "data:", "blob:"))
                ]
                assert not browser.problems
                assert browser.js("document.documentElement.scrollWidth") <= width
                dark = browser.js("document.body.getAttribute('data-md-color-scheme')") == "slate"
                assert dark == (scheme == "dark")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_search_finds_a_page(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.visit(address + "index.html")
        browser.js("document.querySelector('.md-search__input').focus()")
        browser.type("MiniMalloc explained")
        browser.until(
            "document.querySelector('.md-search-result__link[href*=minimalloc]') !== null", timeout_s=30
        )
