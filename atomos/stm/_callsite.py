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

A way out that comes before the `with` leaves without a commit, and in a later
round with what a lost attempt has left. So when the loop begins, every branch is
taken from its body on, up to the first `with`, and a loop that can be left there is
refused. Whether that is `with tx` or another one is not looked at.

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
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FrameType
from typing import Final

from atomos.errors import TransactionStateError
from atomos.stm._flow import Flow

__all__ = ["LoopSite", "check_enter", "check_exit", "loop_site"]

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
    flow = Flow(code)
    loop = _find_loop(flow, code.co_name, frame.f_lasti)
    if loop is None:
        raise TransactionStateError(
            f"{code.co_filename}:{frame.f_lineno}: iterate over dosync() with a `for` "
            "statement and enter `with tx:` directly in its body. next(), zip(), "
            "comprehensions and the like cannot run a transaction again."
        )
    line = _early_line(flow, loop)
    if line is not None:
        raise TransactionStateError(
            f"{code.co_filename}:{line}: the `for tx in dosync():` can be left here "
            "before `with tx:` was entered. That would be without a commit, and "
            "after a lost attempt with the values of that. Do not leave by `return` "
            "or `break`: ask before the loop, or inside of the `with`."
        )
    key = id(code)
    known = _KNOWN.get(key)
    if known is None:
        # When the code object goes this calls `_KNOWN.pop(key, reference)`, in
        # which the reference is only what to return when there is no such key.
        reference = weakref.ref(code, partial(_KNOWN.pop, key))
        known = _KNOWN.setdefault(key, (reference, {}))
    return known[1].setdefault(frame.f_lasti, loop)


def _find_loop(flow: Flow, name: str, lasti: int) -> _Loop | None:
    """Return the loop whose `GET_ITER` or `FOR_ITER` this is, if it is one."""
    index = flow.at(lasti)
    index += flow.ops[index].opname == "GET_ITER"
    three = [op.opname for op in flow.ops[index - 2 : index + 1]]
    if three[1:] != ["GET_ITER", "FOR_ITER"] or name in _COMPREHENSIONS:
        return None
    if three[0] in ("SWAP", "GET_ITER"):  # An inlined comprehension.
        return None
    return _Loop(flow.ops[index - 1].offset, flow.ops[index].offset)


def _outside(flow: Flow, loop: _Loop) -> set[int]:
    """Return where control is only after it has left the loop."""
    ours, anew = flow.at(loop.for_iter), flow.at(loop.get_iter)
    return set(flow.reach(flow.target(flow.ops[ours].argval), {anew})) | {anew}


def _early_line(flow: Flow, loop: _Loop) -> int | None:
    """Return the line on which the loop can be left before any `with`, if any."""
    ours, outside = flow.at(loop.for_iter), _outside(flow, loop)
    came_from = flow.reach(ours + 1, {ours, *outside, *flow.withs()})
    for end in came_from:
        if end in outside or flow.returns(end):
            others = {0, flow.line(ours), *map(flow.line, outside)}
            return _last_line(flow, end, came_from, others) or flow.line(ours)
    return None


def _leaving_line(code: CodeType, loop: _Loop, lasti: int) -> int:
    """Return the line on which control leaves the loop, or `_GOES_ROUND`."""
    flow = Flow(code)
    ours, outside = flow.at(loop.for_iter), _outside(flow, loop)
    start = flow.at(lasti)
    came_from = flow.reach(start + 1, {ours, *outside})
    seen = list(came_from)
    left = [i for i in seen if i in outside or flow.returns(i)]
    if ours in came_from and not left:
        return _GOES_ROUND
    # Where it neither leaves nor goes round, it raises or runs for ever.
    return _line_to_name(flow, start, (left or seen[-1:])[0], came_from, outside)


def _line_to_name(
    flow: Flow, start: int, end: int, came_from: dict[int, int], outside: set[int]
) -> int:
    """Return the line that best shows a reader how control leaves the loop.

    That is the last line on the way out which is neither that of a `with` nor one
    of the code around the loop. Where there is none a statement in the `with`
    leaves, and that one was compiled right before `start`.
    """
    line_of_with = flow.line(start)
    others = {0, line_of_with, *map(flow.line, outside | flow.withs())}
    line = _last_line(flow, end, came_from, others)
    if line is not None:
        return line
    for index in range(start, -1, -1):
        if flow.line(index) > line_of_with and flow.line(index) not in others:
            return flow.line(index)
    return line_of_with


def _last_line(
    flow: Flow, end: int, came_from: dict[int, int], others: set[int]
) -> int | None:
    """Return the last line on the way to `end` that is none of `others`."""
    while True:
        if flow.line(end) not in others:
            return flow.line(end)
        if end == came_from[end]:
            return None
        end = came_from[end]
