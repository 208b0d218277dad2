"""COPY over asyncpg: past its methods where that is possible, and what watches its progress.

Used by pgflight.copying.
"""
