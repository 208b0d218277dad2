"""Text of UUIDs: the Python form.

pgflight.dialect.types uses it for `as_uuid=False`, through pgflight._impl.

The compiled form is uuids_c.pyx.
"""

from __future__ import annotations

from typing import Any


def uuid_text(value: Any) -> str | None:
    """Return the canonical lower-case text of a UUID of uuid or asyncpg; None stays None."""
    return None if value is None else str(value)
