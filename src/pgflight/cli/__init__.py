"""The commands of `python -m pgflight`; imported by `pgflight.__main__`, never by the dialect."""
