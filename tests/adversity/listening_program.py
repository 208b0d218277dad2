"""A listener in a process that forks; test_listening_forked.py starts it with the server's URL.

Ends with status 0 if the child was refused and the parent went on.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import create_async_engine

import pgflight
from pgflight.listening.listener import Listener


def child(listener: Listener) -> int:
    asyncio.set_event_loop(None)
    asyncio.events._set_running_loop(None)  # as in every child of a running loop

    async def uses() -> int:
        for use in (listener.__anext__, listener.aclose):
            try:
                await use()
            except InvalidRequestError as error:
                assert "forked" in str(error), error
            else:
                return 1
        return 0

    return asyncio.run(uses())


async def main() -> None:
    engine = create_async_engine(sys.argv[1])
    async with pgflight.listen(engine, "jobs_of_forks") as listener:
        pid = os.fork()
        if not pid:
            os._exit(child(listener))  # without a farewell, as multiprocessing ends
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        for number in range(3):
            async with engine.begin() as connection:
                await pgflight.notify(connection, "jobs_of_forks", str(number))
            item = await asyncio.wait_for(anext(listener), 30)
            assert isinstance(item, pgflight.Notification), item
            assert item.payload == str(number)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
