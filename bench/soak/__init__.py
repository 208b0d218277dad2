"""Many tasks at work for minutes while something breaks every second: `python -m bench.soak`."""
