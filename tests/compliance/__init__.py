"""SQLAlchemy's own PostgreSQL tests, run on the built-in dialect and on ours, and compared."""
