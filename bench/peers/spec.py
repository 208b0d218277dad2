"""The peers: which dialect, which form of ours, which level of asyncpg's surface."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """A competitor that gets a process of its own; `driver` is None for asyncpg by hand.

    `form` and `level` are what FASTPG_IMPL and FASTPG_DRIVER have to be, None where fastpg is not
    used.
    """

    title: str
    driver: str | None
    form: str | None = None
    level: str | None = None

    @property
    def ours(self) -> bool:
        """Whether this is fastpg."""
        return self.form is not None

    def environment(self) -> dict[str, str]:
        """Return the variables to set for the process."""
        wanted = {"FASTPG_IMPL": self.form, "FASTPG_DRIVER": self.level}
        return {name: value for name, value in wanted.items() if value is not None}


_FASTPG = "postgresql+fastpg"

PEERS = {
    "builtin": Peer("SQLAlchemy's postgresql+asyncpg", "postgresql+asyncpg"),
    "compiled": Peer("fastpg, compiled", _FASTPG, "compiled", "private"),
    "python": Peer("fastpg, Python", _FASTPG, "python", "private"),
    "psycopg": Peer("SQLAlchemy's postgresql+psycopg, async", "postgresql+psycopg_async"),
    "asyncpg": Peer("asyncpg by hand", None),
    "compiled_public": Peer("fastpg, compiled, documented asyncpg", _FASTPG, "compiled", "public"),
    "python_public": Peer("fastpg, Python, documented asyncpg", _FASTPG, "python", "public"),
}
