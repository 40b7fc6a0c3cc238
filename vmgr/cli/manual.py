"""The manual: every page by file name. ``python -m vmgr.cli.manual`` (``make man``) writes them into ``man``.

A test holds the committed pages to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vmgr.cli.manpage import command_page, main_page
from vmgr.cli.registry import COMMANDS, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.hooks import TargetInfo

FOLDER = Path(__file__).parents[2] / "man"


def own_plugins() -> tuple[TargetInfo, ...]:
    """The plugins that come with vmgr, by name: the order in which they are found is the installation's."""
    from vmgr.registry import find_plugins, load_targets

    own = {name for name, value, _ in find_plugins() if value.startswith("vmgr.")}
    return tuple(sorted((i for i in load_targets().infos() if i.name in own), key=lambda info: info.name))


def pages() -> Mapping[str, str]:
    """All pages, by file name."""
    plugins = own_plugins()
    prose = FOLDER / "prose"
    found = {"vmgr.8": main_page((prose / "vmgr.roff").read_text("utf-8"))}
    for name in sorted(COMMANDS):
        text = (prose / f"{name}.roff").read_text("utf-8")
        found[f"vmgr-{name}.8"] = command_page(load(name), text, plugins)
    from vmgr.cli.dm.manual import page

    found["vmgr-dm.8"] = page((prose / "dm.roff").read_text("utf-8"))
    return found


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
