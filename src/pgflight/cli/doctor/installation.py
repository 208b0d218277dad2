"""The facts about this environment: versions, form, driver level, tracers, the dialect.

The interpreted form and the public driver level are slower, not wrong.
"""

from __future__ import annotations

from importlib import import_module

from pgflight.cli import environment
from pgflight.cli.doctor.tracers import watchers_fact
from pgflight.cli.environment import Fact
from pgflight.cli.target import OUR_DRIVER, one_line


def environment_facts() -> list[Fact]:
    """Return the facts about versions, form, driver level, private names and the dialect."""
    facts: list[Fact] = []
    try:
        for name, version in environment.versions().items():
            known = name in environment.SUPPORTED
            fact = environment.version_fact(name, version) if known else Fact(name, True, version)
            facts.append(fact._replace(data={"version": version}))
    except (ImportError, ValueError) as error:
        facts.append(Fact("versions", False, f"cannot be read: {one_line_of_import(error)}"))
        return facts
    facts.append(environment.implementation_fact())
    facts.append(environment.driver_fact())
    facts.append(environment.pipeline_fact())
    facts.append(watchers_fact())
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
