"""Renew what is generated in the pages of docs/; a test fails while a page is not current.

python -m tools.docs
"""

from __future__ import annotations

from tools.docs.pages import GENERATED, renewed


def main() -> None:
    """Write each page and name it."""
    for page in GENERATED:
        page.write_text(renewed(page), "utf-8")
        print(page.name)


if __name__ == "__main__":
    main()
