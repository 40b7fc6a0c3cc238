"""What lvm.conf says about which volumes may be activated, and how space is allocated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.allocate import AllocationRules
    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.hooks import SettingSpec, SettingValue
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.system.config import Config, Value


def allocation_rules(config: Config) -> AllocationRules:
    """The settings of the ``allocation`` section that the allocator follows."""
    from vmgr.core.allocate import AllocationRules

    return AllocationRules(
        cling_tags=tuple(tag.removeprefix("@") for tag in config.words("allocation/cling_tag_list")),
        maximise_cling=config.flag("allocation/maximise_cling"),
    )


def _listed(config: Config, setting: str, vg: str, lv: str, tags: Iterable[str]) -> bool:
    """Whether a volume is in a list of lvm.conf; a list that is not set holds everything (``lvm.conf(5)``)."""
    words = config.words_if_set(setting)
    if words is None:
        return True
    held = set(tags)
    for word in words:
        if word == "@*":
            if held & set(config.host_tags):
                return True
        elif word.startswith("@"):
            if word[1:] in held:
                return True
        elif word in (vg, f"{vg}/{lv}"):
            return True
    return False


def device_rules(config: Config, group: VolumeGroup, read_ahead: Mapping[Uuid, Sectors]) -> DeviceRules:
    """What the ``activation`` section says of devices. ``read_ahead`` is that of the physical volumes' devices."""
    from vmgr.core.devicerules import DeviceRules

    listed: frozenset[Uuid] = frozenset()
    if config.words_if_set("activation/read_only_volume_list") is not None:
        listed = frozenset(
            lv.id
            for lv in group.lvs
            if _listed(config, "activation/read_only_volume_list", group.name, lv.name, (*group.tags, *lv.tags))
        )
    return DeviceRules(listed, read_ahead, no_read_ahead=not reads_ahead(config))


def reads_ahead(config: Config) -> bool:
    """Whether volumes without a read-ahead of their own get the kernel's (``activation/readahead``).

    Raises :class:`ConfigError` for a word that is neither "auto" nor "none".
    """
    word = config.text("activation/readahead").lower()
    if word not in ("auto", "none"):
        from vmgr.core.errors import ConfigError

        raise ConfigError(
            f'invalid activation/readahead "{word}" in the configuration', hint='set it to "auto" or "none"'
        )
    return word == "auto"


def plugin_settings(config: Config, specs: Iterable[SettingSpec]) -> dict[str, SettingValue]:
    """What the configuration says of the settings that plugins declared, by key.

    What it leaves open, and what is not of the declared kind (that is warned of), is not among them.
    """
    found: dict[str, SettingValue] = {}
    for spec in specs:
        value = config.raw(spec.key)
        if value is None:
            continue
        made, kind = _setting(value, spec)
        if made is None:
            config.ignored(spec.key, kind)
        else:
            found[spec.key] = made
    return found


def _setting(value: Value, spec: SettingSpec) -> tuple[SettingValue | None, str]:
    """A value of the configuration as a plugin declared it, None for another kind; and what that kind is called."""
    from vmgr.system.config import as_flag

    if spec.kind == "flag":
        return as_flag(value), "yes or no (1 or 0)"
    if spec.kind == "word":
        return (value if isinstance(value, str) else None), "a string"
    if spec.kind == "words":
        words = (value,) if isinstance(value, str) else value
        fit = isinstance(words, tuple) and all(isinstance(word, str) for word in words)
        return (words if fit else None), "a list of strings"  # type: ignore[return-value]
    if not isinstance(value, int) or isinstance(value, bool):
        return None, "a whole number"
    if spec.kind == "percent":
        return (value if 0 <= value <= 100 else None), "a percentage (0 to 100)"
    return (Sectors(value * spec.unit) if spec.kind == "size" else value), ""


def may_activate(config: Config, group: VolumeGroup, volume: LogicalVolume) -> bool:
    """Whether ``activation/volume_list`` lets the volume be activated at all."""
    return _listed(config, "activation/volume_list", group.name, volume.name, (*group.tags, *volume.tags))


def auto_activates(config: Config, vg: str, lv: str, tags: Iterable[str]) -> bool:
    """Whether a volume is one to activate without being asked for (``-aay``)."""
    return _listed(config, "activation/auto_activation_volume_list", vg, lv, tags)
