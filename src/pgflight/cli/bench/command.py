"""`bench`: measure both dialects, and psycopg, on a server of one's own.

Called by `pgflight.__main__`. Checks the arguments, has `run` measure, and shows what it returns.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pgflight.cli.arguments import (
    add_url,
    given_url,
    positive,
    positive_list,
    positive_number,
)
from pgflight.cli.output import check_writable, write
from pgflight.cli.running import builtin_dialect_in_place
from pgflight.cli.target import CommandError, server_url

if TYPE_CHECKING:
    from rich.console import Console

    from pgflight.cli.bench.results import Results

_PACKAGES = ("rich", "matplotlib")
_TASKS = [1, 2, 5, 10, 20, 50]


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench` to its parser."""
    add_url(parser, "the server to measure on, in a schema pgflight_bench that is dropped")
    more = parser.add_argument
    more("--seconds", type=positive_number, default=0.5, metavar="S", help="a slice (default: 0.5)")
    more("--rounds", type=positive, default=3, metavar="N", help="slices of each (default: 3)")
    more("--pool", type=positive, default=10, metavar="N", help="connections (default: 10)")
    more(
        "--tasks",
        type=positive_list,
        default=_TASKS,
        metavar="N,N,...",
        help=f"how many at once (default: {','.join(map(str, _TASKS))})",
    )
    more(
        "--units",
        type=positive,
        default=3,
        metavar="N",
        help="units of work in one request of your program, to predict its gain (default: 3)",
    )
    more(
        "--request-ms",
        type=positive_number,
        metavar="MS",
        help="what such a request takes today, in milliseconds",
    )
    more("--html", type=Path, metavar="FILE", help="write one page with tables and plots")
    more("--json", type=Path, metavar="FILE", help="write what was measured")


def bench(arguments: argparse.Namespace) -> int:
    """Measure, print and write; return 0. Raises CommandError if it cannot run as asked."""
    text, origin = given_url(arguments)
    if text is None:
        raise CommandError(
            "bench measures on your own server: write python -m pgflight bench"
            " postgresql://user:password@host/database, or set DATABASE_URL"
        )
    url = server_url(text, origin)
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise CommandError(f"bench needs {' and '.join(missing)}: pip install 'pgflight[bench]'")
    for path in (arguments.html, arguments.json):
        check_writable(path)
    from rich.console import Console

    from pgflight.cli.bench.run import Plan, run

    console = Console(soft_wrap=True)
    plan = Plan(arguments.seconds, arguments.rounds, arguments.pool, arguments.tasks)
    with builtin_dialect_in_place():
        results = run(url, plan, console)
    _deliver(results, arguments, console)
    return 0


def _deliver(results: Results, arguments: argparse.Namespace, console: Console) -> None:
    from pgflight.cli.bench.page import page
    from pgflight.cli.bench.prediction import predicted
    from pgflight.cli.bench.tables import show

    prediction = predicted(results, arguments.units, arguments.request_ms)
    if arguments.json is not None:
        document = results.document()
        text = json.dumps({**document, "prediction": prediction}, indent=1)
        write(arguments.json, f"{text}\n", console)
    show(results, prediction, console)
    if arguments.html is not None:
        write(arguments.html, page(results, prediction), console)
