"""The demo that ``python -m atomos`` runs. Nothing else in the package imports it.

``examples/index.py`` in the repository shows its index at work.
"""
