"""atomos beside other packages, locks and Clojure: run it with `make bench-peers`.

`runner` measures on one interpreter and `store` keeps that as JSON; `plots` and `page`
make docs/performance.md from the JSON of all interpreters.
"""
