"""A whole application, a FastAPI service of orders, on three dialects: `python -m bench.app`."""
