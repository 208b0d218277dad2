"""What SQLAlchemy makes for one event loop, made for several: locks and queues of an engine.

Used by the dialect as an engine is created.
"""
