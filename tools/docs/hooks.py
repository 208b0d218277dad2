"""mkdocs calls this while it builds the site (`hooks` in mkdocs.yml).

CHANGELOG.md and CONTRIBUTING.md lie above docs/, where people look for them. They become pages of
the site, and links to them and from them lead where they would in the tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ABOVE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie above docs/."""
    for name, page in ABOVE.items():
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the text of a page with its links to such a page made the site's."""
    for name, page in ABOVE.items():
        markdown = markdown.replace(f"](../{name})", f"]({page})")
    return markdown
