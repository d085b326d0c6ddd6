"""A page of the house: styles, markup and scripts in one file that asks nothing of a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources

from memplan.charts import style

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(title: str, links: Sequence[tuple[str, str]], body: str) -> str:
    """The page: a bar with the title, links into the page and the switch between light and dark, then `body`."""
    bar = "".join(f'<a href="#{ident}">{escape(text)}</a>' for ident, text in links)
    return (
        f'<!doctype html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_asset('tokens.css')}{_asset('compare.css')}{style()}</style></head><body>"
        f'<header class="top"><h1>{escape(title)}</h1><nav>{bar}</nav>'
        f'<button class="button" id="theme" aria-pressed="false">Dark <kbd>t</kbd></button></header>'
        f"<main>{body}</main><script>{_asset('compare.js')}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return (resources.files("memplan") / "compare" / "assets" / name).read_text(encoding="utf-8")
