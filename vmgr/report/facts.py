"""The data for rows: the context of a report, and facts that are computed once for each group.

Reports must be fast for ten thousand volumes. So plugins are called, and devices looked up, only for
volumes about which a plugin may have facts (:attr:`GroupFacts.described`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmgr.core.errors import PluginError
from vmgr.core.model import PvArea, SegmentBody, UnknownBody
from vmgr.core.naming import UUID_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vmgr.core.hooks import Status, VolumeFacts
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, PhysicalVolume, Segment, VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.units import Sectors
    from vmgr.core.view import GroupView

    KernelReadAhead = Callable[[int, int], int | None]
    """Gives the read-ahead, in sectors, of the device with these numbers."""

POLICY_LETTERS = {
    "contiguous": "c", "cling": "l", "cling_by_tags": "t", "normal": "n", "anywhere": "a", "inherit": "i",
}  # fmt: skip
"""How ``lv_attr`` and ``vg_attr`` write allocation policies (``lib/display/display.c``)."""


class Context:
    """The data of all rows of a report: formats of values, the kernel's devices, and the target plugins.

    ``known`` is False if the kernel could not or must not be asked which volumes are active.
    """

    __slots__ = (
        "attrs", "binary", "dev_dir", "known", "live", "mark_hidden", "read_ahead", "separator", "size", "targets",
        "time_format", "unknown_device",
    )  # fmt: skip

    def __init__(
        self,
        targets: Targets,
        size: Callable[[Sectors], str],
        live: Mapping[str, LiveDevice] | None,
        settings: Mapping[str, str | int],
        *,
        binary: bool = False,
        dev_dir: str = "/dev",
        read_ahead: KernelReadAhead | None = None,
    ) -> None:
        self.targets = targets
        self.size = size
        self.live: Mapping[str, LiveDevice] = live or {}
        self.known = live is not None
        self.binary = binary or bool(settings.get("binary_values_as_numeric", 0))
        self.dev_dir = dev_dir.rstrip("/")
        self.mark_hidden = bool(settings.get("mark_hidden_devices", 1))
        self.unknown_device = "unknown device" if settings.get("two_word_unknown_device", 0) else "[unknown]"
        self.separator = str(settings.get("list_item_separator", ","))
        self.time_format = str(settings.get("time_format", DEFAULT_TIME_FORMAT))
        self.read_ahead = read_ahead
        self.attrs: dict[tuple[tuple[str, ...], tuple[str, ...], str], str] = {}


DEFAULT_TIME_FORMAT = "%Y-%m-%d %T %z"
"""How times are shown unless lvm.conf's ``report/time_format`` says otherwise."""


class Facts:
    """The target plugins' facts about a volume or segment: letters, and values by column."""

    __slots__ = ("health", "kind", "segtype", "state", "target", "values", "zero")

    def __init__(self, facts: VolumeFacts) -> None:
        self.segtype = facts.segtype
        self.kind = facts.kind
        self.target = facts.target
        self.state = facts.state
        self.zero = facts.zero
        self.health = facts.health
        self.values: dict[str, object] = {}
        for name, value in facts.values:
            before = self.values.get(name)
            if isinstance(before, tuple) and isinstance(value, tuple):
                # Several plugins, or several volumes that lie on this one, add to a list.
                value = before + tuple(v for v in value if v not in before)
            self.values[name] = value


class GroupFacts:
    """One group of the view, with further facts for reports, computed on first use."""

    __slots__ = (
        "_described", "_facts", "_missing", "_origins", "_partial", "_prefix", "_segtypes", "_suffixed", "_used",
        "ctx", "extent_size", "group", "name", "view",
    )  # fmt: skip

    def __init__(self, ctx: Context, view: GroupView) -> None:
        self.ctx = ctx
        self.view = view
        self.group: VolumeGroup = view.group
        self.name = str(view.group.name)
        self.extent_size = int(view.group.extent_size)
        self._used: dict[Uuid, int] | None = None
        self._described: set[Uuid] | None = None
        self._facts: dict[tuple[Uuid, int], Facts] = {}
        self._missing: frozenset[Uuid] | None = None
        self._partial: set[Uuid] | None = None
        self._origins: dict[Uuid, Uuid] | None = None
        self._segtypes: dict[type[SegmentBody], str] = {}
        self._prefix = f"{UUID_PREFIX}{view.group.id}"
        self._suffixed: dict[str, LiveDevice] | None = None

    # -- what volumes lie on ----------------------------------------------------------------------

    @property
    def used(self) -> dict[Uuid, int]:
        """Extents in use on each physical volume."""
        if self._used is None:
            used = {pv.id: 0 for pv in self.group.pvs}
            for lv in self.group.lvs:
                shape = lv.shape
                if shape is not None:
                    used[shape.pv] = int.__add__(used.get(shape.pv, 0), lv.size)
                    continue
                for segment in lv.segments:
                    for area in segment.body.areas:
                        if type(area) is PvArea:
                            used[area.pv] = int.__add__(used.get(area.pv, 0), area.length)
            self._used = used
        return self._used

    @property
    def referrers(self) -> dict[Uuid, tuple[LogicalVolume, ...]]:
        """Volumes that lie on or refer to each volume."""
        return self.group.referrers

    @property
    def allocated(self) -> int:
        """Extents in use in the group."""
        return sum(self.used.values())

    def free_of(self, pv: PhysicalVolume) -> int:
        """Extents of a physical volume that no segment occupies; 0 if invalid metadata uses more than there are."""
        return max(0, int(pv.pe_count) - self.used.get(pv.id, 0))

    @property
    def free(self) -> int:
        """Extents in the group that no segment occupies."""
        return sum(self.free_of(pv) for pv in self.group.pvs)

    @property
    def extents(self) -> int:
        """Extents of all physical volumes."""
        return sum(int(pv.pe_count) for pv in self.group.pvs)

    # -- what is missing --------------------------------------------------------------------------

    @property
    def missing(self) -> frozenset[Uuid]:
        """Physical volumes that were not found."""
        if self._missing is None:
            self._missing = frozenset(pv.id for pv in self.view.missing)
        return self._missing

    def is_partial(self, lv: LogicalVolume) -> bool:
        """Whether part of the volume lies, directly or through other volumes, on a missing physical volume."""
        if not self.missing:
            return False
        if self._partial is None:
            todo = [
                v for v in self.group.lvs
                if any(type(a) is PvArea and a.pv in self.missing for s in v.segments for a in s.body.areas)
            ]  # fmt: skip
            found: set[Uuid] = set()
            while todo:
                volume = todo.pop()
                if volume.id not in found:
                    found.add(volume.id)
                    todo.extend(self.referrers.get(volume.id, ()))
            # A snapshot's origin is partial with it, as in LVM2, but not the origin's other snapshots.
            by_id, companions = self.group.lv_by_id, self.ctx.targets.companions
            with_them = {c for v in found for c in self._asked((), companions, self.group, by_id[v])}
            self._partial = found | with_them
        return lv.id in self._partial

    # -- names ------------------------------------------------------------------------------------

    def device(self, pv: Uuid) -> str:
        """The path of a physical volume's device."""
        view = self.view.pvs.get(pv)
        return view.device if view is not None else self.ctx.unknown_device

    def lv_name(self, lv: Uuid) -> str:
        """A volume's name as cells show it: in brackets if it is hidden."""
        volume = self.group.lv_by_id.get(lv)
        if volume is None:
            return ""
        return f"[{volume.name}]" if self.ctx.mark_hidden and not volume.visible else volume.name

    # -- what the kernel and the plugins say ------------------------------------------------------

    def live(self, lv: LogicalVolume) -> LiveDevice | None:
        """The volume's device; None if it is not active.

        For a volume that no plugin understands, any of its devices counts.
        """
        live = self.ctx.live
        if not live:
            return None
        device = live.get(self._prefix + lv.id)
        if device is None and lv.shape is None and lv.segments and (layer := lv.segments[0].body.own_layer):
            device = live.get(f"{self._prefix}{lv.id}-{layer}")
        if device is None and lv.shape is None and any(isinstance(s.body, UnknownBody) for s in lv.segments):
            device = self._by_volume.get(lv.id)
        return device

    @property
    def _by_volume(self) -> dict[str, LiveDevice]:
        """The devices whose UUID has a suffix, by their volume's UUID; of several, that with the most openers."""
        if self._suffixed is None:
            start, end = len(self._prefix), len(self._prefix) + 32
            found: dict[str, LiveDevice] = {}
            for uuid, device in self.ctx.live.items():
                if uuid.startswith(self._prefix):
                    other = found.get(uuid[start:end])
                    if other is None or other.open_count < device.open_count:
                        found[uuid[start:end]] = device
            self._suffixed = found
        return self._suffixed

    @property
    def described(self) -> set[Uuid]:
        """Volumes for which plugins may have facts that are not about single segments."""
        if self._described is None:
            quiet = {body: info.quiet for info in self.ctx.targets.infos() for body in info.bodies}
            found = set(self.referrers)
            for body, lvs in self.group.by_body.items():
                if not quiet.get(body, False):
                    found.update([lv.id for lv in lvs])
            self._described = found
        return self._described

    def has_status(self) -> bool:
        """Whether a plugin reads the kernel status of any volume."""
        targets = self.ctx.targets
        return any(targets.has_status(body) for body in self.group.by_body)

    def facts(self, lv: LogicalVolume) -> Facts | None:
        """The plugins' facts about the volume as a whole, from its first segment; None if there are none.

        A later segment of another type provides letters that the first one leaves open. For example, a linear
        volume that ends in a zero segment is a virtual one.
        """
        if lv.id not in self.described or not lv.segments:
            return None
        first = lv.segments[0]
        facts = self.segment_facts(lv, first)
        if not facts.kind:
            for segment in lv.segments[1:]:
                if type(segment.body) is not type(first.body):
                    more = self.segment_facts(lv, segment)
                    if more.kind:
                        facts.kind, facts.target = more.kind, facts.target or more.target
                        break
        return facts

    def segment_facts(self, lv: LogicalVolume, segment: Segment) -> Facts:
        """The plugins' facts about a segment."""
        key = (lv.id, int(segment.start))
        facts = self._facts.get(key)
        if facts is None:
            status = self._status(lv, segment)
            described = self.ctx.targets.describe(self.group, lv, segment, status)
            facts = self._facts[key] = Facts(described)
        return facts

    def _status(self, lv: LogicalVolume, segment: Segment) -> Status | None:
        live = self.ctx.live
        if not live or lv.id not in self.described or self.live(lv) is None:
            return None
        device = live.get(self._asked("", self.ctx.targets.status_device, self.group, lv, live))
        if device is None or not device.status:
            return None
        lines = device.status
        if len(lines) > 1:
            # Of several segments each shows its own line; of a layer above them there is one.
            start = int(segment.start) * self.extent_size
            own = tuple(line for line in lines if line.start == start)
            lines = own or lines
        status: Status | None = self._asked(None, self.ctx.targets.parse_status, self.group, lv, lines)
        return status

    def segtype(self, lv: LogicalVolume, segment: Segment) -> str:
        """The word for a segment's type."""
        body = segment.body
        if isinstance(body, UnknownBody):
            return body.type_word
        return self.segment_facts(lv, segment).segtype

    def is_bookkeeping(self, lv: LogicalVolume) -> bool:
        """Whether a hidden volume is only part of another's metadata, without a device: such are never listed."""
        from vmgr.core.errors import UnclaimedSegment

        if lv.visible or lv.id not in self.described:
            return False
        try:
            lines = self.ctx.targets.segment_lines
            return not any(self._asked((True,), lines, self.group, lv, s) for s in lv.segments)
        except UnclaimedSegment:
            return False

    def _asked(self, default: Any, question: Callable[..., Any], *args: object) -> Any:
        """The plugins' answer to a question; ``default`` if a plugin fails, which is then left out."""
        try:
            return question(*args)
        except PluginError as error:
            self.ctx.targets.leave_out(error)
            return default

    # -- families ---------------------------------------------------------------------------------

    @property
    def origins(self) -> dict[Uuid, Uuid]:
        """The origin of each volume that has one."""
        if self._origins is None:
            self._origins = {}
            for lv in self.group.lvs:
                facts = self.facts(lv)
                origin = facts.values.get("origin") if facts else None
                if isinstance(origin, str) and origin in self.group.lv_by_id:
                    self._origins[lv.id] = self.group.lv_by_id[origin].id  # type: ignore[index]
        return self._origins

    def ancestors(self, lv: LogicalVolume) -> Iterator[str]:
        """Names of the volume's origin, the origin's origin, and so on."""
        origins = self.origins
        seen = {lv.id}
        at = origins.get(lv.id)
        while at is not None and at not in seen:
            seen.add(at)
            yield self.group.lv_by_id[at].name
            at = origins.get(at)

    def descendants(self, lv: LogicalVolume, seen: frozenset[Uuid] = frozenset()) -> Iterator[str]:
        """Names of the volumes whose origin is this one, each followed by its own descendants."""
        for child, origin in self.origins.items():
            if origin == lv.id and child not in seen:
                volume = self.group.lv_by_id[child]
                yield volume.name
                yield from self.descendants(volume, seen | {lv.id, child})
