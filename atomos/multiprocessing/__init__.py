"""Atoms, atomics, Refs and `dosync` that processes share."""
