"""``python -m vmgr.lab``."""

from __future__ import annotations

from vmgr.lab.command import main

main()
