"""What a process holds at one moment: objects, memory blocks, tasks, threads, connections."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm.mapper import _all_registries

_ROUNDS = 3


@dataclass
class Snapshot:
    """Counts at one moment. `blocks` are Python's own: every object counts, tracked or not.

    `allocated_kb` is what malloc() has given out: everything of more than 512 bytes, and what C
    code takes by itself. It is None where the C library is not glibc 2.33 or newer. `resident_kb`
    tells how scattered all that lies, too, and moves by a megabyte for one object in a new arena.
    """

    objects: dict[str, int]
    blocks: int
    allocated_kb: int | None
    resident_kb: int
    tasks: int
    threads: int
    connections: int
    cursors: int
    prepared: int


async def snapshot(engine: AsyncEngine, application: str) -> Snapshot:
    """Collect garbage and count, while no unit of work is under way.

    `application` is the application_name by which the server knows our connections. `cursors` and
    `prepared` are those of the most recently used connection of the pool.
    """
    async with engine.connect() as connection:
        connections = await connection.scalar(
            sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"),
            {"name": application},
        )
        # The portal of this very statement has no name.
        cursors = await connection.scalar(
            sa.text("SELECT count(*) FROM pg_cursors WHERE name <> ''")
        )
        prepared = await connection.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements"))
    # SQLAlchemy's own caches of compiled statements swing by half their size, and a mapper's keeps
    # the dialects of engines that are gone.
    engine.clear_compiled_cache()
    for registry in _all_registries():
        for mapper in registry.mappers:
            mapper._compiled_cache.clear()
    await asyncio.sleep(0.05)  # what runs in the background ends
    for _ in range(_ROUNDS):
        gc.collect()
    blocks = sys.getallocatedblocks()
    return Snapshot(
        objects=dict(
            Counter(
                f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.get_objects()
            )
        ),
        blocks=blocks,
        allocated_kb=allocated_kb(),
        resident_kb=resident_kb(),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        connections=int(connections or 0),
        cursors=int(cursors or 0),
        prepared=int(prepared or 0),
    )


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2: https://man7.org/linux/man-pages/man3/mallinfo.3.html"""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated_kb() -> int | None:
    """Return what malloc() has given out and not got back, in kilobytes; None if it cannot tell."""
    if not sys.platform.startswith("linux"):
        return None
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return None
    ask.restype = _Mallinfo2
    told = ask()
    return int(told.uordblks + told.hblkhd) // 1024


def resident_kb() -> int:
    """Return the resident memory of this process in kilobytes, on Linux and macOS."""
    answer = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(answer.stdout)
