"""Pages of tables and plots, to be scrolled and read: the comparison's and the sweep's."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from memplan.views.document import page

STYLES = ("charts.css", "compare.css")
SCRIPTS = ("compare.js",)


def table_page(title: str, links: Sequence[tuple[str, str]], body: str) -> str:
    """The page: a bar with the title, links into the page and the switch between light and dark, then `body`."""
    bar = "".join(f'<a href="#{ident}">{escape(text)}</a>' for ident, text in links)
    markup = (
        f'<header class="top"><h1>{escape(title)}</h1><nav aria-label="Sections">{bar}</nav><button id="theme" '
        f'class="button icon" title="Light or dark (l)" aria-label="Light or dark">◐</button></header>'
        f"<main>{body}</main>"
    )
    return page(f"{title} | memplan", markup, STYLES, SCRIPTS, {})
