"""Subject ``major``: the block major number of devices, and settings that ask for another.

In 2003 it was set with ``modprobe dm-mod major=123``. That still works, and so do a line in modprobe.d and a word
on the kernel's command line. :mod:`vmgr.dm.module` reads these settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from vmgr.dm.control import NAME, block_majors
from vmgr.dm.module import MOST_MAJOR
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.dm.module import ModuleState, Setting
    from vmgr.doctor.machine import Machine

SUBJECT = "major"


@frozen
class Facts:
    """``module`` is the state of the module; ``taken`` are the block majors that drivers have now."""

    module: ModuleState
    taken: Mapping[int, str] = field(factory=dict)


def gather(machine: Machine) -> Facts:
    """Read the numbers and the configuration."""
    from vmgr.doctor.machine import state_of_module

    return Facts(state_of_module(machine), block_majors(machine.roots.proc))


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about the major."""
    module, now = facts.module, facts.module.major
    majors = [setting for setting in module.settings if setting.kind == "major"]
    known: dict[str, Fact] = {
        "major": now,
        "configured": tuple(f"{setting.place}: {setting.value}" for setting in majors),
    }
    found = [_unusable(setting, known) for setting in majors if _number(setting) is None]
    # If the device mapper is built in, modprobe's settings have no effect.
    heard = [s for s in majors if s.line == 0] if module.state == "built-in" else majors
    for setting in majors:
        if setting not in heard and _number(setting) not in (None, now):
            found.append(_unheard(setting, now, known))
    usable = [setting for setting in heard if _number(setting) is not None]
    asked = usable[-1] if usable else None
    if asked is not None and len({_number(setting) for setting in usable}) > 1:
        places = ", ".join(f"{setting.place} ({setting.value})" for setting in usable)
        text = f"the major is set more than once: {places}; the last counts"
        found.append(Finding("major.contradiction", SUBJECT, WARNING, text, "keep one of these lines", facts=known))
    wanted = _number(asked) if asked is not None else None
    if now is None:
        found += _later(asked, wanted, facts, known)
    elif wanted is None or wanted == now:
        how = f"as {asked.place} asks" if asked is not None else "the kernel chose it"
        found.append(Finding("major.right", SUBJECT, OK, f"devices have major {now} ({how})", facts=known))
    else:
        assert asked is not None
        text = f"devices have major {now}, but {asked.place} asks for {wanted}"
        remedy = (
            "reboot"
            if module.state == "built-in"
            else f"remove all devices, then modprobe -r dm-mod && modprobe dm-mod major={wanted}; or reboot"
        )
        if facts.taken.get(wanted, NAME) != NAME:
            text += f", which {facts.taken[wanted]} has"
            remedy = f"choose a number that is free in {asked.path}"
        found.append(Finding("major.differs", SUBJECT, PROBLEM, text, remedy, facts=known))
    return tuple(found)


def _number(setting: Setting) -> int | None:
    """The major in a setting, if it is valid; 0 lets the kernel choose and is left out."""
    text = setting.value
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_MAJOR else None


def _unusable(setting: Setting, known: Mapping[str, Fact]) -> Finding:
    if setting.value == "0":
        return Finding(
            "major.zero", SUBJECT, NOTE, f"{setting.place} lets the kernel choose the major", facts=known
        )
    text = f"{setting.place} gives the major as {setting.value!r}: a number from 1 to {MOST_MAJOR} is needed"
    return Finding("major.unusable", SUBJECT, PROBLEM, text, f"correct {setting.path}", facts=known)


def _unheard(setting: Setting, now: int | None, known: Mapping[str, Fact]) -> Finding:
    has = f", and has major {now}" if now is not None else ""
    text = (
        f"{setting.place} asks for major {setting.value}; the device mapper is built in{has}, so that has no effect"
    )
    remedy = f"put dm_mod.major={setting.value} on the kernel's command line and reboot, or delete that line"
    return Finding("major.unheard", SUBJECT, PROBLEM, text, remedy, facts=known)


def _later(asked: Setting | None, wanted: int | None, facts: Facts, known: Mapping[str, Fact]) -> list[Finding]:
    if asked is None or wanted is None:
        text = "devices have no major number: the device mapper is not loaded"
        return [Finding("major.none", SUBJECT, NOTE, text, facts=known)]
    if facts.taken.get(wanted, NAME) != NAME:
        text = f"{asked.place} asks for major {wanted}, which {facts.taken[wanted]} has: the module will not load"
        remedy = f"choose a number that is free in {asked.path}"
        return [Finding("major.taken", SUBJECT, PROBLEM, text, remedy, facts=known)]
    text = f"devices will have major {wanted} once the module is loaded ({asked.place})"
    return [Finding("major.later", SUBJECT, OK, text, facts=known)]
