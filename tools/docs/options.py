"""The tables of docs/options.md, from `pgflight.options.table` and from where defaults stand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import asyncpg

from pgflight.dbapi.login import CONNECT_SECONDS
from pgflight.driver.sockets import FINDS_DEAD_PEERS
from pgflight.options.engine_options import EngineOptions
from pgflight.options.table import OPTIONS, Option, Target
from pgflight.parameters.in_lists import InListDialect

_SECTIONS = {
    Target.DIALECT: ("pgflight itself", "All connections of the engine, and each one by itself."),
    Target.ENGINE: (
        "The engine",
        "In the URL, or as an argument of `create_async_engine()`; not in `connect_args`.",
    ),
    Target.ADDRESS: ("Where to connect", ""),
    Target.ARGUMENT: (
        "Login, time and asyncpg's own",
        "Passed to `asyncpg.connect()` under the same name.",
    ),
    Target.TLS: ("TLS", "With libpq's meaning; never less than was asked for."),
    Target.SETTING: ("Settings of the server session", ""),
    Target.SOCKET: (
        "The TCP socket",
        "Not at the level `PGFLIGHT_DRIVER=public`, and without effect on a unix socket.",
    ),
    Target.SERVICE: ("Service files", ""),
    Target.CHECK: (
        "Known, but not a choice",
        "asyncpg does this and nothing else. A URL that asks for what it does is accepted, any"
        " other value is refused with the reason and what to write instead.",
    ),
}
_NOT_GIVEN = "not set"
# What stands in no signature and no dataclass; each with the place that it comes from.
_ELSEWHERE = {
    "host": "`PGHOST`, else asyncpg's: the usual socket directories, then `localhost`",
    "port": "`PGPORT`, else 5432",
    "user": "`PGUSER`, else the account's name",
    "password": "`PGPASSWORD`, else the password file",
    "passfile": "`PGPASSFILE`, else `~/.pgpass`",
    "database": "`PGDATABASE`, else the name of the user",
    "target_session_attrs": "`PGTARGETSESSIONATTRS`, else `any`",  # asyncpg 0.28
    "sslmode": "`PGSSLMODE`, else `prefer`; `verify-full` with `sslrootcert=system`",
    "ssl_min_protocol_version": "`TLSv1.2`",
    "load_balance_hosts": "`disable`",
    "in_array_threshold": f"`{InListDialect.in_array_threshold}`",
    "timeout": _NOT_GIVEN,
    "connect_timeout": f"`{CONNECT_SECONDS:g}`",
    "keepalives": "`1`",
}


def default_of(option: Option) -> str:
    """Return what holds where an option is not given, as Markdown."""
    name = option.name
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    if option.target is Target.CHECK:
        return ""
    if option.alias_of:
        return f"that of `{option.alias_of}`"
    if option.target is Target.DIALECT:
        found = {field.name: field.default for field in fields(EngineOptions)}[name]
    elif option.target is Target.SOCKET:
        found = FINDS_DEAD_PEERS[name]
    elif option.target is Target.ARGUMENT:
        found = inspect.signature(asyncpg.connect).parameters[name].default
    else:
        found = None
    if found is None or isinstance(found, type) or name == "dsn":
        return _NOT_GIVEN
    if isinstance(found, bool):
        return f"`{str(found).lower()}`"
    return f"`{found:g}`" if isinstance(found, float) else f"`{found}`"


def lines() -> Iterator[str]:
    """Yield the tables, one for each place that an option's value goes to."""
    yield ""
    for target, (title, about) in _SECTIONS.items():
        yield f"## {title}\n"
        if about:
            yield f"{about}\n"
        yield "| option | meaning | takes | default | origin |"
        yield "|---|---|---|---|---|"
        for option in OPTIONS.values():
            if option.target is target:
                yield _row(option)
        yield ""


def _row(option: Option) -> str:
    name = f"`{option.name}`{'' if option.from_url else ' *'}"
    meaning = option.meaning
    if option.alias_of:
        meaning = f"{meaning} (`{option.alias_of}`)"
    takes = option.kind.expects
    if option.kind.example and not takes.startswith("one of"):
        takes = f"{takes}, such as `{option.kind.example}`"
    cells = (name, meaning, takes, default_of(option), option.source)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
