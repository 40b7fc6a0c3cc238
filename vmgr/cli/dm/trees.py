"""Trees of devices: ``ls --tree`` and ``info --tree``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.facts import NO_DEVICES, all_are_meant, look
from vmgr.core.errors import NotFound
from vmgr.core.escapes import escape_controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.dm.context import Context
    from vmgr.dm.tree import DeviceTree


def show_tree(context: Context) -> None:
    """Print the tree of all devices, or of those named with what they lie on, as ``-o`` says."""
    from vmgr.dm.tree import DeviceTree
    from vmgr.dm.tree_drawing import TreeStyle, draw

    style = TreeStyle.parse(context.invocation.text("options") or "", utf8=_utf8(context))
    tree = DeviceTree.read(context.client())
    if not all_are_meant(context):
        tree = _below(context, tree)
    if context.json:
        context.emit_json({"devices": tree.as_json(context.shown)})
    elif not tree.nodes:
        context.terminal.data(NO_DEVICES)
    else:
        text = draw(tree, style, columns=_columns(), unmangle=_readable(context))
        context.terminal.drawn(text)  # the lines may be a terminal's own, which it is told by escape sequences


def _readable(context: Context) -> Callable[[str], str]:
    """How names are shown in a tree; no control character in one reaches a terminal."""
    if not context.terminal.is_shown():
        return context.shown
    return lambda name: escape_controls(context.shown(name))


def _below(context: Context, tree: DeviceTree) -> DeviceTree:
    """The part of the tree that the named devices are the top of."""
    from attrs import evolve

    from vmgr.dm.tree import DeviceTree

    named = []
    for dev in context.devices():
        device = look(context, dev)
        if (device.major, device.minor) not in tree:
            raise NotFound(f"the device {context.shown(device.name)} has just gone away")
        named.append((device.major, device.minor))
    kept = tree.below(*named)
    numbers = {node.numbers for node in kept}
    return DeviceTree(tuple(evolve(node, used_by=tuple(n for n in node.used_by if n in numbers)) for node in kept))


def _utf8(context: Context) -> bool:
    """Whether the locale's characters are UTF-8 (as ``nl_langinfo(CODESET)`` after ``setlocale``)."""
    environ = context.environ
    words = [environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if words[:2] == ["", "C.UTF-8"] and not _given(b"LC_CTYPE"):
        words[1] = ""  # the interpreter set it for itself, where the locale was C (PEP 538)
    locale = next(filter(None, words), "C")
    return locale.upper().replace("-", "").endswith("UTF8")


def _given(name: bytes) -> bool:
    """Whether the environment with which the process began has a variable."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(entry.startswith(name + b"=") for entry in file.read().split(b"\0"))
    except OSError:
        return True


def _columns() -> int | None:
    """The terminal's width; None if standard output is not a terminal."""
    import os

    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None
