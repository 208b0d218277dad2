"""What an application would gain: from the times and waits measured, and its own figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflight.cli.bench.dialects import BUILTIN, PGFLIGHT
from pgflight.cli.bench.results import Results
from pgflight.cli.bench.units import UNITS

DISTANCES_MS = (0.2, 1.0, 5.0)
"""Round trips of one host, of a zone's network and of a region's."""
_LITTLE = 0.05


class Gain(NamedTuple):
    """One unit of work on both dialects, in seconds and in waits (None where not counted)."""

    unit: str
    builtin: float
    ours: float
    waits_saved: float | None

    @property
    def saved(self) -> float:
        """Seconds that the unit is shorter on pgflight; less than 0 where it is longer."""
        return self.builtin - self.ours


def gains(results: Results) -> list[Gain]:
    """Return what each unit of work gains; nothing where the built-in dialect was not measured."""
    found = []
    for unit in UNITS:
        theirs, ours = (results.alone.get((unit.name, each)) for each in (BUILTIN, PGFLIGHT))
        if theirs is not None and ours is not None:
            waits = [results.waits.get((unit.name, each)) for each in (BUILTIN, PGFLIGHT)]
            saved = None if None in waits else waits[0] - waits[1]  # type: ignore[operator]
            found.append(Gain(unit.name, theirs.median, ours.median, saved))
    return found


def predicted(results: Results, units: int, request_ms: float | None) -> list[str]:
    """Return, a sentence or two each, what a request of `units` units of work would gain.

    A unit is the mean of those measured. `request_ms` is what such a request takes today; None
    leaves out what share that is.
    """
    found = gains(results)
    if not found:
        return ["The built-in dialect was not measured, so there is nothing to compare with."]
    saved = sum(gain.saved for gain in found) / len(found)
    share = saved / (sum(gain.builtin for gain in found) / len(found))
    many = f"{units} unit{'' if units == 1 else 's'} of work"
    if saved <= 0:
        said = f"A request of {many} gains nothing here."
    else:
        said = (
            f"A request of {many}, the mean of those measured, becomes {_ms(saved * units)} shorter"
            f" ({share:.0%} of its time in the database and the driver)."
        )
    lines = [said]
    if request_ms is not None and saved > 0:
        part = min(saved * units * 1000 / request_ms, 1.0)
        lines.append(f"Of the {request_ms:g} ms that it takes today that is {part:.0%}.")
        share = part
    if share < _LITTLE:
        lines.append(
            "That is little: the server is near, or the time goes elsewhere. What remains are many"
            " rows, less processor time under load, and what pgflight heals."
        )
    lines += elsewhere(results, found)
    return lines


def elsewhere(results: Results, found: Sequence[Gain]) -> list[str]:
    """Return what the waits saved are worth at other round-trip times than the one measured."""
    waits = [gain.waits_saved for gain in found if gain.waits_saved is not None]
    if len(waits) < len(found):
        return []
    mean = sum(waits) / len(waits)
    told = ", ".join(f"{mean * each:.2g} ms at {each:g} ms" for each in DISTANCES_MS)
    return [
        f"A round trip takes {_ms(results.round_trip)} here, and pgflight saves {mean:.2g} of them"
        f" in a unit: {_ms(mean * results.round_trip)}. Elsewhere they would be worth {told}."
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2g} ms"
