"""Shared mutable state made safe: Refs, transactions, Atoms and atomics."""

from __future__ import annotations

from atomos.atom import Atom
from atomos.reference import ARef
from atomos.stm import _fork as _fork  # registers what a fork needs
from atomos.stm._dosync import atomically, dosync
from atomos.stm.ref import Ref

__version__ = "1.0.0.dev0"

__all__ = ["ARef", "Atom", "Ref", "atomically", "dosync"]
