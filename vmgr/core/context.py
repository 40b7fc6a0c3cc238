"""What surrounds a change: all that a plugin may know beyond the group and the request, as one frozen value.

Part of the contract in :mod:`vmgr.core.hooks`. Loaded when something is changed, not when volumes are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen

from vmgr.core.errors import PluginError
from vmgr.core.exchange import Placed
from vmgr.core.hooks import NOTHING_LIVE, PLAIN_ROLE, SettingValue
from vmgr.core.requests import Stamp
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from vmgr.core.exchange import Built, Run, SpaceNeeds
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import Claimed, PvRange, ReduceVolume

NeedsOf = Callable[[Extents], "SpaceNeeds"]
"""What space a gain of so many extents needs. The allocator may ask several times, to find what would fit."""


class Place(Protocol):
    """Finds space; pure."""

    def __call__(
        self,
        needs_of: NeedsOf,
        *,
        extents: Extents | None = None,
        group: VolumeGroup | None = None,
        pvs: tuple[PvRange, ...] | None = None,
    ) -> Placed:
        """Space for what ``needs_of`` says that the request's size needs.

        ``extents`` in the place of the request's size; ``group`` for one in which the plugin has used space
        already; ``pvs`` in the place of the request's. Raises :class:`vmgr.core.errors.NoSpace`.
        """


class Makers(Protocol):
    """Has requests carried out by whatever plugin they are for."""

    def change(self, group: VolumeGroup, request: Claimed | ReduceVolume, context: Context) -> Built:
        """What the plugin makes of ``request``."""


@frozen
class Machine:
    """What is known of the machine beside its live devices.

    ``settings``: by key, those of lvm.conf and of vmgr's own file that plugins declared. ``missing``: the group's
    physical volumes that are not there. ``versions``: of the kernel's targets that are loaded or could be.
    ``tools``: by the names of :class:`vmgr.core.hooks.ToolSpec`, paths of the programs that are installed. The
    mappings may be read when they are asked, so what no plugin looks at costs nothing.
    """

    settings: Mapping[str, SettingValue] = {}
    missing: frozenset[Uuid] = frozenset()
    versions: Mapping[str, tuple[int, int, int]] = {}
    tools: Mapping[str, str] = {}


NO_MACHINE = Machine()
"""For a caller that knows nothing: settings are the defaults that plugins declared."""


class _NoStamp(Stamp):
    """Of an operation that was given none."""

    def uuid(self, n: int) -> Uuid:
        """There is none."""
        raise PluginError("a plugin wants to make a volume where the caller gave no stamp for one")


NO_STAMP: Stamp = _NoStamp(b"", 0, "")


def no_place(needs_of: NeedsOf, **_: object) -> Placed:
    """For what takes no space. Raises :class:`PluginError`."""
    raise PluginError("a plugin asks for space for a request that takes none")


@frozen
class Context:
    """What a hook that changes something may know.

    ``volume`` is the one that the request is about: for a creation new and without segments (name, tags, status,
    times set), otherwise as it is, for a :class:`~vmgr.core.requests.ChangeVolume` as the core has changed it, for
    a removal the first. ``extents`` is what the request's size comes to: of a
    creation or extension the gain, of a reduction the new length; 0 where it has none. ``live`` is what the
    kernel has of the group, with tables, and with status where the plugin reads that. Helpers take their UUIDs from
    ``stamp.uuid(1)`` on. ``settings`` are those that the plugin declared, with their defaults.
    ``machine`` has the rest.
    """

    volume: LogicalVolume
    makers: Makers
    stamp: Stamp = NO_STAMP
    live: Live = NOTHING_LIVE
    machine: Machine = NO_MACHINE
    settings: Mapping[str, SettingValue] = {}
    extents: Extents = Extents(0)
    place: Place = no_place

    def number(self, key: str) -> int:
        """A setting that the plugin declared as a number, a percentage, a flag or a size (sectors)."""
        value = self.settings[key]
        assert isinstance(value, int)
        return value

    @property
    def missing(self) -> frozenset[Uuid]:
        """The group's physical volumes that are not there."""
        return self.machine.missing

    @property
    def versions(self) -> Mapping[str, tuple[int, int, int]]:
        """By name, the versions of the kernel's targets."""
        return self.machine.versions

    @property
    def tools(self) -> Mapping[str, str]:
        """By the name that a plugin declared, the paths of programs that are installed."""
        return self.machine.tools

    def make(
        self,
        group: VolumeGroup,
        request: Claimed | ReduceVolume,
        volume: LogicalVolume,
        part: int,
        *,
        runs: tuple[Run, ...] | None = None,
        place: Place | None = None,
        extents: Extents | None = None,
    ) -> Built:
        """Make or change ``volume`` as ``request`` says, by whatever plugin that is for, for a target to lie on.

        For plain space the request's ``type`` is None. ``part`` numbers such parts of one change. ``runs`` is space
        that was granted already; ``place`` finds it, so that the plugin can have its say in what is needed;
        ``extents`` in the place of this context's. Its notes are among those of what is returned.
        """
        if runs is not None:
            place = granted(runs)
        inner = evolve(
            self,
            volume=volume,
            stamp=self.stamp.part(part) if self.stamp is not NO_STAMP else NO_STAMP,
            place=place or self.place,
            extents=self.extents if extents is None else extents,
        )
        return self.makers.change(group, request, inner)


def granted(runs: tuple[Run, ...]) -> Place:
    """A :class:`Place` that gives plain volumes ``runs``, whatever they need."""

    def place(needs_of: NeedsOf, **_: object) -> Placed:
        return Placed({PLAIN_ROLE: runs}, Extents.total(run.extents * len(run.areas) for run in runs))

    return place
