"""``python -m atomos`` runs the demo."""

from __future__ import annotations

import sys

from atomos._demo.run import main

if __name__ == "__main__":
    sys.exit(main())
