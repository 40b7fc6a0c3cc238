"""Names in requests become identities: the one place where that is done, before an operation or a plugin sees them.

Which fields of a request hold names is said by the fields themselves (:data:`~vmgr.core.requests.NAMES` in their
metadata), which options of a plugin do by its :class:`~vmgr.core.hooks.OptionSpec` (the kind ``volume``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from vmgr.core.errors import NotFound, Refused
from vmgr.core.ids import Tag, Uuid, printed_uuid
from vmgr.core.requests import NAMES, PVS, VOLUME, PvRange

if TYPE_CHECKING:
    from vmgr.core.group_requests import GroupRequest
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import Options, OptionValue
    from vmgr.core.targets import Targets
    from vmgr.core.view import GroupView, PvView

R = TypeVar("R", bound="GroupRequest")

Number = Callable[[str], tuple[int, int] | None]
"""What tells the (major, minor) of the device on a path, so that any of its paths will do; None: there is none."""


def no_number(path: str) -> tuple[int, int] | None:
    """Nothing is known but what the view says."""
    return None


def resolve(view: GroupView, request: R, targets: Targets, number: Number = no_number) -> R:
    """The request with UUIDs in the place of names, and :class:`PvRange` values in that of physical volumes.

    What is resolved already stays as it is. Raises :class:`NotFound` for what the group does not have,
    :class:`Refused` for a tag that nothing carries and for extents that are named twice, and
    :class:`InvalidSize` for ranges that cannot be read.
    """
    found: dict[str, object] = {}
    for attribute in type(request).__attrs_attrs__:
        kind = attribute.metadata.get(NAMES)
        value = getattr(request, attribute.name)
        if kind is None or value is None or value == ():
            continue
        if kind == VOLUME:
            found[attribute.name] = volume_id(view.group, value)
        elif kind == PVS:
            found[attribute.name] = pv_ranges(view, value, number)
        else:
            found[attribute.name] = _options(view.group, value, targets)
    return evolve(request, **found)  # type: ignore[arg-type]


def volume_id(group: VolumeGroup, name: str) -> Uuid:
    """The UUID of the volume that is called ``name``, ``vg/name``, or its UUID as reports print it.

    Raises :class:`NotFound`, and :class:`Refused` for a volume of another group.
    """
    if isinstance(name, Uuid):
        return name
    vg, slash, lv = name.partition("/")
    if slash and vg != group.name:
        raise Refused(
            f"{name} is not a volume of volume group {group.name}", hint="name volumes of one group in one request"
        )
    lv = lv if slash else name
    uuid = printed_uuid(lv)
    if uuid is not None and lv not in group.lv_by_name and uuid in group.lv_by_id:
        return uuid
    return group.volume(lv).id


def pv_ranges(view: GroupView, named: Iterable[str | PvRange], number: Number = no_number) -> tuple[PvRange, ...]:
    """Physical volumes to allocate from, as identities: see :func:`resolve`."""
    from vmgr.core.sizes import parse_pv_ranges, split_pv_argument

    found: list[PvRange] = []
    spans_of: dict[Uuid, list[tuple[int, int]]] = {}
    members = Members((view,), number)
    for word in named:
        if isinstance(word, PvRange):
            one, device = word, view.group.pv_by_id[word.pv].device
        elif word.startswith("@"):
            tagged = [pv for pv in view.group.pvs if Tag(word[1:]) in pv.tags]
            if not tagged:
                raise Refused(f"no physical volume of {view.group.name} carries the tag {word}")
            found += [PvRange(pv.id) for pv in tagged]
            continue
        else:
            path, ranges = split_pv_argument(word)
            pv = members.of(view, path)
            count = view.group.pv_by_id[pv.id].pe_count
            one, device = PvRange(pv.id, parse_pv_ranges(ranges, count) if ranges else ()), pv.device
        last = int(view.group.pv_by_id[one.pv].pe_count) - 1
        spans = [(int(first), int(end)) for first, end in one.ranges] or [(0, last)]
        for first, end in spans:
            for a, b in spans_of.get(one.pv, ()):
                if first <= b and a <= end:
                    raise Refused(
                        f"overlapping PE ranges specified ({a}-{b}, {first}-{end}) on {device}",
                        hint="name each physical volume, or each range of its extents, once",
                    )
        spans_of.setdefault(one.pv, []).extend(spans)
        found.append(one)
    return tuple(found)


def _options(group: VolumeGroup, options: Options, targets: Targets) -> Options:
    """Options with those that name volumes resolved."""
    volumes = {o.name for info in targets.infos() for o in info.options if o.kind == VOLUME}
    if not volumes:
        return options

    def one(name: str, value: OptionValue) -> OptionValue:
        if name not in volumes:
            return value
        if isinstance(value, tuple):
            return tuple(one(name, each) for each in value)
        return volume_id(group, value) if isinstance(value, str) else value

    return tuple((name, one(name, value)) for name, value in options)


class Members:
    """The physical volumes of groups, to be found by any path of their devices, or by UUID."""

    def __init__(self, views: Iterable[GroupView], number: Number = no_number) -> None:
        self._number = number
        self._by_path: dict[str, tuple[GroupView, PvView]] = {}
        self._by_number: dict[tuple[int, int], tuple[GroupView, PvView]] = {}
        self._by_uuid: dict[Uuid, tuple[GroupView, PvView]] = {}
        for view in views:
            for pv in view.pvs.values():
                found = view, pv
                self._by_uuid.setdefault(pv.id, found)
                self._by_number.setdefault((pv.major, pv.minor), found)
                for path in (pv.device, *pv.aliases):
                    self._by_path.setdefault(path, found)

    def find(self, device: str) -> tuple[GroupView, PvView] | None:
        """The group and its physical volume on ``device``; None if it is in none of these groups."""
        found = self._by_path.get(device)
        if found is not None:
            return found
        uuid = device if isinstance(device, Uuid) else printed_uuid(device)
        if uuid is not None and uuid in self._by_uuid:
            return self._by_uuid[uuid]
        number = self._number(device)
        return None if number is None else self._by_number.get(number)

    def of(self, view: GroupView, device: str) -> PvView:
        """The physical volume on ``device``, of the only group. Raises :class:`NotFound`."""
        found = self.find(device)
        if found is None:
            raise NotFound(
                f'physical volume "{device}" not found in volume group "{view.group.name}"',
                hint=f"pvs -S vg_name={view.group.name} lists the ones that are",
            )
        return found[1]
