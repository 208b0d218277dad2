"""The commands of `python -m fastpg`; imported by `fastpg.__main__` and never by the dialect."""
