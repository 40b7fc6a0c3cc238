"""Subject ``udev``: whether udevd runs, and whether the device mapper's and LVM2's rules are installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.dm.udev import NODE_RULES, RULES, RULES_DIRS, UdevState, udev_state
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding
from vmgr.doctor.roots import Roots

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECT = "udev"
LVM_RULES = ("11-dm-lvm.rules", "56-lvm.rules")
"""The names of the file whose rules make the links of volumes: LVM2's own, and Debian's."""


@frozen
class Facts:
    """``state`` is the library's; ``lvm_rules`` is a path, or empty; ``lvm_masked`` is the file that hides it."""

    state: UdevState
    lvm_rules: str = ""
    lvm_masked: str = ""
    container: bool = False


def gather(roots: Roots, environ: Mapping[str, str] | None = None, *, container: bool = False) -> Facts:
    """Look for udevd and for rules."""
    environ = os.environ if environ is None else environ
    directories = tuple(roots.at(directory) for directory in RULES_DIRS)
    state = udev_state(
        roots.dev, environ, control=f"{roots.run}/udev/control", directories=directories, proc=roots.proc
    )
    if roots.prefix:
        state = state._replace(elsewhere=False)
    rules = masked = ""
    for name in LVM_RULES:
        for directory in directories:
            path = f"{directory}/{name}"
            if not os.path.lexists(path):
                continue
            if os.path.isfile(path) and os.path.getsize(path):
                rules = rules or path
            else:
                masked = masked or path
            break
    return Facts(state, rules, "" if rules else masked, container)


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about udev."""
    state = facts.state
    known: dict[str, Fact] = {
        "running": state.running,
        "node_rules": state.node_rules or None,
        "notify_rules": state.notify_rules or None,
        "lvm_rules": facts.lvm_rules or None,
        "masked": state.masked,
    }
    if not state.running:
        host = " (in a container it is the host's)" if facts.container else ""
        text = f"udevd does not run{host}: vmgr makes nodes and links itself"
        remedy = "" if facts.container else "systemctl start systemd-udevd  # if it should run"
        found = [Finding("udev.not-running", SUBJECT, NOTE, text, remedy, facts=known)]
        return (*found, *_settings(state))
    found = [Finding("udev.running", SUBJECT, OK, "udevd runs", facts=known)]
    package = "install the package with the device mapper's rules (dmsetup in Debian, device-mapper elsewhere)"
    rules = ((state.node_rules, "names", NODE_RULES), (state.notify_rules, "notify", (RULES,)))
    for path, id, files in rules:
        what = "makes names in /dev/mapper" if id == "names" else "tells commands that udev is done"
        mask = next((m for m in state.masked if os.path.basename(m) in files), "")
        if path:
            continue
        if mask:
            text = f"the rule that {what} is masked by {mask}: vmgr does without udev"
            found.append(Finding(f"udev.{id}-masked", SUBJECT, PROBLEM, text, f"rm {mask}", facts={"file": mask}))
        else:
            text = f"the rule that {what} ({files[0]}) is missing: vmgr does without udev"
            found.append(Finding(f"udev.{id}-missing", SUBJECT, PROBLEM, text, package, facts={"file": files[0]}))
    if state.broken:
        text = f"{state.notify_rules} runs {state.broken}, which is missing: cookies are never completed"
        found.append(
            Finding("udev.notify-broken", SUBJECT, PROBLEM, text, package, facts={"program": state.broken})
        )
    if state.node_rules and state.notify_rules and not state.broken:
        files_text = f"{state.node_rules} and {os.path.basename(state.notify_rules)}"
        found.append(Finding("udev.rules", SUBJECT, OK, f"the device mapper's rules are there: {files_text}"))
    found += _lvm(facts)
    return (*found, *_settings(state))


def _lvm(facts: Facts) -> list[Finding]:
    if facts.lvm_rules:
        return [Finding("udev.lvm-rules", SUBJECT, OK, f"LVM2's rules are there: {facts.lvm_rules}")]
    if facts.lvm_masked:
        text = f"the rule that makes links of volumes is masked by {facts.lvm_masked}; vmgr makes them itself"
        remedy = f"rm {facts.lvm_masked}"
        return [Finding("udev.lvm-masked", SUBJECT, WARNING, text, remedy, facts={"file": facts.lvm_masked})]
    text = "LVM2's rules are not installed; vmgr makes the links of volumes itself"
    return [Finding("udev.lvm-missing", SUBJECT, NOTE, text, "install lvm2, if udev should make the links")]


def _settings(state: UdevState) -> list[Finding]:
    found = []
    if state.disabled:
        text = "DM_DISABLE_UDEV is set: commands in this environment work without udev"
        found.append(Finding("udev.disabled", SUBJECT, NOTE, text, "unset DM_DISABLE_UDEV"))
    if state.elsewhere:
        text = "the device directory is not /dev (DM_DEV_DIR): udev does not manage it"
        found.append(Finding("udev.elsewhere", SUBJECT, NOTE, text, "unset DM_DEV_DIR"))
    return found
