"""What shells complete: groups, volumes, tags, physical volumes, devices, columns, types, files.

Names of groups and volumes are read from the disks, without locks and with a short patience; who may not read
those gets what is active, from the device nodes. Nothing here fails or prints: completion is silent when it knows
nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from vmgr.cli.declare import Argument, Command, Option
    from vmgr.core.view import SystemView

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

PATIENCE = "2"
"""Seconds that a device has to answer."""

NEW_NAMES = frozenset((("vgcreate", "VG"), ("vgrename", "VG"), ("lvrename", "LV_new")))
"""Arguments that name what is not there yet."""

OF_ANY_DEVICE = frozenset(("pvcreate", "vgcreate", "vgextend"))
"""Commands that take devices that are no physical volumes yet."""


# -- the shells -----------------------------------------------------------------------------------


@add_completion_class
class Bash(BashComplete):
    """click's, for words with ``@`` and ``=`` in them, at which bash breaks words."""

    source_template = (
        "# A tag is one word with its @.\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@/}\n" + BashComplete.source_template
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and that one; ``--option=value`` comes as three words."""
        words, incomplete = super().get_completion_args()
        if incomplete == "=":
            incomplete = ""
        elif words[-1:] == ["="]:
            words.pop()
        return words, incomplete


class _Whole(ShellComplete):
    """For shells that take ``--option=value`` for one word, and want the whole of it back."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What completes the word, its option included."""
        found = super().get_completions(args, incomplete)
        if incomplete.startswith("--") and "=" in incomplete:
            for item in found:
                item.value = f"{incomplete.partition('=')[0]}={item.value}"
        return found


@add_completion_class
class Zsh(_Whole, ZshComplete):
    """click's."""


@add_completion_class
class Fish(_Whole, FishComplete):
    """click's, for values with commas in them: lists of columns."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


# -- what is there --------------------------------------------------------------------------------


def _view() -> SystemView | None:
    from vmgr.app import open_application
    from vmgr.core.errors import VmgrError
    from vmgr.outcome import RunOptions

    os.environ["VMGR_READ_LIMIT"] = PATIENCE
    try:
        with open_application(RunOptions(read_only=True, use_kernel=False)) as app:
            return app.view()
    except (VmgrError, OSError):
        return None


def _active() -> list[tuple[str, str]]:
    """(group, volume) of what is active, by the device nodes."""
    from vmgr.core.naming import split_dm_name
    from vmgr.dm.names import unmangle

    try:
        nodes = [unmangle(name) for name in os.listdir("/dev/mapper") if name != "control"]
    except OSError:
        return []
    parts = [split_dm_name(name) for name in nodes]
    return [(vg, lv) for vg, lv, layer in parts if vg and lv and not layer and os.path.exists(f"/dev/{vg}/{lv}")]


def groups() -> list[str]:
    """Names of groups."""
    view = _view()
    return sorted(
        {name for name, _ in view.names} if view is not None and view.names else {vg for vg, _ in _active()}
    )


def volumes() -> list[str]:
    """``group/volume`` of every volume that is not hidden."""
    view = _view()
    found = [f"{g.group.name}/{lv.name}" for g in view.groups for lv in g.group.lvs if lv.visible] if view else []
    return sorted(found or [f"{vg}/{lv}" for vg, lv in _active()])


def tags(*kinds: str) -> list[str]:
    """Tags of groups (``VG``), volumes (``LV``) and physical volumes (``PV``)."""
    view = _view()
    found: set[str] = set()
    for g in view.groups if view is not None else ():
        found.update(g.group.tags if "VG" in kinds else ())
        for lv in g.group.lvs if "LV" in kinds else ():
            found.update(lv.tags)
        for pv in g.group.pvs if "PV" in kinds else ():
            found.update(pv.tags)
    return sorted(found)


def every_tag() -> list[str]:
    """Tags of everything."""
    return tags("VG", "LV", "PV")


def physical_volumes() -> list[str]:
    """Devices of physical volumes; all devices where these cannot be read."""
    view = _view()
    return [pv.device for pv in view.pvs()] if view is not None and view.pvs() else devices()


def devices() -> list[str]:
    """Block devices that have a size."""
    found = []
    try:
        names = sorted(os.listdir("/sys/class/block"))
    except OSError:
        return []
    for name in names:
        try:
            with open(f"/sys/class/block/{name}/size") as file:
                if int(file.read()) and not name.startswith("dm-"):
                    found.append(f"/dev/{name.replace('!', '/')}")
        except (OSError, ValueError):
            continue
    return found


def _silent(message: str) -> None:
    """Ignore a plugin's warning, because completion cannot show it."""


def columns() -> list[str]:
    """Columns of reports, and the words for several of them."""
    from vmgr.registry import load_targets
    from vmgr.report.columns import ROWS, SECTIONS

    extra = [column.name for info in load_targets(_silent).infos() for column in info.columns]
    every = [f"{prefix.rstrip('_')}_all" for _, _, prefix in SECTIONS if prefix]
    return sorted({*(str(row[0]) for row in ROWS), *extra, *every, "all"} - {"?"})


def types() -> list[str]:
    """Types of volumes that can be made."""
    from vmgr.registry import load_targets

    return sorted({word for info in load_targets(_silent).infos() for word in info.types})


def plugins() -> list[str]:
    """Names of target plugins."""
    from vmgr.registry import load_targets

    return sorted(info.name for info in load_targets(_silent).infos())


def profiles() -> list[str]:
    """Names of lvm.conf's profiles."""
    folder = os.path.join(os.environ.get("LVM_SYSTEM_DIR") or "/etc/lvm", "profile")
    try:
        return sorted(name.removesuffix(".profile") for name in os.listdir(folder) if name.endswith(".profile"))
    except OSError:
        return []


# -- what is asked for ----------------------------------------------------------------------------


def of_argument(command: Command, argument: Argument) -> Completer | None:
    """What completes an argument of a command; None for what nobody can guess."""
    words = argument.name.replace("VG/LV", "LV").split("|")
    if (command.name, argument.name) in NEW_NAMES:
        return None
    if argument.name == "PLUGIN":
        return _listed(plugins)

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        kinds = [word for word in words if word in ("VG", "LV", "PV")]
        if incomplete.startswith("@"):
            return _matching((f"@{tag}" for tag in tags(*kinds)), incomplete) if "Tag" in words else []
        found: list[str] = []
        if "PV" in words:
            found += devices() if command.name in OF_ANY_DEVICE else physical_volumes()
        if "VG" in words and "/" not in incomplete:
            found += groups()
        if "LV" in words and incomplete.startswith("/dev/"):
            found += [f"/dev/{name}" for name in volumes()]
        elif "LV" in words:
            found += volumes()
        if "Tag" in words and not incomplete:
            found += [f"@{tag}" for tag in tags(*kinds)]
        return _matching(found, incomplete)

    return complete if any(word in ("VG", "LV", "PV") for word in words) else None


def of_option(option: Option) -> Completer | None:
    """What completes an option's value."""
    if option.metavar in ("File", "Dir"):
        kind = "file" if option.metavar == "File" else "dir"
        return lambda ctx, param, incomplete: [CompletionItem(incomplete, type=kind)]
    if option.name in ("options", "sort", "select"):
        return _list(columns, "+-#" if option.name == "options" else "+-")
    found: dict[str, Callable[[], list[str]]] = {
        "addtag": every_tag, "commandprofile": profiles, "deltag": every_tag, "metadataprofile": profiles,
        "profile": profiles, "type": types,
    }  # fmt: skip
    if option.name == "devices":
        return _list(devices, "")
    return _listed(found[option.name]) if option.name in found else None


def _listed(names: Callable[[], list[str]]) -> Completer:
    return lambda ctx, param, incomplete: _matching(names(), incomplete)


def _list(names: Callable[[], list[str]], signs: str) -> Completer:
    """Completes the last word of a list with commas, each word perhaps with a sign in front."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        word = last.lstrip(signs)
        head = before + comma + last[: len(last) - len(word)]
        return [CompletionItem(head + name) for name in names() if name.startswith(word)]

    return complete


def _matching(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
