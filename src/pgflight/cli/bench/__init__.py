"""`python -m pgflight bench URL`: what pgflight gains on a database and at a distance of one's own.

`command` is the command line; `dialects` are what is compared and `units` what they do, `measuring`
times them and `waits` counts their round trips. All of it goes into `results`, which `tables` and
`page` show, `plots` draws, and `prediction` reads for what an application would gain.
Uses the extra `bench`; nothing outside this folder imports it.
"""
