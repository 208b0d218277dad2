"""`demo`: the same real work on the built-in dialect and on pgflight, compared and measured.

Called by `pgflight.__main__`. Order of events: arguments, data, a server (embedded or `--url`), the
schema, one pass per dialect through the counting proxy, timed passes that take turns, the table.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pgflight
from pgflight.cli import environment
from pgflight.cli.arguments import positive
from pgflight.cli.demo import dataset
from pgflight.cli.output import check_writable, write
from pgflight.cli.running import builtin_dialect_in_place, run_to_its_end
from pgflight.cli.target import CommandError, one_line, server_url

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy.engine import URL

    from pgflight.cli.demo.comparison import Plan
    from pgflight.cli.demo.report import Report

_SECONDS = 900.0


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `demo` to its parser."""
    parser.add_argument(
        "--url",
        help="use this server, in a schema pgflight_demo that is dropped at the end (default: an "
        "embedded PostgreSQL is started): postgresql://user:password@host/database",
    )
    parser.add_argument(
        "--rows", type=positive, metavar="N", help="at most N rows per table (default: all)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=5, metavar="N", help="timed rounds (default: 5)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured here")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw what was measured here")


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration; return 0 if both dialects gave the same results, else 1.

    Raises CommandError if it cannot run as asked.
    """
    url = None if arguments.url is None else server_url(arguments.url)
    dataset.require_packages(embedded=url is None)
    for path in (arguments.json, arguments.svg):
        check_writable(path)
    from rich.console import Console

    from pgflight.cli.demo import workload
    from pgflight.cli.demo.comparison import Plan

    console = Console(soft_wrap=True)
    console.print("Loading cities, countries and airports ...")
    plan = Plan(dataset.load(arguments.rows), arguments.rounds, workload.STEPS)
    with builtin_dialect_in_place(), _server(url, console) as target:
        report = _run(target, plan, console)
    if report is None:
        return 1
    _deliver(report, arguments, console)
    return 0


def _run(url: URL, plan: Plan, console: Console) -> Report | None:
    """Compare on the server at `url`; print why and return None if the dialects disagree."""
    from pgflight.cli.demo.comparison import Disagreement, compare
    from pgflight.cli.demo.progress import Progress
    from pgflight.cli.demo.report import Report

    async def bounded() -> tuple[str, str]:
        with Progress(console, plan) as progress:
            return await asyncio.wait_for(compare(url, plan, progress), _SECONDS)

    try:
        server, not_counted = run_to_its_end(bounded())
    except Disagreement as error:
        console.print(f"[bold red]FAILED[/] {error}", highlight=False)
        return None
    except asyncio.TimeoutError:
        raise CommandError(
            f"the demonstration was not done after {_SECONDS:g} seconds: try --rows 1000"
        ) from None
    count = len(plan.steps)
    console.print(f"[bold green]All {count} steps gave the same results on both dialects.[/]\n")
    return Report(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        server=f"PostgreSQL {server}",
        cpu=environment.cpu_name(),
        versions=environment.versions(),
        implementation=pgflight.implementation().name,
        driver=environment.driver_fact().text,
        rounds=plan.rounds,
        row_limit=plan.data.limit,
        steps=plan.measured,
        not_counted=not_counted,
    )


def _deliver(report: Report, arguments: argparse.Namespace, console: Console) -> None:
    from pgflight.cli.demo.chart import draw
    from pgflight.cli.demo.report import show

    show(report, console)
    if arguments.json is not None:
        write(arguments.json, json.dumps(report.to_json(), indent=1) + "\n", console)
    if arguments.svg is not None:
        write(arguments.svg, draw(report), console)


@contextlib.contextmanager
def _server(url: URL | None, console: Console) -> Iterator[URL]:
    """Yield `url`, or the URL of an embedded PostgreSQL that lives as long as the context."""
    if url is not None:
        yield url
        return
    from pgflight.cli.server.cluster import TempCluster, embedded_binaries

    try:
        cluster = TempCluster(embedded_binaries())
        console.print("Starting an embedded PostgreSQL ...")
        cluster.start()
    except (RuntimeError, OSError) as error:
        raise CommandError(
            f"no embedded PostgreSQL ({one_line(error)}); name a server with --url"
        ) from error
    try:
        yield server_url(cluster.url())
    finally:
        cluster.stop()
