"""What `.ci/run` does: steps, the environments they run in, and how they are run and reported.

`.ci/run` calls `python3 -m tools.ci`; the standard library is enough. `environments` and `steps`
are tables, which tests/selftest/test_ci_steps.py reads as well; `machine`, `changes`, `jobs`,
`lanes` and `report` do the work.
"""
