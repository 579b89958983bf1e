"""The fault campaign: things go wrong under load, and what is left is counted.

Each row module makes one kind of fault and offers a `CAMPAIGN`. Its `run` does as
much work as it is told and returns figures; a figure knows whether it holds. So
`make test` runs a little of each (`test_faults`), and `make soak` runs the loads that
`docs/guarantees.md` shows (`soak`), by the same code. Faults one by one, each
at every point, are in the other tests; here they come at random, many at once.

A campaign must be able to fail: it names ways to break the engine, each of which
`test_faults` makes in a process of its own, and one of the figures must not hold.

New row: a module with a `CAMPAIGN`, and a line in `campaigns`.
"""
