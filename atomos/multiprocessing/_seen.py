"""What was read of a shared cell: a value, and the record that it stood in."""

from __future__ import annotations

from typing import TypeVar

from atomos.stm._cell import Version

__all__ = ["Seen"]

T = TypeVar("T")


class Seen(Version[T]):
    """A version that was read in a space.

    Attributes:
        record: Stamp and bytes, as the engine has given them; None if the cell had no
            record yet.
    """

    __slots__ = ("record",)

    record: bytes | None
