"""What lvm.conf says about which volumes may be activated, and how space is allocated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.allocate import AllocationRules
    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import Options
    from vmgr.system.config import Config


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


def option_defaults(config: Config) -> Options:
    """What lvm.conf says of options of target plugins where the user says nothing."""
    return (("stripesize", Sectors(config.number("metadata/stripesize") * 2)),)


def may_activate(config: Config, group: VolumeGroup, volume: LogicalVolume) -> bool:
    """Whether ``activation/volume_list`` lets the volume be activated at all."""
    return _listed(config, "activation/volume_list", group.name, volume.name, (*group.tags, *volume.tags))


def auto_activates(config: Config, vg: str, lv: str, tags: Iterable[str]) -> bool:
    """Whether a volume is one to activate without being asked for (``-aay``)."""
    return _listed(config, "activation/auto_activation_volume_list", vg, lv, tags)
