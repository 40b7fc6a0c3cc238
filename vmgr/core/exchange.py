"""Values that hooks exchange about space and volumes: asked for, granted, built, checked, mapped.

Part of the contract in :mod:`vmgr.core.hooks`, and apart from it because a command that only lists volumes needs
none of them, and each attrs class costs half a millisecond of its start. A plugin best imports them
inside the hooks that make one.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from vmgr.core.ids import Uuid
from vmgr.core.model import Area, LogicalVolume, PvArea
from vmgr.core.tools import ToolRun, WaitUntil
from vmgr.core.units import Extents, Sectors


@frozen
class Need:
    """Space that a request needs, in one role.

    ``areas`` runs of ``extents`` each, side by side (a stripe set, mirror legs). ``distinct`` asks for
    a different PV for each of them; ``avoid`` for none of these PVs; ``with_role`` for
    the PVs that the same-numbered areas of that role got. ``after`` are the areas that
    the new ones continue: ``contiguous`` must start where they end, ``cling`` stays on their PVs.
    ``whole`` forbids splitting an area into several runs.
    """

    role: str
    areas: int
    extents: Extents
    distinct: bool = True
    avoid: tuple[Uuid, ...] = ()
    with_role: str = ""
    after: tuple[PvArea, ...] = ()
    whole: bool = False


@frozen
class SpaceNeeds:
    """What a request needs: ``extents`` is the volume's gain after rounding; ``notes`` say what was rounded.

    ``step`` is the multiple (in extents of the volume's length) that the size must have; the allocator uses it to
    name the largest size that would fit.
    """

    extents: Extents
    needs: tuple[Need, ...]
    step: int = 1
    notes: tuple[str, ...] = ()


@frozen
class Run:
    """``extents`` extents in each of ``areas``, which lie side by side."""

    areas: tuple[PvArea, ...]

    @property
    def extents(self) -> Extents:
        """The length of each area."""
        return self.areas[0].length


Grant = Mapping[str, "tuple[Run, ...]"]
"""What the allocator gave: for each role its runs, in the order of the volume's extents."""


@frozen
class ZeroRange:
    """Sectors of a physical volume to be zeroed before the commit, counted from the start of ``area``."""

    area: PvArea
    start: Sectors
    length: Sectors


@frozen
class Placed:
    """Space that was granted.

    ``grant``: for each role its runs, in the order of the volume's extents. ``extents`` is the volume's gain, as
    :class:`SpaceNeeds` has it; where less was granted of a percentage, the runs are shorter. ``notes`` say what was
    rounded: they belong into :attr:`Built.notes`.
    """

    grant: Grant
    extents: Extents
    notes: tuple[str, ...] = ()


@frozen
class Built:
    """The outcome of a change.

    ``volumes`` are new ones and changed ones (same UUID); ``mains`` are those that the user asked for, the one
    that the request names first. ``removed`` are volumes that go. ``zero`` is done before the commit: use it for
    headers that the kernel will read (they lie in space that was free until now, so nothing is lost if the
    commit never comes). ``wipe`` are volumes to be wiped before anybody sees them, ``activate`` those to be
    activated on their own account (others are active with a companion, or not at all); None: what of the mains
    is new. ``needs_active`` are volumes that the change needs to be active, such as one that gets a message:
    they are activated for the command, and put back after it. ``tools`` are programs that are run before the
    commit, ``waits`` states of devices that are waited for after it (:mod:`vmgr.core.tools`). ``done`` is said
    at the end, in LVM2's manner; None: what the core says of such a request.
    """

    volumes: tuple[LogicalVolume, ...]
    mains: tuple[Uuid, ...]
    removed: tuple[Uuid, ...] = ()
    zero: tuple[ZeroRange, ...] = ()
    wipe: tuple[Uuid, ...] | None = None
    activate: tuple[Uuid, ...] | None = None
    needs_active: tuple[Uuid, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    waits: tuple[WaitUntil, ...] = ()
    notes: tuple[str, ...] = ()
    done: tuple[str, ...] | None = None

    @property
    def main(self) -> Uuid:
        """The volume that the request names."""
        return self.mains[0]


@frozen
class TargetMessage:
    """``text`` for the target at sector 0 of the device whose device-mapper UUID is ``device``.

    It is sent after the commit, once the device's table is live, before anything new that lies on the device is
    loaded, and while the devices ``suspended`` are; but not if the status of the device's first line begins
    with ``unless``, because then it has been sent before (a power cut may come before that is written down).
    """

    device: str
    text: str
    unless: str = ""
    suspended: tuple[str, ...] = ()


@frozen
class Violation:
    """A broken rule of the volume model, in words for a person."""

    subject: str
    rule: str


@frozen
class MappedRange:
    """Where ``length`` sectors of a volume from its sector ``start`` lie: in ``area``, from sector ``offset``."""

    start: Sectors
    length: Sectors
    area: Area
    offset: Sectors
