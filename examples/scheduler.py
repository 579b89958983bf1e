"""A scheduler of jobs that depend on each other.

A job may run when all that it depends on is done. Workers take one that may run, in one
step with saying that they have; where there is none they sleep until some job is done.
If a job fails, those that depend on it are not run.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from graphlib import CycleError, TopologicalSorter

from atomos import Ref, check, dosync

WAITS, RUNS, DONE, FAILED, SKIPPED = "waits", "runs", "done", "failed", "skipped"


class Scheduler:
    """Jobs, each with what it depends on."""

    def __init__(self, needs):
        """Take over the jobs.

        Args:
            needs: Name -> the names that it depends on.

        Raises:
            ValueError: A job depends on itself, or on what is no job.
        """
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            raise ValueError(f"these wait for each other: {error.args[1]}") from None
        for job, others in needs.items():
            for other in others:
                if other not in needs:
                    raise ValueError(f"{job} needs {other}, which is no job")
        self.needs = needs
        self.states = {job: Ref(WAITS, name=job) for job in needs}

    @dosync
    def take(self):
        """Return a job that may run, and say that it does; None when all have ended."""
        waiting = [job for job in self.needs if self.state(job) == WAITS]
        for job in waiting:
            states = {self.state(other) for other in self.needs[job]}
            if states & {FAILED, SKIPPED}:
                self.states[job].set(SKIPPED)
                return self.take()
            if states <= {DONE}:
                self.states[job].set(RUNS)
                return job
        check(not waiting)  # sleep until one of them may run
        return None

    @dosync
    def end(self, job, state):
        """Say how a job has ended."""
        self.states[job].set(state)

    def state(self, job):
        """Return the state of a job."""
        return self.states[job].deref()

    def work(self, do):
        """Run jobs until none is left."""
        while (job := self.take()) is not None:
            try:
                do(job)
            except Exception:
                self.end(job, FAILED)
            else:
                self.end(job, DONE)

    def run(self, do, workers=4):
        """Run all jobs; return name -> how it has ended."""
        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(self.work, do) for _ in range(workers)]:
                future.result()
        return {job: self.state(job) for job in self.needs}


def build(layers=6, width=5):
    """Return jobs in layers, each of which needs two of the layer before."""
    needs = {}
    for layer in range(layers):
        for k in range(width):
            before = [f"{layer - 1}.{k}", f"{layer - 1}.{(k + 1) % width}"]
            needs[f"{layer}.{k}"] = before if layer else []
    return needs


def run(fails=("2.1",)):
    """Run the jobs of `build`, of which some fail; return how many ended how.

    Raises:
        AssertionError: A job ran before one that it needs, or twice.
    """
    needs, order = build(), []

    def do(job):
        assert set(needs[job]) <= set(order), f"{job} ran too early"
        assert job not in order, f"{job} ran twice"
        if job in fails:
            raise RuntimeError(job)
        order.append(job)

    states = list(Scheduler(needs).run(do).values())
    return {state: states.count(state) for state in (DONE, FAILED, SKIPPED)}


if __name__ == "__main__":
    print(", ".join(f"{count} {state}" for state, count in run().items()))
