"""Clojure as a contestant: a Java process that runs the workloads when asked."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from benchmarks.peers import PeerError

if TYPE_CHECKING:
    from types import TracebackType

NAME = "Clojure"
#: Where Debian has its JARs.
JARS = Path("/usr/share/java")
#: Seconds, beyond those of the workload, after which an answer is given up.
PATIENCE = 60


def command() -> list[str]:
    """Return the words that run a Clojure script, but for the script.

    Raises:
        PeerError: There is no Java, or no Clojure.
    """
    if not shutil.which("java"):
        raise PeerError("no java was found on the PATH")
    if shutil.which("clojure"):
        return ["clojure"]
    jars = sorted(JARS.glob("clojure*.jar"))
    if not jars:
        raise PeerError("no clojure was found; Debian has it in the package clojure")
    return ["java", "-cp", str(jars[-1]), "clojure.main"]


class Clojure:
    """The process. It lives until the end of the ``with`` block.

    Attributes:
        versions: Of Clojure and Java.
    """

    def __init__(self) -> None:
        script = Path(__file__).with_name("workloads.clj")
        self._process = subprocess.Popen(
            [*command(), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions: dict[str, str] = self._answer(PATIENCE)

    def __enter__(self) -> Clojure:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, workload: str, threads: int, seconds: float) -> dict[str, Any]:
        """Run `workload`; return operation -> measure -> seconds for one, or None.

        Raises:
            PeerError: It failed, or found its own result wrong.
        """
        assert self._process.stdin is not None
        print(workload, threads, seconds, file=self._process.stdin, flush=True)
        answer = self._answer(PATIENCE + 6 * seconds)
        if "error" in answer:
            raise PeerError(f"Clojure: {answer['error']}")
        return answer

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        alarm = Timer(seconds, self._process.kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
            alarm.join()
        if not line:
            raise PeerError("Clojure ended without an answer, see above")
        answer: dict[str, Any] = json.loads(line)
        return answer
