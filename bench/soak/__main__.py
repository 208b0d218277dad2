"""The command: one dialect for some minutes, or both in turns, each in a process of its own.

    python -m bench.soak --minutes 15 --dialect ours|builtin
    python -m bench.soak --minutes 3 --compare 2

Starts a server of its own. Prints what came of it, as JSON with `--json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import tests.fixtures.engines  # noqa: F401  (registers postgresql+pgflight)
from bench.soak.storm import DRIVERS, Outcome, soak
from tests.fixtures.server import running_server


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of one run, ready for JSON."""
    found = asdict(outcome)
    sizes = [round(size, 1) for _, size in found.pop("megabytes")]
    found["errors"] = {f"{at}: {what}": n for (at, what), n in outcome.errors.most_common()}
    found["unhandled"] = dict(outcome.unhandled.most_common(8))
    found["wrong"] = outcome.wrong[:8]
    found["wrong values"] = len(outcome.wrong)
    found["acknowledged and lost"] = found.pop("lost")
    found["whole"] = outcome.whole
    found["megabytes"] = sizes[:: max(1, len(sizes) // 16)]
    found["megabytes a minute"] = round(outcome.megabytes_a_minute(), 2)
    return found


def compare(options: argparse.Namespace) -> None:
    """Run both in turns, each in a process of its own, and print the figures of each run."""
    for turn in range(options.compare):
        for dialect in DRIVERS:
            words = ["--dialect", dialect, "--minutes", str(options.minutes)]
            words += ["--seed", str(options.seed + turn)]
            subprocess.run([sys.executable, "-m", "bench.soak", *words], check=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Many tasks, and a fault every second.")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--dialect", choices=DRIVERS, default="ours")
    parser.add_argument("--compare", type=int, metavar="TURNS", help="both dialects, in turns")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.compare:
        compare(options)
        return
    logging.disable(logging.CRITICAL)  # SQLAlchemy's pool tells of each connection it loses
    with running_server() as server:
        outcome = soak(options.dialect, server, options.minutes * 60, options.seed)
    print(options.dialect, json.dumps(figures(outcome), indent=1))


if __name__ == "__main__":
    main()
