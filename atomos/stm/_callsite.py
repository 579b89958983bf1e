"""Where a `for tx in dosync():` stands, and whether its block goes round.

The `with` in the body of the loop commits when it ends. When the commit is lost
the `for` goes round and runs the block again. A `return` or a `break` would
leave with the values of an attempt that may not have committed, and nobody would
see it until two threads collide. So such a block is refused the first time that
it gets to its end, before anything is committed.

`__exit__` gets the same three Nones whether the block fell through or met a
`return`, and both calls carry the line number of the `with`. The bytecode can
tell them apart. The compiler writes a call of `__exit__` for each way out of a
`with`, and what follows the call is where control goes. From there this module
takes every branch. Each has to come to the `FOR_ITER` of our loop. Control has
left the loop when it comes to a return, to an instruction that follows the
exhausted loop, or to the `GET_ITER` that starts the loop anew. What raises,
ends: exceptions are not followed. Statements after the `with` are on the path,
so a `break` there is found too, also behind an `if`. When `__exit__` swallows an
exception, control goes on from `WITH_EXCEPT_START` and is followed from there.

The offsets come from `frame.f_lasti`. While `__exit__` runs it is the offset of
the call or, once the call is specialised, of one of its inline caches. `dis`
shows specialised and instrumented instructions as the plain ones, so tracing and
coverage change nothing here.

A code object is read once for each loop and once for each way out that is taken.
After that both checks are lookups in dicts, keyed by the `id` of the code
object, since hashing one goes through all of its contents. A weak reference
removes the entry when the code object goes, before its `id` can be used again.
Nothing here keeps a code object or a frame alive. Two threads that read the same
code at the same time find the same, and either result may be the one kept.

Sources: the `dis` page of the CPython documentation, and for the exception table
`Objects/exception_handling_notes.txt` of its source.
"""

from __future__ import annotations

import dis
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FrameType
from typing import Final

from atomos.errors import TransactionStateError

__all__ = ["LoopSite", "check_enter", "check_exit", "loop_site"]

_RETURNS: Final = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_ENDS: Final = _RETURNS | {"RAISE_VARARGS", "RERAISE"}
_WITHS: Final = frozenset({"BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"})
_JUMPS: Final = frozenset([*dis.hasjrel, *dis.hasjabs])
_COMPREHENSIONS: Final = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
_GOES_ROUND: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Loop:
    """One `for` statement in the bytecode.

    Attributes:
        get_iter: The offset of its `GET_ITER`.
        for_iter: The offset of its `FOR_ITER`.
        exits: By the offset of a call of `__exit__`: the line on which control
            leaves the loop, or `_GOES_ROUND`.
    """

    get_iter: int
    for_iter: int
    exits: dict[int, int] = field(default_factory=dict)


class LoopSite:
    """A `for` statement, and the `id` of the frame that runs it.

    While the loop runs its frame lives, so no other frame has that `id`.
    """

    __slots__ = ("frame_id", "loop")

    def __init__(self, loop: _Loop, frame_id: int) -> None:
        self.loop = loop
        self.frame_id = frame_id


# By the id of a code object: a weak reference to it, and its loops by f_lasti.
_KNOWN: Final[dict[int, tuple[weakref.ref[CodeType], dict[int, _Loop]]]] = {}


def loop_site(frame: FrameType) -> LoopSite:
    """Find the `for` statement that is asking for an iterator or for an item.

    Call it from `__iter__` or from `__next__`. From `__next__` alone a `for` over
    `zip(dosync(), ...)` cannot be told from one over dosync() itself.

    Args:
        frame: The caller's frame, `sys._getframe(1)`.

    Raises:
        TransactionStateError: The caller is not a `for` statement.
    """
    code = frame.f_code
    try:
        loop = _KNOWN[id(code)][1][frame.f_lasti]
    except KeyError:
        loop = _learn_loop(frame)
    return LoopSite(loop, id(frame))


def check_enter(frame: FrameType, site: LoopSite) -> None:
    """Check that `with tx:` stands in the function that has the loop.

    Args:
        frame: The frame that runs the `with`.
        site: The loop that yielded `tx`.

    Raises:
        TransactionStateError: It is not the frame that runs the loop.
    """
    if id(frame) != site.frame_id:
        raise TransactionStateError(
            f"{frame.f_code.co_filename}:{frame.f_lineno}: `with tx:` must stand in "
            "the body of the `for tx in dosync():` that yielded tx, in the same "
            "function, not in a helper, an ExitStack or another context manager."
        )


def check_exit(frame: FrameType, site: LoopSite) -> None:
    """Check that control goes round to the `for` once `__exit__` returns.

    Call it before the commit, and before an exception is swallowed.

    Args:
        frame: The frame that runs the `with`.
        site: The loop that yielded `tx`.

    Raises:
        TransactionStateError: It would not, or this is another frame.
    """
    if id(frame) != site.frame_id:
        check_enter(frame, site)
    try:
        line = site.loop.exits[frame.f_lasti]
    except KeyError:
        line = _leaving_line(frame.f_code, site.loop, frame.f_lasti)
        site.loop.exits[frame.f_lasti] = line
    if line != _GOES_ROUND:
        raise TransactionStateError(
            f"{frame.f_code.co_filename}:{line}: control does not go back to the "
            "`for tx in dosync():` from here, so a lost commit could not be tried "
            "again. Do not leave by `return` or `break`, neither in the `with` nor "
            "after it: keep the result in a variable until the loop has ended."
        )


def _learn_loop(frame: FrameType) -> _Loop:
    code = frame.f_code
    loop = _find_loop(code, frame.f_lasti)
    if loop is None:
        raise TransactionStateError(
            f"{code.co_filename}:{frame.f_lineno}: iterate over dosync() with a `for` "
            "statement and enter `with tx:` directly in its body. next(), zip(), "
            "comprehensions and the like cannot run a transaction again."
        )
    key = id(code)
    known = _KNOWN.get(key)
    if known is None:
        # When the code object goes this calls `_KNOWN.pop(key, reference)`, in
        # which the reference is only what to return when there is no such key.
        reference = weakref.ref(code, partial(_KNOWN.pop, key))
        known = _KNOWN.setdefault(key, (reference, {}))
    return known[1].setdefault(frame.f_lasti, loop)


class _Flow:
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


def _find_loop(code: CodeType, lasti: int) -> _Loop | None:
    """Return the loop whose `GET_ITER` or `FOR_ITER` this is, if it is one."""
    flow = _Flow(code)
    index = flow.at(lasti)
    index += flow.ops[index].opname == "GET_ITER"
    three = [op.opname for op in flow.ops[index - 2 : index + 1]]
    if three[1:] != ["GET_ITER", "FOR_ITER"] or code.co_name in _COMPREHENSIONS:
        return None
    if three[0] in ("SWAP", "GET_ITER"):  # An inlined comprehension.
        return None
    return _Loop(flow.ops[index - 1].offset, flow.ops[index].offset)


def _leaving_line(code: CodeType, loop: _Loop, lasti: int) -> int:
    """Return the line on which control leaves the loop, or `_GOES_ROUND`."""
    flow = _Flow(code)
    ours, anew = flow.at(loop.for_iter), flow.at(loop.get_iter)
    outside = set(flow.reach(flow.target(flow.ops[ours].argval), {anew})) | {anew}
    start = flow.at(lasti)
    came_from = flow.reach(start + 1, {ours, *outside})
    seen = list(came_from)
    left = [i for i in seen if i in outside or flow.ops[i].opname in _RETURNS]
    if ours in came_from and not left:
        return _GOES_ROUND
    # Where it neither leaves nor goes round, it raises or runs for ever.
    return _line_to_name(flow, start, (left or seen[-1:])[0], came_from, outside)


def _line_to_name(
    flow: _Flow, start: int, end: int, came_from: dict[int, int], outside: set[int]
) -> int:
    """Return the line that best shows a reader how control leaves the loop.

    That is the last line on the way out which is neither that of a `with` nor one
    of the code around the loop. Where there is none a statement in the `with`
    leaves, and that one was compiled right before `start`.
    """
    line_of_with = flow.line(start)
    withs = {i for i, op in enumerate(flow.ops) if op.opname in _WITHS}
    others = {0, line_of_with, *map(flow.line, outside | withs)}
    while end != came_from[end]:
        if flow.line(end) not in others:
            return flow.line(end)
        end = came_from[end]
    for index in range(start, -1, -1):
        if flow.line(index) > line_of_with and flow.line(index) not in others:
            return flow.line(index)
    return line_of_with


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
