"""What mkdocs.yml cannot say: pages have the paths that they have in the repository, and examples in docstrings are code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs/**/*.md", "models/*.md")
EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^\S.*\n?)*)+", re.MULTILINE)
"""Lines of a session in an interpreter, and what it answers, to the next empty line."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The repository's pages and what they link to, instead of the folder docs/ alone; with what the theme brings."""
    pages = [path for pattern in PAGES for path in ROOT.glob(pattern)]
    linked = [
        (page.parent / target).resolve()
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)", page.read_text(encoding="utf-8"))
    ]
    kept = Files([file for file in files if file.src_dir != config.docs_dir])
    for path in sorted({*pages, *linked}):
        name = path.relative_to(ROOT).as_posix()
        kept.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return kept


class ExamplesAsCode(Extension):
    """Fences the examples of every docstring, which Markdown would take for quotations."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class and function."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\g<0>\n```\n", obj.docstring.value)
