"""Use without asyncio: an event loop in a thread, the calls on their way to it, and the connections
of ``?async_fallback=true``, which wait for it.
"""
