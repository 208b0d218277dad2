"""The numbers of an engine for what collects them: as a dictionary, and as Prometheus' text.

Called by :class:`pgflight.session.statistics.Statistics`; works on any named tuple of whole
numbers, of numbers by reason, and of such tuples.  A reason is one of our sentences or the name of
a class: no value of a program is ever in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "pgflight"
_GAUGES = frozenset(("kept", "bytes", "bound"))
"""What goes up and down, in a tuple within; all else only grows."""


def fields(numbers: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a named tuple."""
    return zip(type(numbers).__match_args__, numbers, strict=True)


def as_dict(numbers: Any) -> dict[str, Any]:
    """Return a named tuple as a dictionary of whole numbers, texts and dictionaries of these."""
    return {name: _plain(value) for name, value in fields(numbers)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return as_dict(value) if isinstance(value, tuple) else value


def prometheus(numbers: Any, labels: Mapping[str, object]) -> str:
    """Return a named tuple in Prometheus' text format 0.0.4, each number with `labels`.

    A label's value is written as `str()` has it, as Prometheus' own client does.  Raises ValueError
    for a label's name that Prometheus does not know.
    """
    for name in labels:
        if not _is_label(name):
            raise ValueError(
                f"{name!r} cannot be a label's name: it takes letters, digits and _, no digit first"
                ", and 'reason' is ours"
            )
    texts = {name: str(value) for name, value in labels.items()}
    return "".join(f"{line}\n" for line in _lines(PREFIX, numbers, texts, _ALL_GROW))


def _is_label(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.isascii()
        and name.isidentifier()
        and name not in ("reason", "__name__")
    )


_ALL_GROW: frozenset[str] = frozenset()


def _lines(
    prefix: str, numbers: Any, labels: dict[str, str], gauges: frozenset[str]
) -> Iterator[str]:
    for field, value in fields(numbers):
        if isinstance(value, str):
            continue  # a text for people
        if isinstance(value, tuple):
            # of the process, not of an engine, so that two engines must not be added up
            yield from _lines(f"{prefix}_{field}", value, {}, _GAUGES)
            continue
        is_gauge = field in gauges
        name = f"{prefix}_{field}" if is_gauge else f"{prefix}_{field}_total"
        yield f"# HELP {name} pgflight.stats(engine).{_path(prefix, field)}"
        yield f"# TYPE {name} {'gauge' if is_gauge else 'counter'}"
        if isinstance(value, Mapping):
            for reason, number in sorted(value.items()):
                yield f"{name}{_shown({**labels, 'reason': reason})} {number}"
        else:
            yield f"{name}{_shown(labels)} {value}"


def _path(prefix: str, field: str) -> str:
    inner = prefix.removeprefix(PREFIX).lstrip("_")
    return f"{inner}.{field}" if inner else field


def _shown(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
