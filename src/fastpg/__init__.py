"""fastpg: SQLAlchemy's ``postgresql+asyncpg`` dialect, faster and with fewer round trips.

``fastpg.install()`` makes ``postgresql+asyncpg://`` URLs use it in this process;
``postgresql+fastpg://`` uses it without being installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._registration import install, installed, uninstall

if TYPE_CHECKING:
    from ._impl import Implementation

__version__ = "0.1.0"

__all__ = ["__version__", "implementation", "install", "installed", "uninstall"]


def implementation() -> Implementation:
    """Return which form of the hot paths this process uses, ``compiled`` or ``python``, and why.

    Raises ImportError when ``FASTPG_IMPL=compiled`` cannot be served, ValueError when
    ``FASTPG_IMPL`` has a value that does not exist.
    """
    from . import _impl

    return _impl.implementation()
