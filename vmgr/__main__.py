"""``python -m vmgr``: the same as the console script."""

from __future__ import annotations

import sys

from vmgr.cli.main import main

if __name__ == "__main__":
    sys.argv[0] = "vmgr"
    main()
