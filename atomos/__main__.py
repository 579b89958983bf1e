"""``python -m atomos`` runs the demo, or another command that is named."""

from __future__ import annotations

import sys

from atomos._demo.command import main

if __name__ == "__main__":
    sys.exit(main())
