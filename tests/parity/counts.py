"""Row counts that both dialects tell: of an executemany the built-in one knows none."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import ExecuteStyle


def told_by_both(result: Any) -> int:
    """Return the row count of a result, -1 where it is that of an executemany."""
    return common(result.context, result.rowcount)


def common(context: Any, count: int) -> int:
    """Return the row count of an execution, -1 where it is an executemany."""
    return -1 if context.execute_style is ExecuteStyle.EXECUTEMANY else count
