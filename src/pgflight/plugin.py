"""The engine plugin: `?plugin=pgflight` in a URL, `plugins=["pgflight"]` in create_async_engine().

SQLAlchemy finds it by the entry point `pgflight` in group `sqlalchemy.plugins` and calls it while
it creates an engine. It concerns that one engine; nothing is registered for the process.
"""

from __future__ import annotations

from sqlalchemy.engine import URL, CreateEnginePlugin
from sqlalchemy.exc import ArgumentError

_OURS = "postgresql+pgflight"
_SERVED = ("postgresql+asyncpg", _OURS, "postgresql", "postgres")
"""Drivers whose URLs are served: the last two name none, as the URLs of hosting companies do."""


class PgflightPlugin(CreateEnginePlugin):
    """Rewrite the driver of one engine's URL to `postgresql+pgflight`."""

    def update_url(self, url: URL) -> URL:
        """Return `url` with our driver; everything else in it stays.

        The engine's `url` then reads `postgresql+pgflight://...`, so that an engine created again
        from it is served by pgflight as well. A URL may name no driver (`postgresql://`,
        `postgres://`). Raises ArgumentError when it names another one.
        """
        if url.drivername not in _SERVED:
            raise ArgumentError(
                f"the pgflight plugin serves {_SERVED[0]} URLs, and this URL names "
                f"{url.drivername!r}: write {_SERVED[0]}://... or remove the plugin"
            )
        return url.set(drivername=_OURS)
