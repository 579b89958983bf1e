"""Runs the examples of a page of the manual."""

from __future__ import annotations

import doctest
import re

FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_blocks(text: str, name: str) -> int:
    """Run the blocks marked python or pycon, in one namespace; return how many."""
    names: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    count = 0
    for block in FENCE.finditer(text):
        if block[1] not in ("python", "pycon"):
            continue
        count += 1
        code, line = block[2], text.count("\n", 0, block.start(2))
        if re.search("^>>> ", code, re.MULTILINE):
            test = doctest.DocTestParser().get_doctest(code, names, name, name, line)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
        else:
            exec(compile("\n" * line + code, name, "exec"), names)
    assert runner.failures == 0, f"{name}: {runner.failures} examples failed, see above"
    return count
