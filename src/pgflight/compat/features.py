"""The features that need private names of SQLAlchemy, and what replaces each without them.

The table of names (:mod:`pgflight.compat.private_names`) says which feature needs which;
:mod:`pgflight.compat.capability` says which of them this SQLAlchemy can serve.
"""

from __future__ import annotations

from enum import Flag, auto


class Feature(Flag):
    """Something that steps aside as a whole when a name that it needs is missing."""

    PARAMETERS = auto()
    IN_LISTS = auto()
    BATCHES = auto()
    ARRAYS = auto()
    CHANGES = auto()
    RESULTS = auto()
    FIRST_CONNECTION = auto()
    VALUES = auto()
    RECONNECTING = auto()
    QUEUES = auto()
    DOCUMENTED = auto()
    """Facts that are also available in a documented way."""


NONE = Feature(0)
"""For attributes of our objects that SQLAlchemy reads; if it stops doing so, nothing is lost."""

INSTEAD: dict[Feature, tuple[str, str]] = {
    Feature.PARAMETERS: ("the parameter plan", "SQLAlchemy prepares the parameters"),
    Feature.IN_LISTS: ("arrays and kept texts for IN lists", "SQLAlchemy writes every list"),
    Feature.BATCHES: ("kept texts for INSERT with RETURNING", "SQLAlchemy writes every batch"),
    Feature.ARRAYS: ("arrays for many rows", "rows are sent as SQLAlchemy sends them"),
    Feature.CHANGES: (
        "arrays for UPDATE, DELETE and upserts",
        "rows are sent as SQLAlchemy sends them",
    ),
    Feature.RESULTS: ("results of our own", "SQLAlchemy's results"),
    Feature.FIRST_CONNECTION: (
        "one question on the first connection",
        "SQLAlchemy asks its questions one by one",
    ),
    Feature.VALUES: ("value conversions in one step", "SQLAlchemy's conversions"),
    Feature.RECONNECTING: (
        "going on with a new connection where the first statement met a lost one",
        "the loss is raised",
    ),
    Feature.QUEUES: (
        "a pool's queue for several event loops",
        "SQLAlchemy's queue, in which tasks of one loop can wait",
    ),
    Feature.DOCUMENTED: ("short cut to it", "it is asked for in the documented way"),
}
"""Feature -> what it is, and what happens without it; `doctor` prints both."""
