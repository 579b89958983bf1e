"""Functions of the user that raise, block for a while, or start a transaction.

Hypothesis chooses transactions, and what is done where: in functions given to `alter`,
`swap` and `commute`, in validators, in watches, and in the ``__eq__`` of values. The
rules are those of `docs/guarantees.md`:

- all three cells that a transaction adds to have the same sum, always (1, 8);
- what an exception has ended has changed nothing, and the exception arrives as it was
  raised, or as the cause of a `ValidationError`; one of a watch is logged (8);
- while such a function blocks, another thread reads and writes the same cells (7),
  unless a plain block holds them;
- a transaction that it starts is a part of the one that it runs in, or, in validators
  and watches, one of its own; a commute may start none;
- values are compared by `compare_and_set` only, and never hashed (7);
- each watch hears once of each commit (8).
"""

from __future__ import annotations

import logging
from functools import partial
from threading import get_ident
from typing import Any, NamedTuple

from helpers import FORMS, ISOLATIONS, elsewhere, transact
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from atomos import Atom, Ref, atomically
from atomos.errors import AtomosError, CommuteError, ValidationError
from atomos.stm import _commit
from faults.aftermath import nothing_left
from faults.campaign import Campaign, Figure, Load, empty, seen

PLACES = ("alter", "commute", "swap", "equality", "validator", "watch")
#: `raise` an Exception, `stop` with a BaseException, `refuse` (validators), let another
#: thread work and wait for it, `begin` a transaction.
DEEDS = ("raise", "stop", "refuse", "wait", "begin")
#: Places that are no part of the transaction.
OUTSIDE = ("validator", "watch")
#: Of a transaction of the user, the cells that it adds to.
CELLS = 3


class Mischief(Exception):
    pass


class Stop(BaseException):
    pass


class Step(NamedTuple):
    """One transaction of the thread that is looked at.

    Attributes:
        form: Of the transaction; "alone" for an atom outside of any.
        isolation: What it asks for.
        deeds: What is done where.
    """

    form: str
    isolation: str
    deeds: dict[str, str]


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from((*FORMS, "alone")),
        st.sampled_from(ISOLATIONS),
        st.dictionaries(st.sampled_from(PLACES), st.sampled_from(DEEDS), max_size=3),
    ),
    min_size=1,
    max_size=6,
)


class Number:
    """A value that counts, and does mischief when it is compared."""

    def __init__(self, world: World, n: int) -> None:
        self.world, self.n = world, n

    def __eq__(self, other: object) -> bool:
        if not self.world.comparing:
            self.world.asked += 1
        self.world.do("equality")
        return isinstance(other, Number) and self.n == other.n

    def __hash__(self) -> int:
        self.world.asked += 1
        return 0

    def plus(self) -> Number:
        return Number(self.world, self.n + 1)


class World:
    """The cells, the step under way, and what must come out.

    Attributes:
        total: What the three cells of a transaction must have.
        alone: What the atom that is changed alone must have.
        begun: What the two refs must have to which started transactions add.
        part: Of those, the ones that are part of the attempt under way.
        heard: How often watches of this thread were called.
        asked: How often a value was compared or hashed without need.
        logged: Errors of watches that were logged.
        watch_raises: How often a watch has raised.
    """

    def __init__(self) -> None:
        self._thread = get_ident()
        self.step = Step("alone", ISOLATIONS[0], {})
        self.comparing = False
        self.total = self.alone = self.begun = self.part = 0
        self.heard = self.asked = self.logged = self.watch_raises = 0
        self._done: set[str] = set()
        made = partial(Number, self, 0)
        self.left, self.right = Ref(made(), name="left"), Ref(made(), name="right")
        self.atom, self.single = Atom(made()), Atom(made())
        self.started, self.apart, self.busy = Ref(0), Ref(0), Ref(0)
        for cell in (self.left, self.right, self.atom, self.single):
            cell.set_validator(self._validate)
            cell.add_watch("hear", self._hear)

    def cells(self) -> list[Any]:
        counted = [self.left, self.right, self.atom, self.single]
        return [*counted, self.started, self.apart, self.busy]

    # What the functions of the user do

    def do(self, place: str) -> bool:
        """Do what the step does there; return whether a validator may accept."""
        deed = self.step.deeds.get(place)
        if get_ident() != self._thread or deed is None:
            return True
        if deed == "begin":
            self._begin(place)
        elif place not in self._done:
            self._done.add(place)
            if deed == "wait":
                elsewhere(self._work, place)
            elif deed == "raise" or (deed == "stop" and place == "watch"):
                self.watch_raises += place == "watch"
                raise Mischief(place)
            elif deed == "stop":
                raise Stop(place)
            return deed != "refuse"
        return True

    def _begin(self, place: str) -> None:
        # Not the same ref: a validator that writes what its own transaction has read
        # makes it lose each time, and at last finds it held.
        if place in OUTSIDE or self.step.form == "alone":
            atomically(self.apart.alter, lambda n: n + 1)
            self.begun += 1
        else:
            atomically(self.started.alter, lambda n: n + 1)
            self.part += 1

    def _work(self, place: str) -> None:
        """What another thread does while a function waits for it."""
        atomically(self.busy.alter, lambda n: n + 1)
        self.check()
        if self.step.form != "block" or place == "watch":
            atomically(self._add)
            self.total += 1
            self.single.swap(Number.plus)
            self.alone += 1

    def _add(self) -> None:
        self.left.alter(Number.plus)
        self.right.alter(Number.plus)
        self.atom.swap(Number.plus)

    def _validate(self, value: Number) -> bool:
        return self.do("validator")

    def _hear(self, key: object, cell: object, old: Number, new: Number) -> None:
        assert new is old or new.n == old.n + 1, (old.n, new.n)
        if get_ident() == self._thread:
            self.heard += 1
        self.do("watch")

    def _plus(self, place: str, value: Number) -> Number:
        self.do(place)
        return value.plus()

    def _replace(self, atom: Atom[Number]) -> bool:
        value = atom.deref()
        self.comparing = True
        try:
            return atom.compare_and_set(Number(self, value.n), value)
        finally:
            self.comparing = False

    # The transactions, and the rules

    def take(self, step: Step) -> None:
        """Make one step; check the rules."""
        self.step = step
        self._done = set()
        heard = self.heard
        error = self._attempted()
        self.step = Step("alone", ISOLATIONS[0], {})
        if error is None and step.form == "alone":
            self.alone += 1
        elif error is None:
            self.total += 1
            self.begun += self.part
        self._check_error(step, error)
        changed = 0 if error else 1 if step.form == "alone" else CELLS
        assert self.heard - heard == changed, "each watch is told once"
        self.check()

    def _attempted(self) -> BaseException | None:
        """Run the step; return what it has raised."""
        step = self.step
        try:
            if step.form == "alone":
                self.single.swap(partial(self._plus, "swap"))
            else:
                transact(step.form, self._body, isolation=step.isolation)
        except (AtomosError, Mischief, Stop) as error:
            return error
        return None

    def _body(self) -> None:
        self.part = 0
        self._replace(self.atom)
        self.left.alter(partial(self._plus, "alter"))
        self.right.commute(partial(self._plus, "commute"))
        self.atom.swap(partial(self._plus, "swap"))

    def _check_error(self, step: Step, error: BaseException | None) -> None:
        """What was raised must arrive, and nothing else."""
        used = ("swap", "validator") if step.form == "alone" else PLACES[:-1]
        possible = set()
        for place, deed in step.deeds.items():
            if place not in used:
                continue
            if deed == "stop":
                possible.add((Stop, place))
            elif deed == "raise":
                possible.add((Mischief, place))
            elif deed == "refuse" and place == "validator":
                possible.add((ValidationError, place))
            elif deed == "begin" and place == "commute":
                possible.add((CommuteError, place))
        if error is None:
            assert not possible, f"not raised: {possible}"
            return
        if isinstance(error, ValidationError):
            cause = error.__cause__
            found = {(type(cause or error), "validator")}
        elif isinstance(error, CommuteError):
            found = {(CommuteError, "commute")}
        else:
            found = {(type(error), *error.args)}
        assert found <= possible, f"{error!r} arrived, of {possible}"

    def check(self) -> None:
        """Read all cells in one transaction: they must have what was committed."""
        left, right, atom, single, started, apart, _ = atomically(
            lambda: [cell.deref() for cell in self.cells()]
        )
        assert left.n == right.n == atom.n, (left.n, right.n, atom.n)
        if get_ident() == self._thread:
            assert left.n == self.total, (left.n, self.total)
            assert single.n == self.alone, (single.n, self.alone)
            assert started + apart == self.begun, (started, apart, self.begun)


class _Logged(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class _Examples:
    """What Hypothesis has tried."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.examples = self.steps = self.raised = 0
        self.left: list[Figure] = []

    def try_one(self, steps: list[Step]) -> None:
        """Take the steps in a new world."""
        world, logged = World(), _Logged()
        logger = logging.getLogger("atomos")
        logger.addHandler(logged)
        before, logger.propagate = logger.propagate, False
        try:
            for step in steps:
                world.take(step)
        finally:
            logger.propagate = before
            logger.removeHandler(logged)
        assert logged.count == world.watch_raises, "a watch's error is logged once"
        assert world.asked == 0, "a value was compared or hashed without need"
        left = nothing_left(world.cells())
        assert all(one.holds for one in left), [str(one) for one in left]
        self.examples += 1
        self.steps += len(steps)
        self.left = left
        if self.examples % 100 == 0:
            self._load.say(f"{self.examples:,} examples")


def run(load: Load) -> list[Figure]:
    """Try `load.amount` examples, and more as long as there is time."""
    tried, broken, number = _Examples(load), "", load.seed
    while not broken and load.more(tried.examples):
        broken = _try(tried, load.amount, number)
        number += 1
    return [
        seen("examples", tried.examples),
        seen("transactions in them", tried.steps),
        empty("the smallest example that breaks a rule", broken),
        *tried.left,
    ]


def _try(tried: _Examples, examples: int, number: int) -> str:
    """Try so many examples; return one that breaks a rule, in words."""
    test = given(STEPS)(tried.try_one)
    test = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(seed(number)(test))
    try:
        test()
    except Exception as error:
        return "\n".join((repr(error), *getattr(error, "__notes__", ())))
    return ""


def alters_last() -> None:
    """A commit that a commute has ended with an exception has changed a ref."""
    before = _commit._compute_commutes

    def compute(entries: Any) -> None:
        try:
            before(entries)
        except BaseException:
            entries[0].cell._newest.value = entries[0].new.value
            raise

    _commit._compute_commutes = compute


CAMPAIGN = Campaign(
    "user-code",
    "functions of the user that raise, block or start transactions, in examples",
    run,
    40,
    5_000,
    (alters_last,),
)
