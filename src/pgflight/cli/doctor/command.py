"""`doctor`: is this environment sound, and does pgflight work with that server?

Called by `pgflight.__main__`.  Prints one line per finding, or one JSON document, and says with its
exit code which kind of thing is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING, Any

import pgflight
from pgflight.cli.arguments import VARIABLE, add_url, given_url
from pgflight.cli.doctor.installation import environment_facts
from pgflight.cli.environment import Fact
from pgflight.cli.target import OUR_DRIVER, CommandError, server_url, shown

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from pgflight.cli.doctor.settings import Setting

GOOD, WRONG, NOT_AS_ASKED, NO_CONNECTION = 0, 1, 2, 3
"""Exit codes.  NOT_AS_ASKED is also that of a wrong command line."""
EXIT_CODES = """\
exit codes:
  0    nothing is wrong; what is slower is not wrong
  1    something of this environment, or of what the server answers, is wrong
  2    the command line or the URL is wrong; no server has been tried
  3    the server cannot be reached, or has refused the login
  130  interrupted
"""
_SECONDS_PER_CHECK = 20.0


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor` to its parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    add_url(parser, "connect to this server as well")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    parser.add_argument("--version", action="version", version=f"pgflight {pgflight.__version__}")


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found and return the exit code, one of those above.

    Raises CommandError if the URL is not that of a PostgreSQL server; with --json it is printed.
    """
    try:
        return _examine(arguments)
    except CommandError as error:
        if not arguments.json:
            raise
        print(json.dumps({"exit_code": NOT_AS_ASKED, "error": str(error)}, indent=2))
        return NOT_AS_ASKED


def _examine(arguments: argparse.Namespace) -> int:
    text, origin = given_url(arguments)
    report = _Report(as_json=arguments.json)
    facts = environment_facts()
    sound = all(fact.good for fact in facts)
    # parsed by SQLAlchemy, which may be what is missing
    url = server_url(text, origin) if text is not None and sound else None
    for fact in facts:
        report.add(fact)
    if url is not None:
        report.begin(url, origin)
        _examine_server(url, report)
    elif text is not None:
        report.say("\nserver: not tried, as this environment is not sound")
    return report.finish()


def _examine_server(url: URL, report: _Report) -> None:
    # The checks can only be imported if the packages are there.
    from pgflight.cli.doctor.checking import run_check
    from pgflight.cli.doctor.refusals import LOST
    from pgflight.cli.doctor.server_checks import CHECKS
    from pgflight.cli.doctor.settings import worth_changing

    found: list[Fact] = []
    for check in CHECKS:
        fact = asyncio.run(run_check(check, url.set(drivername=OUR_DRIVER), _SECONDS_PER_CHECK))
        report.add(fact)
        found.append(fact)
        lost = fact.data.get("refused_by") in LOST
        if not fact.good and (lost or check is CHECKS[0]):
            report.has_no_connection = True
            return  # the others would only say again that the server cannot be reached
    report.advise(url, worth_changing(url, found))


class _Report:
    """The findings, printed as they come, or at the end as one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._facts: list[Fact] = []
        self._document: dict[str, Any] = {}
        self.has_no_connection = False

    def say(self, line: str) -> None:
        """Print a line for people."""
        if not self._as_json:
            print(line, flush=True)

    def add(self, fact: Fact) -> None:
        """Report one finding."""
        self._facts.append(fact)
        self.say(f"{'ok   ' if fact.good else 'WRONG'} {fact.name}: {fact.text}")

    def begin(self, url: URL, origin: str) -> None:
        """Say which server is tried next, and where its URL comes from."""
        self._document["url"] = shown(url)
        self.say(f"\nserver: {shown(url)}{f' ({VARIABLE})' if origin == VARIABLE else ''}")

    def advise(self, url: URL, settings: list[Setting]) -> None:
        """Say which settings are worth changing, and the URL that has them changed."""
        from pgflight.cli.doctor.settings import changed

        self._document["settings"] = [each.document() for each in settings]
        if not settings:
            return
        self._document["url_advised"] = changed(url, settings)
        self.say("\nworth changing:")
        for each in settings:
            self.say(f"  {each}")
        self.say(f"  URL: {changed(url, settings)}")

    def finish(self) -> int:
        """Print the end, and return the exit code."""
        wrong = sum(not fact.good for fact in self._facts)
        code = NO_CONNECTION if self.has_no_connection else WRONG if wrong else GOOD
        if self._as_json:
            facts = [fact.document() for fact in self._facts]
            print(json.dumps({"exit_code": code, **self._document, "facts": facts}, indent=2))
        else:
            total = len(self._facts)
            print(f"\n{wrong} of {total} wrong" if wrong else f"\nall {total} good")
        return code


__all__ = ["add_doctor_arguments", "doctor"]
