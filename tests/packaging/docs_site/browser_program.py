"""Look at each page of a built site in Chromium: python browser_program.py SITE CHROMIUM

Light on a screen, dark on a telephone. Prints one line of JSON: how many pages were
looked at, and what was wrong with which. A process of its own, in the environment of the site's
packages.
"""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

LOOKS = (("light", 1280), ("dark", 390))
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
ABORTED = "net::ERR_ABORTED"
PAPER = "getComputedStyle(document.body).backgroundColor"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def look(browser: Any, address: str, pages: list[str], scheme: str, width: int) -> list[str]:
    """Return what is wrong with the pages."""
    wrong: list[str] = []
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    # what is aborted has been left for the next page
    page.on(
        "requestfailed",
        lambda request: None if request.failure == ABORTED else said.append(str(request.url)),
    )
    for name in pages:
        page.goto(f"{address}/{name}")
        if page.evaluate(WIDER) > 0:
            said.append("it is wider than the window")
        said += [f"no picture: {source}" for source in page.evaluate(BROKEN)]
        wrong += [f"{name}, {scheme}, {width}: {each}" for each in said]
        said.clear()
    if (page.evaluate(PAPER) == "rgb(255, 255, 255)") != (scheme == "light"):
        wrong.append(f"{pages[-1]}, {scheme}: its paper is {page.evaluate(PAPER)}")
    context.close()
    return wrong


def main(site: Path, chromium: str) -> None:
    """Serve the site on the loopback address, and look at it."""
    sync_playwright = import_module("playwright.sync_api").sync_playwright
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with sync_playwright() as playwright:
        # root may not use Chromium's sandbox; nothing but our own pages is shown in it
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        wrong = [
            each for scheme, width in LOOKS for each in look(browser, address, pages, scheme, width)
        ]
        browser.close()
    server.shutdown()
    print(json.dumps({"pages": len(pages), "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
