"""The benchmarks of atomos: run them with `make bench`.

Each figure is a ratio within one run, or a number that no noise changes (bytes,
attempts). `registry` lists the rows; `__main__` runs and prints them.
"""
