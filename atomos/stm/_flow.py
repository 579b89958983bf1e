"""The instructions of a code object, and where control goes from each.

Sources: the `dis` page of the CPython documentation, and for the exception table
`Objects/exception_handling_notes.txt` of its source.
"""

from __future__ import annotations

import dis
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from types import CodeType
from typing import Final

__all__ = ["Flow"]

_RETURNS: Final = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_ENDS: Final = _RETURNS | {"RAISE_VARARGS", "RERAISE"}
_WITHS: Final = frozenset({"BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"})
_JUMPS: Final = frozenset([*dis.hasjrel, *dis.hasjabs])


class Flow:
    """The instructions of a code object, and where control goes from each.

    An instruction is named by its index. EXTENDED_ARG is left out, and a jump to
    one is a jump to the instruction that it belongs to.
    """

    def __init__(self, code: CodeType) -> None:
        ops = dis.get_instructions(code)
        self.ops = [op for op in ops if op.opname != "EXTENDED_ARG"]
        self._offsets = [op.offset for op in self.ops]
        self._code = code

    def at(self, offset: int) -> int:
        """Return the instruction that has this offset, or has a cache there."""
        return bisect_right(self._offsets, offset) - 1

    def target(self, offset: int) -> int:
        """Return the instruction that a jump to this offset runs."""
        return bisect_left(self._offsets, offset)

    def returns(self, index: int) -> bool:
        """Whether an instruction leaves the function with a value."""
        return self.ops[index].opname in _RETURNS

    def withs(self) -> set[int]:
        """Return where a `with` statement is entered."""
        return {i for i, op in enumerate(self.ops) if op.opname in _WITHS}

    def line(self, index: int) -> int:
        """Return the line of an instruction, 0 where it has none."""
        positions = self.ops[index].positions
        return (positions.lineno or 0) if positions else 0

    def after(self, index: int) -> list[int]:
        """Return the instructions that can run next when none raises."""
        op = self.ops[index]
        name = op.opname
        if name in _ENDS:
            return []
        found = []
        if not name.startswith("JUMP_") or name.startswith("JUMP_IF_"):
            found.append(index + 1)
        if op.opcode in _JUMPS and name != "END_ASYNC_FOR":
            found.append(self.target(op.argval))
        if name == "GET_ANEXT":
            # An `async for` ends by an exception, its one regular way out.
            found.extend(map(self.target, _handlers(self._code, op.offset)))
        return found

    def reach(self, start: int, stop: set[int]) -> dict[int, int]:
        """Map what control comes to, up to `stop`, to where it came from."""
        came_from = {start: start}
        todo = [start]
        while todo:
            index = todo.pop()
            if index in stop:
                continue
            for following in self.after(index):
                if following not in came_from:
                    came_from[following] = index
                    todo.append(following)
        return came_from


def _handlers(code: CodeType, offset: int) -> Iterator[int]:
    """Yield the offset of the handler of exceptions raised at this offset."""
    numbers = _numbers(code.co_exceptiontable)
    for start, length, target, _ in zip(*[numbers] * 4, strict=True):
        if start * 2 <= offset < (start + length) * 2:
            yield target * 2


def _numbers(table: bytes) -> Iterator[int]:
    """Yield the numbers of an exception table: six bits a byte, bit 6 is "more"."""
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            yield value
            value = 0
