"""The abilities of a kernel's device mapper; part of the subject ``kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.doctor.configure import enable
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding
from vmgr.doctor.roots import dotted, version_of

if TYPE_CHECKING:
    from vmgr.dm.module import ModuleState
    from vmgr.doctor.kernelfacts import Facts

SUBJECT = "kernel"
SKIP_LOCKFS = (4, 5, 0)
"""The interface with the flag that leaves freezing out (``DM_SKIP_LOCKFS_FLAG``)."""

_COOKIES = "SYSVIPC"


def interface(facts: Facts) -> list[Finding]:
    """The version of the ioctl interface."""
    if not facts.interface:
        if not facts.running or not facts.registered:
            return []
        return [
            Finding(
                "kernel.interface-unknown",
                SUBJECT,
                NOTE,
                f"its interface was not asked: {facts.why_not_asked or 'no answer'}",
                facts={"why": facts.why_not_asked},
            )
        ]
    text = dotted(facts.interface)
    known: dict[str, Fact] = {"interface": text}
    if facts.interface[0] != 4:
        return [
            Finding(
                "kernel.interface-generation",
                SUBJECT,
                PROBLEM,
                f"its device mapper has interface {text}; vmgr supports 4",
                "use a kernel since 2.6 (a patch for 2.4 with interface 4 will do)",
                facts=known,
            )
        ]
    return [Finding("kernel.interface", SUBJECT, OK, f"its ioctl interface is {text}", facts=known)]


def freezing(facts: Facts) -> list[Finding]:
    """Whether a suspend brings the file system into a consistent state: the VFS lock patch of 2003."""
    version = version_of(facts.release)
    known: dict[str, Fact] = {
        "release": facts.release,
        "interface": dotted(facts.interface) or None,
        "skip": facts.interface >= SKIP_LOCKFS if facts.interface else None,
    }
    if version and version < (2, 5):
        tree = facts.tree
        if tree is not None and tree.has_source and tree.has_lock:
            text = "file systems are frozen on suspend: the VFS lock patch is applied"
            return [Finding("kernel.freeze", SUBJECT, OK, text, facts=known)]
        remedy = "apply the VFS lock patch (make apply-patches in the device mapper's source); ext2 can do without"
        sure = tree is not None and tree.has_source
        return [
            Finding(
                "kernel.freeze-missing",
                SUBJECT,
                PROBLEM if sure else WARNING,
                "file systems are not frozen on suspend, so a snapshot may need a check: no VFS lock patch"
                if sure
                else f"Linux {dotted(version)} freezes file systems only with the VFS lock patch",
                remedy,
                facts=known,
            )
        ]
    if not version:
        return []
    skip = ""
    if facts.interface:
        had = facts.interface >= SKIP_LOCKFS
        skip = "" if had else f"; --nolockfs needs interface {dotted(SKIP_LOCKFS)}"
    return [
        Finding(
            "kernel.freeze",
            SUBJECT,
            OK,
            f"file systems are frozen on suspend (the VFS lock patch is in Linux since 2.6){skip}",
            facts=known,
        )
    ]


def loading(module: ModuleState) -> list[Finding]:
    """Lines in modprobe.d that change how the module is loaded."""
    found = []
    for setting in module.settings:
        if module.state == "built-in" or setting.kind == "major":
            continue
        if setting.kind == "blacklist":
            text = f"{setting.place} keeps the module from being loaded automatically"
            state = WARNING
        else:
            text = f"{setting.place} runs a command instead of loading the module: {setting.value}"
            state = NOTE
        remedy = f"delete line {setting.line} of {setting.path}, if that is not intended"
        found.append(Finding(f"kernel.{setting.kind}", SUBJECT, state, text, remedy))
    return found


def surroundings(facts: Facts) -> list[Finding]:
    """Other parts of the configuration that vmgr uses."""
    config = facts.config
    assert config is not None
    if config.knows(_COOKIES) and config.value(_COOKIES) == "n":
        return [
            Finding(
                "kernel.no-semaphores",
                SUBJECT,
                WARNING,
                f"CONFIG_{_COOKIES} is not set in {config.source}: no command can wait for udev, so vmgr makes"
                " nodes itself",
                enable(facts, _COOKIES),
                facts={"symbol": _COOKIES},
            )
        ]
    return []
