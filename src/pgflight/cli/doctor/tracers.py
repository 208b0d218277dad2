"""Which tracer wraps what of asyncpg in this process, and what pgflight leaves out for its sake."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from pgflight.cli.environment import Fact

SWITCHED_OFF = (
    "BEGIN with the first statement",
    "the end of a transaction that nobody waits for",
    "a ping of one round trip",
    "no ping within ping_bypass_window",
    "a statement executed without asyncpg's fetch()",
    "a stream's first rows with its first message",
    "an INSERT of many rows as arrays",
    "a long IN list as an array",
    "the first connection's questions in one",
)
"""What steps aside for whoever watches statements, mostly in the words of `stats().watched`."""
SWITCHED_OFF_OF_COPY = ("COPY in without asyncpg's methods", "COPY out without asyncpg's methods")
_TRACERS = {
    "opentelemetry-instrumentation-asyncpg": "opentelemetry-instrument",
    "ddtrace": "ddtrace-run",
    "elastic-apm": "elasticapm-run",
    "newrelic": "newrelic-admin run-program",
    "sentry-sdk": "",
}
"""Distribution -> the command that programs are started with to be traced; Sentry has none."""


def watchers_fact() -> Fact:
    """Say who watches asyncpg in this process and what that costs; it is slower, not wrong."""
    try:
        from pgflight.driver import watchers

        found = watchers()
    except (ImportError, ValueError) as error:
        return Fact("tracers", False, f"cannot be looked for: {error}")
    installed = _installed()
    if not found:
        text = "nobody watches asyncpg in this process"
        if installed:
            names = ", ".join(f"{name} {installed[name]}" for name in installed)
            text += f"; installed, but not at work here: {names}; {_how_to_see(installed)}"
        return Fact(
            "tracers", True, text, {"wraps": {}, "switches_off": [], "installed": installed}
        )
    makers = {by: [name for name in found if found[name] == by] for by in found.values()}
    who = "; ".join(f"{by} wraps {', '.join(names)}" for by, names in makers.items())
    off = _switched_off(list(found))
    text = (
        f"{who}. What they watch is called as the built-in dialect calls it, which switches off:"
        f" {'; '.join(off) or 'nothing by itself'}. pgflight.stats(engine).watched counts it"
    )
    return Fact(
        "tracers", True, text, {"wraps": makers, "switches_off": off, "installed": installed}
    )


def _switched_off(replaced: list[str]) -> list[str]:
    """Return what steps aside for the replaced names; those that make connections cost nothing."""
    from pgflight.driver.watching.names import COPYING, MAKERS

    makers = {f"{module.__name__}.{name}" for module, name in MAKERS}
    watched = [name for name in replaced if name not in makers]
    copies = [name for name in watched if name.rpartition(".")[2] in COPYING]
    return [
        *(SWITCHED_OFF if len(watched) > len(copies) else ()),
        *(SWITCHED_OFF_OF_COPY if copies else ()),
    ]


def _installed() -> dict[str, str]:
    """Return the tracers of this environment and their versions."""
    found = {}
    for name in _TRACERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _how_to_see(installed: Mapping[str, str]) -> str:
    """Say how to have doctor run as a traced program does."""
    commands = [_TRACERS[name] for name in installed if _TRACERS[name]]
    if not commands:
        return "what it wraps shows in pgflight.stats(engine).watched of the program"
    return f"start doctor as the program is started: {commands[0]} python -m pgflight doctor"
