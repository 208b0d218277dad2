"""`doctor`: is this environment sound, and does pgflight work with that server?

Called by `pgflight.__main__`. Prints one line per finding and returns 1 if one of them is wrong;
the interpreted form and the public driver level are slower, not wrong.
"""

from __future__ import annotations

import argparse
import asyncio
from importlib import import_module

from pgflight.cli import environment
from pgflight.cli.environment import Fact
from pgflight.cli.target import OUR_DRIVER, one_line, server_url, shown

_SECONDS_PER_CHECK = 20.0


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor` to its parser."""
    parser.add_argument(
        "--url", help="connect to this server as well: postgresql://user:password@host/database"
    )


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found and return the exit code.

    Raises CommandError if --url is not the URL of a PostgreSQL server.
    """
    url = None if arguments.url is None else server_url(arguments.url)
    facts = environment_facts()
    for fact in facts:
        _print(fact)
    if url is not None and all(fact.good for fact in facts):
        print(f"\nserver: {shown(url)}")
        # The checks can only be imported if the packages are there.
        from pgflight.cli.server_checks import CHECKS, run_check

        for check in CHECKS:
            fact = asyncio.run(run_check(check, url.set(drivername=OUR_DRIVER), _SECONDS_PER_CHECK))
            _print(fact)
            facts.append(fact)
            if check is CHECKS[0] and not fact.good:
                break  # the others would only say again that the server cannot be reached
    wrong = sum(not fact.good for fact in facts)
    print(f"\n{wrong} of {len(facts)} wrong" if wrong else f"\nall {len(facts)} good")
    return 1 if wrong else 0


def environment_facts() -> list[Fact]:
    """Return the facts about versions, form, driver level, private names and the dialect."""
    facts: list[Fact] = []
    try:
        for name, version in environment.versions().items():
            known = name in environment.SUPPORTED
            facts.append(
                environment.version_fact(name, version) if known else Fact(name, True, version)
            )
    except (ImportError, ValueError) as error:
        facts.append(Fact("versions", False, f"cannot be read: {one_line_of_import(error)}"))
        return facts
    facts.append(environment.implementation_fact())
    facts.append(environment.driver_fact())
    facts.append(environment.pipeline_fact())
    facts.append(environment.watchers_fact())
    facts.extend(environment.private_name_facts())
    facts.append(_dialect_fact())
    return facts


def _dialect_fact() -> Fact:
    from sqlalchemy.dialects import registry
    from sqlalchemy.exc import NoSuchModuleError

    try:
        found = registry.load("postgresql.pgflight")
        expected = import_module("pgflight.dialect").PGDialect_asyncpg
    except NoSuchModuleError:
        return Fact(
            "dialect",
            False,
            f"{OUR_DRIVER} is not registered: install the package (pip install pgflight) instead "
            "of running it from its source tree",
        )
    except (ImportError, ValueError) as error:
        return Fact("dialect", False, f"cannot be loaded: {one_line(error)}")
    name = f"{found.__module__}.{found.__qualname__}"
    if found is not expected:
        return Fact("dialect", False, f"{OUR_DRIVER} is served by {name}: remove what registers it")
    return Fact("dialect", True, f"{OUR_DRIVER} is served by {name}")


def one_line_of_import(error: BaseException) -> str:
    """Return the message of `error` as one line; SQLAlchemy may be the missing package."""
    return " ".join(str(error).split()) or type(error).__name__


def _print(fact: Fact) -> None:
    print(f"{'ok   ' if fact.good else 'WRONG'} {fact.name}: {fact.text}")


__all__ = ["add_doctor_arguments", "doctor"]
