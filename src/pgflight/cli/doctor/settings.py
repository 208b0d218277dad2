"""Which options of the URL are worth changing, after what the checks have found, and the exact URL.

Only what has been measured or seen is advised; the password is never in what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy.engine import URL

from pgflight.cli.environment import Fact
from pgflight.cli.target import shown


class Setting(NamedTuple):
    """One change of the URL: `value` is None where the option is to be left out."""

    option: str
    value: str | None
    why: str

    def document(self) -> dict[str, object]:
        """Return what `doctor --json` prints of it."""
        return {"option": self.option, "value": self.value, "why": self.why}

    def __str__(self) -> str:
        change = f"leave {self.option} out" if self.value is None else f"{self.option}={self.value}"
        return f"{change}: {self.why}"


def worth_changing(url: URL, facts: list[Fact]) -> list[Setting]:
    """Return the changes that `facts`, the findings on the server at `url`, speak for."""
    found = {fact.name: fact.data for fact in facts}
    return [
        *_of_poolers(url, found.get("pooler", {})),
        *_of_caches(url, found.get("pooler", {})),
        *_of_waits(url, found.get("round trips", {})),
        *_of_tls(url, found.get("encryption", {})),
    ]


def _of_poolers(url: URL, pooler: Mapping[str, object]) -> list[Setting]:
    wanted, found = pooler.get("option"), pooler.get("found")
    if found == "transaction" and wanted != "transaction":
        why = (
            "a pooler in transaction mode is there"
            if wanted == "auto"
            else f"a pooler in transaction mode is there, which pooler={wanted} denies"
        )
        return [Setting("pooler", "transaction", f"{why}; said so, it need not be found out")]
    if found == "none" and wanted in ("transaction", "session"):
        return [Setting("pooler", None, "there is none, and statements can keep their names")]
    return []


def _of_caches(url: URL, pooler: Mapping[str, object]) -> list[Setting]:
    if pooler.get("found") != "none":
        return []
    why = "each statement is parsed again, and nothing here needs that: there is no pooler"
    return [
        Setting(name, None, why)
        for name in ("prepared_statement_cache_size", "statement_cache_size")
        if url.query.get(name) == "0"
    ]


def _of_waits(url: URL, trips: Mapping[str, object]) -> list[Setting]:
    if "pipeline" not in url.query or url.query["pipeline"] == "auto" or not trips:
        return []
    why = (
        f"pipeline={url.query['pipeline']} waits more often, for {trips.get('round_trip_ms')} ms"
        " each time"
    )
    return [Setting("pipeline", None, why)]


_MODES = ("ssl", "sslmode")


def _of_tls(url: URL, encryption: Mapping[str, object]) -> list[Setting]:
    if not encryption or encryption.get("local"):
        return []
    if encryption.get("tls") and not encryption.get("verified"):
        why = (
            "whoever answers is taken for the server today; beside it, sslrootcert names the file"
            " of the authority, or is system"
        )
        return [Setting("sslmode", "verify-full", why)]
    if not encryption.get("tls") and any(url.query.get(name) == "disable" for name in _MODES):
        return [Setting("sslmode", "require", "the connection can be read by who is in between")]
    return []


def changed(url: URL, settings: list[Setting]) -> str:
    """Return the URL with all the changes, its passwords hidden."""
    query = dict(url.query)
    for setting in settings:
        if setting.option == "sslmode":
            query.pop("ssl", None)
        if setting.value is None:
            query.pop(setting.option, None)
        else:
            query[setting.option] = setting.value
    return shown(url.set(query=query))
