"""Run the fault campaign: ``python -m tests.faults``, or ``make soak``."""

from __future__ import annotations

import sys
from pathlib import Path

# The tests import each other by the names that they have in this folder.
sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.soak import main

sys.exit(main())
