"""The peers: which dialect, which form of ours, which level of asyncpg's surface."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """A competitor that gets a process of its own; `driver` is None for asyncpg by hand.

    `form` and `level` are what PGFLIGHT_IMPL and PGFLIGHT_DRIVER have to be, None where pgflight is
    not used.
    """

    title: str
    driver: str | None
    form: str | None = None
    level: str | None = None

    @property
    def ours(self) -> bool:
        """Whether this is pgflight."""
        return self.form is not None

    def environment(self) -> dict[str, str]:
        """Return the variables to set for the process."""
        wanted = {"PGFLIGHT_IMPL": self.form, "PGFLIGHT_DRIVER": self.level}
        return {name: value for name, value in wanted.items() if value is not None}


_PGFLIGHT = "postgresql+pgflight"

PEERS = {
    "builtin": Peer("SQLAlchemy's postgresql+asyncpg", "postgresql+asyncpg"),
    "compiled": Peer("pgflight, compiled", _PGFLIGHT, "compiled", "private"),
    "python": Peer("pgflight, Python", _PGFLIGHT, "python", "private"),
    "psycopg": Peer("SQLAlchemy's postgresql+psycopg, async", "postgresql+psycopg_async"),
    "asyncpg": Peer("asyncpg by hand", None),
    "compiled_public": Peer(
        "pgflight, compiled, documented asyncpg", _PGFLIGHT, "compiled", "public"
    ),
    "python_public": Peer("pgflight, Python, documented asyncpg", _PGFLIGHT, "python", "public"),
}
