"""The command line: `python -m pgflight <command>`, also installed as `pgflight`.

Each command's module is imported when that command runs, so that `status` works where the
packages of the demonstration are absent.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from pgflight import __version__
from pgflight.cli.target import CommandError

COMMANDS = {
    "demo": (
        "demo.command",
        "run the same work on the built-in dialect and on pgflight, and compare",
    ),
    "bench": (
        "bench.command",
        "measure both dialects, and psycopg, on a server of yours: waits, latency, throughput",
    ),
    "doctor": (
        "doctor.command",
        "say what is wrong with this environment and, with a URL, with a server, and what to do",
    ),
    "enable": ("enable", "let pgflight serve postgresql+asyncpg in this whole environment"),
    "disable": ("enable", "undo `enable`"),
    "status": ("enable", "say what serves postgresql+asyncpg in this environment, and why"),
}
"""Command -> (module of pgflight.cli, help). The module's function of that name takes the parsed
arguments and returns the exit code."""
WITH_OPTIONS = ("bench", "demo", "doctor")
"""Commands whose module offers `add_<command>_arguments(parser)`."""


_URL = re.compile(r"\S*(?:://|@)\S*")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the URLs in it: there may be passwords in them."""
        super().error(_URL.sub("<URL>", message))


def build_parser(selected: str | None = None) -> argparse.ArgumentParser:
    """Return the parser; only the `selected` command's own options are loaded."""
    parser = _Parser(
        prog="python -m pgflight",
        description="pgflight: a drop-in replacement for SQLAlchemy's postgresql+asyncpg dialect.",
        epilog="python -m pgflight help <command> describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"pgflight {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="<command>")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == selected and name in WITH_OPTIONS:
            getattr(import_module(f"pgflight.cli.{module}"), f"add_{name}_arguments")(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: sys.argv) and return its exit code."""
    words = _asking_for_help(list(sys.argv[1:] if argv is None else argv))
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        print(f"error: {_unknown(words[0])}", file=sys.stderr)
        return 2
    selected = words[0] if words and words[0] in COMMANDS else None
    arguments = build_parser(selected).parse_args(words)
    run: Callable[[argparse.Namespace], int]
    run = getattr(
        import_module(f"pgflight.cli.{COMMANDS[arguments.command][0]}"), arguments.command
    )
    try:
        return run(arguments)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _asking_for_help(words: list[str]) -> list[str]:
    """Return `words` with `help` in front, or behind a command, written as the option --help."""
    if words[:1] == ["help"]:
        return [*words[1:2], "--help"]
    if len(words) == 2 and words[0] in COMMANDS and words[1] == "help":
        return [words[0], "--help"]
    return words


def _unknown(word: str) -> str:
    """Say that there is no such command, and which one may have been meant."""
    if "://" in word:  # it may have a password in it
        return "a URL is no command: write python -m pgflight doctor URL"
    near = difflib.get_close_matches(word.lower(), COMMANDS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"there is no command {word!r}: {meant}The commands are {', '.join(COMMANDS)} and help"


if __name__ == "__main__":
    sys.exit(main())
