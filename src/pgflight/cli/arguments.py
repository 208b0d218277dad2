"""Arguments that several commands take: the server's URL, and numbers."""

from __future__ import annotations

import argparse
import math
import os

from pgflight.cli.target import CommandError

VARIABLE = "DATABASE_URL"


def add_url(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the URL to a command's parser, with and without --url; `what` says what it is for."""
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help=f"{what}: postgresql://user:password@host/database (default: the environment"
        f" variable {VARIABLE}, if it is set)",
    )
    parser.add_argument("--url", dest="url_option", metavar="URL", help="the same")


def given_url(arguments: argparse.Namespace) -> tuple[str | None, str]:
    """Return the URL, None if there is none, and what it was given as.

    Raises CommandError if it is given twice.
    """
    if arguments.url is not None and arguments.url_option is not None:
        raise CommandError("the URL is given twice: write it once, with or without --url")
    if arguments.url is not None:
        return arguments.url, "the URL"
    if arguments.url_option is not None:
        return arguments.url_option, "--url"
    return os.environ.get(VARIABLE) or None, VARIABLE


def positive(text: str) -> int:
    """Return the number of an argument; raise what argparse reports if it is none above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number, such as 1000")
    return number


def positive_number(text: str) -> float:
    """Return the number of an argument; raise what argparse reports if it is none above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number > 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, such as 0.5")
    return number


def positive_list(text: str) -> list[int]:
    """Return the numbers of an argument, in order, each once."""
    return sorted({positive(part.strip()) for part in text.split(",")})
