"""Programs that keep greenlets' stacks, each in a process of its own: run by test_greenlet_stacks.

python -m tests.unit.greenlet_stacks_program NAME [PATH OF THE LEDGER]

An allocator cannot be taken out again, so the process of the tests is no place to try things out.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import pgflight
from pgflight._greenlet_stacks import GreenletStacks
from tests.fixtures.ledger import Ledger, current, put

URL = "postgresql+pgflight://nobody@localhost/nothing"


def nothing() -> None:
    """Take a frame."""


def wait() -> None:
    """Keep a stack until the greenlet is switched to again."""
    parent = getcurrent().parent
    assert parent is not None
    parent.switch()


def spawn(number: int) -> None:
    """Run greenlets one after the other."""
    for _ in range(number):
        greenlet(nothing).switch()


def suspended(number: int) -> list[greenlet]:
    """Return greenlets that all have their stacks."""
    several = [greenlet(wait) for _ in range(number)]
    for each in several:
        each.switch()
    return several


def end(several: list[greenlet]) -> None:
    """Run greenlets to their ends."""
    for each in several:
        each.switch()


def engine_made() -> AsyncEngine:
    """Make an engine, with which it begins."""
    return create_async_engine(URL)


def stacks(engine: AsyncEngine) -> GreenletStacks:
    """Return what the statistics of an engine say."""
    return pgflight.stats(engine).greenlet_stacks


def kept() -> GreenletStacks:
    """Begin, and return what is said of it; SystemExit where stacks are not kept."""
    found = stacks(engine_made())
    if found.reason:
        raise SystemExit(f"not kept: {found.reason}")
    return found


def now() -> GreenletStacks:
    """Return the numbers as they are."""
    from pgflight import _greenlet_stacks

    return _greenlet_stacks.state()


def begins() -> None:
    """Say whether the allocator is another one after each step, and what is kept."""
    first = current().as_tuple()
    pgflight.install()
    importlib.import_module("pgflight.dialect")
    print("imported:", current().as_tuple() == first)
    print("reason:", now().reason, "/", "stacks" in pgflight.implementation().reason)
    engine = engine_made()
    print("engine:", current().as_tuple() == first)
    print("reason:", stacks(engine).reason)
    spawn(1_000)
    found = stacks(engine)
    print("hits:", found.hits, "bound:", found.bound, "kept:", found.kept * found.bytes > 0)
    print(pgflight.implementation().reason)
    pgflight.keep_greenlet_stacks(True)
    engine_made()
    print("bound:", stacks(engine).bound)


def refuses() -> None:
    """Say what an engine raises."""
    for make in (engine_made, lambda: pgflight.keep_greenlet_stacks(True)):
        try:
            make()
        except ValueError as error:
            print(error)


def switches() -> None:
    """Switch off before the first engine, on, off with stacks in use, and on again."""
    first = current().as_tuple()
    assert pgflight.keep_greenlet_stacks(False).reason == "switched off by the program"
    assert stacks(engine_made()).bound == 0
    assert current().as_tuple() == first
    assert pgflight.keep_greenlet_stacks(True).bound > 0
    assert current().as_tuple() != first
    end(suspended(50))
    before = now()
    assert before.kept >= 50
    in_use = suspended(20)
    off = pgflight.keep_greenlet_stacks(False)
    assert (off.kept, off.bytes, off.bound) == (0, 0, 0)
    end(in_use)
    spawn(100)
    assert now()[:5] == (before.hits + 20, before.misses, 0, 0, 0), now()
    assert stacks(engine_made()).reason == "switched off by the program"
    assert pgflight.keep_greenlet_stacks(True).reason == ""
    spawn(100)
    assert now().hits == before.hits + 20 + 99


def bound() -> None:
    """Have 2,000 greenlets at a time: no more are kept than the bound."""
    found = kept()
    assert found.bound == 256
    for round_ in range(3):
        end(suspended(2_000))
        after = now()
        assert (after.kept, after.bytes) == (256, 256 * 16_384) or after.bytes <= 4 << 20
        assert after.kept == after.bound
        assert after.hits >= round_ * 256
    deep: Callable[[int], int] = lambda n: 0 if n == 0 else 1 + deep(n - 1)  # noqa: E731
    for _ in range(20):
        assert deep(800) == 800
    assert now().kept <= 256


def other_before(library: str) -> None:
    """Come after another allocator: its blocks are kept, and go back to it."""
    ledger = Ledger(library, goes_through=False)
    kept()
    size = now().bytes // max(now().kept, 1) or _size()
    alive = ledger.read(size)[3]
    many = suspended(400)
    assert ledger.read(size)[3] >= alive + 400 - now().hits
    end(many)
    assert now().kept == 256
    assert ledger.read(size)[2] == 0
    at_most = ledger.read(size)[3]
    pgflight.keep_greenlet_stacks(False)
    assert ledger.read(size)[3] == at_most - 256
    spawn(100)
    assert ledger.read(size)[2:] == (0, at_most - 256)
    pgflight.keep_greenlet_stacks(True)
    spawn(100)
    assert now().hits > 0
    assert ledger.read(size)[2] == 0


def other_around(library: str) -> None:
    """Have another allocator set later that asks this one."""
    kept()
    on_the_way = suspended(50)
    ledger = Ledger(library, goes_through=True)
    assert now().reason == "another allocator has been set since"
    end(on_the_way)
    size = _size()
    assert ledger.read(size)[1] >= 50  # given out before: passed on
    before = now().hits
    spawn(100)
    assert now().hits == before + 100
    end(suspended(600))
    assert ledger.read(size)[2] == 0
    # ours is not put around one that may be calling it
    outer = current().as_tuple()
    assert pgflight.keep_greenlet_stacks(True).bound == 256
    assert current().as_tuple() == outer
    spawn(100)
    held = ledger.read(size)[3]
    pgflight.keep_greenlet_stacks(False)
    assert now().kept == 0
    spawn(100)
    assert ledger.read(size)[2:] == (0, held)


def other_instead(library: str) -> None:
    """Have another allocator set later that gives out blocks of its own."""
    kept()
    size = _size()
    on_the_way = suspended(50)
    ledger = Ledger(library, goes_through=False)
    before = now()
    theirs = suspended(50)
    assert now()[:2] == before[:2]
    assert ledger.read(size)[3] >= 50
    end(on_the_way)
    assert now().kept == before.kept + 50  # passed on to ours, where they are from
    end(theirs)
    assert ledger.read(size)[2] == 0
    assert now().kept == before.kept + 50
    assert pgflight.keep_greenlet_stacks(False).kept == 0
    spawn(100)
    assert ledger.read(size)[2] == 0


def never_asked(library: str) -> None:
    """Switch on while an allocator that was set since does not ask this one: nothing is found."""
    from pgflight import _impl

    assert _impl.stacks.start(nothing) == "a new greenlet asks for none"
    Ledger(library, goes_through=False)
    found = stacks(engine_made())
    assert found.bound == 0
    assert found.reason == "another allocator has been set, which does not call this one", found
    spawn(100)
    assert now().hits == 0


def put_back() -> None:
    """Have the allocator that was there before put back, and then begin again."""
    first = current()
    kept()
    ours = current().as_tuple()
    on_the_way = suspended(50)
    put(first)
    assert now().reason == "another allocator has been set since"
    end(on_the_way)
    spawn(100)
    hits = now().hits
    assert pgflight.keep_greenlet_stacks(True).reason == ""
    assert current().as_tuple() == ours
    end(suspended(50))
    spawn(100)
    assert now().hits >= hits + 100


def _size() -> int:
    """Return the size of a stack."""
    from pgflight import _impl

    return _impl.stacks.numbers()[3]


def in_threads(target: Callable[[], object], number: int) -> list[BaseException]:
    """Run a function in several threads at a time; return what they raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            target()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def threads() -> None:
    """Make engines and run greenlets in many threads, that end with some suspended."""
    sys.setswitchinterval(1e-6)

    def work() -> None:
        engine = engine_made()
        for _ in range(20):
            several = suspended(30)
            spawn(20)
            end(several)
        suspended(5)
        assert stacks(engine).kept <= 256

    assert in_threads(work, 8) == []
    gc.collect()
    spawn(10)
    found = now()
    assert found.reason == ""
    # less those that ran while another thread was still making the first engine
    assert found.hits + found.misses >= 8 * 20 * 50 / 2
    assert 0 < found.kept <= 256


def in_a_greenlet() -> None:
    """Make the first engine in a greenlet, as `run_sync` does, and in a thread."""
    greenlet(engine_made).switch()
    assert in_threads(engine_made, 2) == []
    before = now()
    assert before.reason == ""
    spawn(100)
    assert now().hits >= before.hits + 99


def forks() -> None:
    """Fork while other threads run greenlets; the children go on, and so does the parent."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12: a fork beside threads
    kept()
    sys.setswitchinterval(1e-5)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            end(suspended(20))

    def fork_often() -> None:
        for _ in range(20):
            _child(lambda: end(suspended(300)))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        assert in_threads(fork_often, 2) == []
    finally:
        ended.set()
    for worker in workers:
        worker.join(60)
    spawn(100)
    assert now().kept <= 256


def _child(work: Callable[[], object]) -> None:
    """Fork; the child runs greenlets from kept stacks; its end is waited for."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            before = now()
            spawn(200)
            after = now()
            work()
            right = after.hits >= before.hits + 199 and now().kept <= 256
            os._exit(0 if right else 3)
        except BaseException:
            os._exit(4)
    for _ in range(6_000):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            assert status == 0, status
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child hangs")


def fork_and_begin() -> None:
    """Fork before the first engine: the child begins by itself."""

    def begin() -> None:
        kept()
        spawn(100)
        assert now().hits >= 99

    child = os.fork()
    if child == 0:
        try:
            begin()
            os._exit(0)
        except BaseException:
            os._exit(4)
    assert os.waitpid(child, 0)[1] == 0
    assert now().bound == 0
    begin()


# Crosses the end of the first stack block again and again, which asks for a second one each time.
HAMMER = """
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
for _ in range(300):
    for depth in range(0, 400, 7):
        deep(depth)
"""


def _interpreters() -> Any:
    """Return the module that makes sub-interpreters, whatever its name is."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise SystemExit("no sub-interpreters")


def sub_interpreters() -> None:
    """Run sub-interpreters in threads, since 3.12 with a lock each, beside greenlets."""
    kept()
    module = _interpreters()
    ended: list[bool] = []

    def other() -> None:
        for _ in range(3):
            made = module.create()
            failed = module.run_string(made, HAMMER)
            assert failed is None, failed
            module.destroy(made)
        ended.append(True)

    def here() -> None:
        for _ in range(100):
            end(suspended(50))

    workers = [threading.Thread(target=other) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert in_threads(here, 2) == []
    for worker in workers:
        worker.join(120)
    assert ended == [True] * 3
    found = now()
    assert found.kept <= 256
    assert found.hits > 0


def ends() -> None:
    """End with greenlets suspended, and threads that run some."""
    kept()
    globals()["held"] = suspended(300)

    def work() -> None:
        while True:
            spawn(10)
            time.sleep(0)

    for _ in range(2):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(0.1)
    print("at the end")


def memory_tools() -> None:
    """Have memory traced and listed while stacks are kept."""
    kept()
    tracemalloc.start()
    several = suspended(300)
    assert tracemalloc.take_snapshot().statistics("lineno")
    end(several)
    tracemalloc.stop()  # it hides the arenas
    if hasattr(sys, "_debugmallocstats"):
        sys._debugmallocstats()
    spawn(100)
    print("traced")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
