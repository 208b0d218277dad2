"""The server's run-time settings of a connection: asyncpg's ``server_settings``.

:mod:`pgflight.options.url` hands over the options whose target is SETTING.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.exc import ArgumentError

_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_.$-]*)=(?P<value>.*)", re.DOTALL)

_FOR_A_PROXY = ("endpoint=", "project=", "reference=", "--cluster=")
"""What cloud proxies (Neon, Supabase, CockroachDB) read in ``options`` to find the database.

The server never sees these words, so they are passed on as they are.
"""


def server_settings(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that SETTING options ask for, the most explicit one winning.

    From weakest to strongest: ``fallback_application_name``, ``options``, ``application_name``,
    ``server_settings``.  The server, too, lets a named parameter win over ``options``.
    """
    settings: dict[str, str] = {}
    fallback = options.get("fallback_application_name")
    if fallback is not None:
        settings["application_name"] = fallback
    if options.get("options"):
        settings.update(parse_options(options["options"]))
    if options.get("application_name") is not None:
        settings["application_name"] = options["application_name"]
    settings.update(options.get("server_settings") or {})
    return settings


def parse_options(text: str) -> dict[str, str]:
    """Return the settings in libpq's ``options``: ``-c name=value`` and ``--name=value``.

    A backslash takes any special meaning from the next character.  Words for a proxy stay together
    under the key ``options``.  Raises ArgumentError for anything else.
    """
    settings: dict[str, str] = {}
    for_a_proxy: list[str] = []
    words = _words(text)
    for word in words:
        if word.startswith(_FOR_A_PROXY):
            for_a_proxy.append(word)
            continue
        if word == "-c":
            assignment = next(words, "")
        elif word.startswith("-c"):
            assignment = word[2:]
        elif word.startswith("--"):
            assignment = word[2:]
        else:
            raise ArgumentError(
                f"{word!r} in options={text!r} is not understood; write each setting as "
                "-c name=value or --name=value, with a backslash before a blank in a value"
            )
        match = _ASSIGNMENT.fullmatch(assignment)
        if match is None:
            raise ArgumentError(
                f"{assignment!r} in options={text!r} is not a setting; write -c name=value"
            )
        settings[match["name"].replace("-", "_")] = match["value"]
    if for_a_proxy:
        settings["options"] = " ".join(map(_escaped, for_a_proxy))
    return settings


def _words(text: str) -> Iterator[str]:
    word: list[str] = []
    started = escaped = False
    for character in text:
        if escaped:
            word.append(character)
            escaped = False
        elif character == "\\":
            started = escaped = True
        elif not character.isspace():
            word.append(character)
            started = True
        elif started:
            yield "".join(word)
            word, started = [], False
    if started:
        yield "".join(word)


def _escaped(word: str) -> str:
    return re.sub(r"([\s\\])", r"\\\1", word)
