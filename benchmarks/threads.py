"""Running work in several threads at once, and timing it."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Clock


def seconds_for(
    bodies: Sequence[Callable[[], object]], clock: Clock = perf_counter
) -> float:
    """Run each of `bodies` in a thread of its own, all from one barrier on.

    Returns:
        Seconds from the first start to the last end.

    Raises:
        BaseException: What a body raises.
    """
    barrier = threading.Barrier(len(bodies))
    starts: list[float] = []
    ends: list[float] = []
    errors: list[BaseException] = []

    def work(body: Callable[[], object]) -> None:
        try:
            barrier.wait()
            starts.append(clock())
            body()
            ends.append(clock())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return max(ends) - min(starts)
