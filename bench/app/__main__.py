"""The command: measure the service on the three dialects, and write what came of it.

    python -m bench.app                        prints a table; about 25 minutes
    python -m bench.app --write docs/application.md
    python -m bench.app --only get --rounds 3  the cells whose operation begins so

Starts a server and the services on this machine, where the clients run as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy

from bench.app.measure import BUILTIN, OURS, Cell, Figures, cells, run
from pgflight.cli.environment import cpu_name
from tests.fixtures.server import Server, running_server


def document(found: dict[Cell, dict[str, Figures]], server: Server, rounds: int) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    conditions = (
        f"{cpu_name()}, {os.cpu_count()} cores, shared by clients, service and server;"
        f" Python {platform.python_version()}, SQLAlchemy {sqlalchemy.__version__}, PostgreSQL"
        f" {server.version[0]}; medians of {rounds} rounds in turns; {date.today()}."
    )
    return {
        "conditions": conditions,
        "cells": [
            {
                **cell._asdict(),
                "dialects": {
                    dialect: {
                        "rate": figures.rate,
                        "p50": figures.latency(50),
                        "p90": figures.latency(90),
                        "p99": figures.latency(99),
                        "processor": figures.processor,
                    }
                    for dialect, figures in of.items()
                },
            }
            for cell, of in found.items()
        ],
    }


def show(found: dict[Cell, dict[str, Figures]]) -> None:
    """Print a line for each cell."""
    for cell, of in found.items():
        ratio = of[OURS].rate / of[BUILTIN].rate
        rates = "  ".join(
            f"{name} {figures.rate:7.0f}/s p99 {figures.latency(99) * 1e3:6.1f} ms"
            for name, figures in of.items()
        )
        away = f" {cell.round_trip * 1e3:g} ms" if cell.round_trip else ""
        how = " frozen" if cell.frozen else f" at random {cell.load:g}" if cell.load else ""
        print(f"{ratio:5.2f}  {cell.operation}, {cell.loop}, {cell.clients}{away}{how}:  {rates}")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="A FastAPI service on three dialects.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a round (default: 1.5)")
    parser.add_argument("--only", default="", help="cells whose operation begins so")
    parser.add_argument("--loop", default="", help="asyncio or uvloop alone")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="renew this page's tables")
    options = parser.parse_args()
    wanted = [
        cell
        for cell in cells()
        if cell.operation.startswith(options.only) and cell.loop.startswith(options.loop)
    ]
    with running_server() as server:
        found = run(server, wanted, rounds=options.rounds, seconds=options.seconds)
        show(found)
        made = document(found, server, options.rounds)
    if options.json is not None:
        options.json.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    if options.write is not None:
        from bench.app import page

        page.write(options.write, made)


if __name__ == "__main__":
    main()
