"""Round trips to a server that a URL names, counted by a proxy in front of it.

`demo` and `bench` run their work once through the proxy. A URL through it is the URL with another
address, so what depends on the host's name (TLS that verifies it) does not work there, and says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from pgflight.cli.asking import refusal
from pgflight.cli.server.round_trips import RoundTripProxy, Upstream

# As if there were a fast network between client and server; see RoundTripProxy.
_PROXY_DELAY = 0.001
_PROXY_SECONDS = 20.0


@contextlib.asynccontextmanager
async def counted(url: URL) -> AsyncIterator[tuple[RoundTripProxy | None, str]]:
    """Yield a proxy in front of the server, or None and the reason why there is none."""
    upstream = upstream_of(url)
    if upstream is None:
        yield None, "the URL names no single host"
        return
    async with RoundTripProxy(upstream, delay=_PROXY_DELAY) as proxy:
        why = await refusal(create_async_engine(through(url, proxy)), _PROXY_SECONDS)
        if why:  # for example TLS that verifies the host name
            yield None, f"the server does not work through a proxy ({why})"
        else:
            yield proxy, ""


def through(url: URL, proxy: RoundTripProxy) -> URL:
    """Return `url` with the proxy's address."""
    return url.difference_update_query(["host", "port"]).set(host="127.0.0.1", port=proxy.port)


def upstream_of(url: URL) -> Upstream | None:
    """Return the server that `url` names, None if it does not name exactly one."""
    host = url.host or url.query.get("host")
    port = url.port or url.query.get("port") or 5432
    if not isinstance(host, str) or isinstance(port, tuple) or "," in f"{host}{port}":
        return None
    if host.startswith("/"):
        return Upstream(path=f"{host}/.s.PGSQL.{port}")
    name, colon, own_port = host.rpartition(":")
    if colon and url.host is None:  # ?host=name:5432
        return Upstream(name, int(own_port))
    return Upstream(host, int(port))
