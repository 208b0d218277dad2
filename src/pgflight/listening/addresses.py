"""The address in ``listen(url=...)``, laid over what an engine connects with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from ..options.table import OPTIONS, Target, with_secrets_hidden
from ..options.url import connect_arguments


def _named(target: Target) -> frozenset[str]:
    return frozenset(name for name, option in OPTIONS.items() if option.target is target)


_ADDRESS = _named(Target.ADDRESS) - {"load_balance_hosts", "loadBalanceHosts"}
_TLS = _named(Target.TLS)
_OF_ENGINES = _named(Target.ENGINE)


def address_arguments(url: URL) -> dict[str, Any]:
    """Return what ``url`` says of a connection, without what it says of an engine.

    Raises ArgumentError for an option that is wrong, and where it names no host.
    """
    arguments = connect_arguments(url.difference_update_query(("plugin", "async_fallback")))
    if "host" not in arguments:
        raise ArgumentError("the URL has to name the host of the server")
    kept = {name: value for name, value in arguments.items() if name not in _OF_ENGINES}
    return with_secrets_hidden(kept)


def redirected(arguments: Mapping[str, Any], address: Mapping[str, Any]) -> dict[str, Any]:
    """Return a connection's ``arguments`` with another ``address``, which wins where both speak.

    TLS is chosen as a whole: by the address if that says anything of it.
    """
    dropped = _ADDRESS if _TLS.isdisjoint(address) else _ADDRESS | _TLS
    kept = {name: value for name, value in arguments.items() if name not in dropped}
    return {**kept, **address}
