"""Subject ``settings``: settings in the configuration that vmgr does not obey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.doctor.finding import NOTE, OK, WARNING, Finding

if TYPE_CHECKING:
    from vmgr.system.config import Config

SUBJECT = "settings"


@frozen
class Facts:
    """``known`` is whether the configuration could be read. ``disregarded``: name, value, reason, and whether data
    depend on it."""

    known: bool = False
    conf: str = ""
    disregarded: tuple[tuple[str, str, str, bool], ...] = ()


def gather(config: Config | None) -> Facts:
    """Compare the configuration with the settings that vmgr obeys."""
    if config is None:
        return Facts()
    from vmgr.system.disregarded import DISREGARDED, reason
    from vmgr.system.without_effect import disregarded, shown

    return Facts(
        True,
        f"{config.system_dir}/lvm.conf" if config.system_dir else "",
        tuple(
            (path, shown(value), reason(path), path in DISREGARDED and DISREGARDED[path].data)
            for path, value in disregarded(config)
        ),
    )


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings, one for each setting without effect."""
    if not facts.known:
        return ()  # the subject lvm2 says why
    if not facts.disregarded:
        return (Finding("settings.obeyed", SUBJECT, OK, "vmgr obeys every setting that is not at its default"),)
    where = facts.conf or "the configuration"
    return tuple(
        Finding(
            "settings.disregarded",
            SUBJECT,
            WARNING if data else NOTE,
            f"{path} = {value} has no effect: {why}",
            f"do not rely on it, or remove it from {where}" if data else "",
            facts={"setting": path, "value": value},
        )
        for path, value, why, data in facts.disregarded
    )
