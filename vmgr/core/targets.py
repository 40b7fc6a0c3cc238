"""The typed facade around pluggy: finds the one plugin that a thing belongs to and calls its hook.

pluggy's own hook calls run every plugin, last registered first, and are untyped; a volume manager
needs exactly one answer, and an error that names the plugins when there is none or there are
two. So each hook implementation is called through the plugin that was chosen, and nothing else in vmgr calls hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from vmgr.core.errors import PluginError, Refused, UnclaimedSegment
from vmgr.core.guard import broken
from vmgr.core.hooks import (
    NOTHING_LIVE,
    KernelTarget,
    Live,
    Names,
    Status,
    TargetInfo,
    VolumeFacts,
)
from vmgr.core.model import Fields, FieldValue, LogicalVolume, Segment, SegmentBody, UnknownBody, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.registered import LeftOut, Plugin, register

if TYPE_CHECKING:
    from collections.abc import Collection

    from vmgr.core.context import Context
    from vmgr.core.exchange import Built, MappedRange, TargetMessage, Violation
    from vmgr.core.hooks import Pending, SettingSpec, ToolSpec
    from vmgr.core.ids import Uuid
    from vmgr.core.requests import (
        ChangeVolume,
        Claimed,
        FinishVolume,
        ReduceVolume,
        RemoveVolumes,
        Request,
        TakeBack,
    )
    from vmgr.core.table import DmDevice, KernelLine, TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.tools import ToolRun
    from vmgr.core.units import Extents, Sectors

NO_FIELDS: frozenset[str] = frozenset()


def _has_volumes(plugin: Plugin, group: VolumeGroup) -> bool:
    """Whether a group has volumes of the plugin."""
    return not group.by_body.keys().isdisjoint(plugin.info.bodies)


def _wrong_fields(keys: list[str], declared: frozenset[str]) -> str:
    """What is wrong with the fields of a section that is to be written."""
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        return f"its hook encode_segment gave the field {twice[0]!r} twice"
    undeclared = next(key for key in keys if key not in declared)
    return f"its hook encode_segment gave the field {undeclared!r}, which it does not declare in TargetInfo.fields"


class Targets:
    """All registered target plugins. Nothing changes once it is built, but that a plugin may be left out."""

    def __init__(
        self,
        plugins: Iterable[tuple[str, object]],
        sources: Mapping[str, str] | None = None,
        left_out: LeftOut | None = None,
    ) -> None:
        """Register ``plugins``, pairs of an entry-point name and a plugin object.

        ``sources`` has the distributions of those that are not vmgr's own. A plugin that breaks the contract,
        now or when a hook is called, goes to ``left_out``; without that it is a :class:`PluginError`.
        """
        self.left_out = LeftOut() if left_out is None else left_out
        self._plugins = register(plugins, sources or {}, self.left_out)
        if sources:
            from vmgr.core.conflicts import without_conflicts

            self._plugins = without_conflicts(self._plugins, self.left_out)
        self.send_messages = any(p.has("messages") for p in self._plugins)
        self._uniform: dict[str, bool] = {}
        self._readers: dict[str, list[tuple[Plugin, frozenset[str], Callable[..., Any]]]] = {}
        self._by_body: dict[type[SegmentBody], Plugin] = {}
        self._by_kernel: dict[str, Plugin] = {}
        for plugin in self._plugins:
            for word in plugin.info.segment_types:
                reader = (plugin, plugin.info.fields, plugin.hooks["decode_segment"])
                self._readers.setdefault(word, []).append(reader)
                self._uniform[word] = self._uniform.get(word, True) and plugin.info.uniform
            for body in plugin.info.bodies:
                self._own(self._by_body, body, plugin)
            for target in plugin.info.kernel_targets:
                self._by_kernel.setdefault(target.name, plugin)

    @staticmethod
    def _own(table: dict[Any, Plugin], key: Any, plugin: Plugin) -> None:
        other = table.setdefault(key, plugin)
        if other is not plugin:
            raise PluginError(f"plugins {other.name!r} and {plugin.name!r} both declare {key.__name__}")

    def leave_out(self, error: PluginError, *, again: bool = True) -> None:
        """Do without the plugin of ``error`` from now on.

        Raises ``error`` where it cannot be done without, and unless ``again`` where it has been left out before.
        """
        plugin = next((p for p in self._plugins if error.plugin in (p.name, p.info.name)), None)
        if plugin is None or (plugin.fault is not None and not again):
            raise error
        if not error.source and plugin.source:
            error = broken(plugin.name, plugin.source, error.message)
        if plugin.fault is None:
            self.left_out.add(error)
            plugin.fault = error

    # -- what there is ----------------------------------------------------------------------------

    def infos(self) -> tuple[TargetInfo, ...]:
        """The declarations of all plugins that are not left out, in the order of registration."""
        return tuple(p.info for p in self._plugins if p.fault is None)

    def entry_points(self) -> dict[str, str]:
        """By each plugin's own name, the name under which it was registered: that of its entry point."""
        return {p.info.name: p.name for p in self._plugins}

    def owner(self, body: SegmentBody) -> TargetInfo | None:
        """The declaration of the plugin that ``body`` belongs to; None for an unknown type."""
        plugin = self._by_body.get(type(body))
        return plugin.info if plugin else None

    def _of(self, body: SegmentBody) -> Plugin:
        plugin = self._by_body.get(type(body))
        if plugin is None:
            word = body.type_word if isinstance(body, UnknownBody) else type(body).__name__
            raise UnclaimedSegment(
                f"no installed plugin knows segment type {word!r}",
                hint="`vmgr plugins` lists what is installed; install the plugin for this type",
            )
        return plugin

    def _around(self, group: VolumeGroup, volume: LogicalVolume) -> list[Plugin]:
        """Plugins of the volume's own segments, then those whose segments lie on it or refer to it."""
        found: dict[str, Plugin] = {}
        for lv in (volume, *group.referrers.get(volume.id, ())):
            for segment in lv.segments:
                plugin = self._by_body.get(type(segment.body))
                if plugin is not None:
                    found.setdefault(plugin.name, plugin)
        return list(found.values())

    # -- a segment on disk ------------------------------------------------------------------------

    def decode(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
    ) -> tuple[SegmentBody, Fields]:
        """Turn a section into (body, fields that its plugin does not know).

        An unclaimed section becomes an :class:`UnknownBody`. Two claims raise :class:`UnclaimedSegment`.
        """
        readers = self._readers.get(type_word)
        if readers is None:
            readers = self._readers.get(type_word.partition("+")[0], [])
        body: SegmentBody | None = None
        claimed: Plugin | None = None
        known = NO_FIELDS
        for plugin, fields_known, decode in readers:
            if plugin.fault is not None:
                continue
            try:
                found = decode(type_word, length, fields, names)
            except PluginError as error:
                self.leave_out(error)
                continue
            if found is None:
                continue
            if claimed is not None:
                self._both_claim(claimed, plugin, f"segments of type {type_word!r}")
                return self.decode(type_word, length, fields, names)
            body, claimed, known = found, plugin, fields_known
        if body is None:
            return UnknownBody(type_word, tuple(fields.items())), ()
        if fields.keys() <= known:
            return body, ()
        return body, tuple((k, v) for k, v in fields.items() if k not in known)

    def _both_claim(self, one: Plugin, other: Plugin, words: str) -> None:
        from vmgr.core.conflicts import rivals

        for error in rivals(one, other, words):
            self.leave_out(error)

    def uniform(self, type_word: str) -> bool:
        """Whether all plugins that may claim sections of this type promise to be :attr:`TargetInfo.uniform`."""
        return self._uniform.get(type_word, False)

    def encode(self, body: SegmentBody, names: Names) -> tuple[str, Fields]:
        """The type word and fields of ``body``, in LVM2's order."""
        if isinstance(body, UnknownBody):
            return body.type_word, body.fields
        plugin = self._of(body)
        encoded: tuple[str, Fields] = plugin.hooks["encode_segment"](body, names)
        keys = [key for key, _ in encoded[1]]
        if len(set(keys)) != len(keys) or not plugin.info.fields.issuperset(keys):
            raise self.blame(body, _wrong_fields(keys, plugin.info.fields))
        return encoded

    def blame(self, body: SegmentBody | None, what: str) -> PluginError:
        """The error of the plugin of ``body``: it broke the contract by ``what``."""
        plugin = None if body is None else self._by_body.get(type(body))
        if plugin is None:
            return PluginError(f"a plugin breaks the plugin contract: {what}")
        return broken(plugin.name, plugin.source, what)

    def group_read(self, group: VolumeGroup) -> VolumeGroup:
        """The group as it is meant, from one as its text says it."""
        for plugin in self._plugins:
            if plugin.has("group_read") and plugin.fault is None and _has_volumes(plugin, group):
                group = plugin.hooks["group_read"](group)
        return group

    def group_written(self, group: VolumeGroup) -> VolumeGroup:
        """The group as its text says it: the inverse of :meth:`group_read`."""
        for plugin in self._plugins:
            hook = plugin.hook("group_written") if _has_volumes(plugin, group) else None
            if hook is not None:
                group = hook(group)
        return group

    # -- making and changing ----------------------------------------------------------------------

    def check_request(self, group: VolumeGroup, volume: LogicalVolume, request: Request, context: Context) -> None:
        """Raise what a plugin has against ``request`` being made of ``volume``."""
        for plugin in self._around(group, volume):
            hook = plugin.hook("check_request")
            if hook is not None:
                hook(group, volume, request, context)

    def size_limit(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Extents, str] | None:
        """How long ``volume`` may become, with a note for who asked for more; None: as long as there is space."""
        found: tuple[Extents, str] | None = None
        for plugin in self._around(group, volume):
            hook = plugin.hook("size_limit")
            limit = hook(group, volume) if hook else None
            if limit is not None and (found is None or limit[0] < found[0]):
                found = limit
        return found

    def choose(self, group: VolumeGroup, request: Claimed) -> TargetInfo:
        """The plugin that ``request`` is for."""
        return self._chosen(group, request).info

    def _chosen(self, group: VolumeGroup, request: Claimed) -> Plugin:
        """A plugin that raises while it is asked is left out, and the others are asked again."""
        from vmgr.core.choosing import chosen

        while True:
            try:
                return chosen(tuple(p for p in self._plugins if p.fault is None), self._of, group, request)
            except PluginError as error:
                self.leave_out(error)

    def change(self, group: VolumeGroup, request: Claimed | ReduceVolume, context: Context) -> Built:
        """What the plugin that ``request`` is for makes of it. Raises :class:`Refused` where it makes nothing."""
        from vmgr.core.changing import asked, cut, refused
        from vmgr.core.requests import ReduceVolume

        if isinstance(request, ReduceVolume):
            plugin = self._of(context.volume.segments[-1].body)
            built = asked((plugin,), group, request, context)
            return built or cut(self.cut, group, context.volume, context.extents)
        plugin = self._chosen(group, request)
        return asked((plugin,), group, request, context) or refused(plugin)

    def changes(
        self,
        group: VolumeGroup,
        volumes: Collection[LogicalVolume],
        request: RemoveVolumes | ChangeVolume,
        context: Context,
    ) -> tuple[Built, ...]:
        """What the plugins around ``volumes`` make of ``request`` beyond what the core does."""
        from vmgr.core.changing import answers

        around = {p.name: p for volume in volumes for p in self._around(group, volume)}
        return answers(around.values(), group, request, context)

    def pending(self, group: VolumeGroup) -> tuple[tuple[LogicalVolume, Pending], ...]:
        """What the metadata of the group's volumes say is not done yet."""
        found: list[tuple[LogicalVolume, Pending]] = []
        for plugin in self._plugins:
            hook = plugin.hook("pending") if plugin.has("pending") and plugin.fault is None else None
            if hook is None:
                continue
            for body in plugin.info.bodies:
                for volume in group.by_body.get(body, ()):
                    found.extend((volume, each) for each in hook(group, volume))
        return tuple(found)

    def has_pending(self, group: VolumeGroup) -> bool:
        """Whether the group has volumes of which a plugin may say that something is not done yet."""
        return any(b in group.by_body for p in self._plugins if p.has("pending") for b in p.info.bodies)

    def pending_status(
        self, group: VolumeGroup, volume: LogicalVolume, pending: Pending, live: Live
    ) -> Status | None:
        """The status that something pending in ``volume`` waits for, None where the kernel does not tell of it.

        Only what the volume's own plugin reads counts: of a merge that has not begun the origin's own lines say
        that all is well.
        """
        of = group.lv_by_id.get(volume.id if pending.on is None else pending.on)
        device = live.get(self.status_device(group, of, live)) if of is not None else None
        own = {p.name for s in volume.segments if (p := self._by_body.get(type(s.body))) is not None}
        for line in (device.status or ()) if device is not None else ():
            plugin = self._by_kernel.get(line.target)
            if plugin is not None and plugin.name in own:
                assert of is not None
                assert device is not None
                return self.parse_status(group, of, device.status or ())
        return None

    def own_change(self, group: VolumeGroup, request: FinishVolume | TakeBack, context: Context) -> Built | None:
        """What the plugins of the volume itself make of what the core tells them, if anything."""
        from vmgr.core.changing import asked

        own = {p.name: p for s in context.volume.segments if (p := self._by_body.get(type(s.body))) is not None}
        return asked(own.values(), group, request, context)

    def settings(self) -> tuple[SettingSpec, ...]:
        """The settings that plugins obey."""
        return tuple(spec for plugin in self._plugins for spec in plugin.info.settings)

    def tools(self) -> tuple[ToolSpec, ...]:
        """The programs that plugins have run."""
        return tuple(spec for plugin in self._plugins for spec in plugin.info.tools)

    def join(self, group: VolumeGroup, first: Segment, second: Segment) -> SegmentBody | None:
        """The body of one segment in the place of two neighbours, or None."""
        if type(first.body) is not type(second.body) or isinstance(first.body, UnknownBody):
            return None
        hook = self._of(first.body).hook("join_segments")
        body: SegmentBody | None = hook(group, first, second) if hook else None
        return body

    def cut(self, group: VolumeGroup, segment: Segment, start: Extents, length: Extents) -> SegmentBody:
        """The body of a part of ``segment``. Raises :class:`Refused` if its target cannot be cut."""
        plugin = self._of(segment.body)
        hook = plugin.hook("cut_segment")
        if hook is None:
            raise Refused(f"a {plugin.info.name} segment cannot be made shorter")
        body: SegmentBody = hook(group, segment, start, length)
        return body

    def removed_with(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
        """Volumes that go when ``volume`` goes (not those that go with these in turn)."""
        found: dict[Uuid, None] = {}
        plugins = self._around(group, volume)
        for plugin in plugins:
            hook = plugin.hook("removed_with")
            for lv in hook(group, volume) if hook else ():
                found.setdefault(lv)
        own = {p.name for s in volume.segments if (p := self._by_body.get(type(s.body)))}
        if not any(p.has("removed_with") for p in plugins if p.name in own):
            by_id = group.lv_by_id
            below = [r.lv for r in volume.references()]
            below += [a.lv for a in volume.areas() if hasattr(a, "lv")]
            for lv in below:
                if not by_id[lv].visible:
                    found.setdefault(lv)
        return tuple(found)

    def check_volume(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Violation, ...]:
        """Rules of its targets that ``volume`` breaks."""
        found: list[Violation] = []
        seen: set[str] = set()
        for segment in volume.segments:
            plugin = self._by_body.get(type(segment.body))
            if plugin is None or plugin.name in seen:
                continue
            seen.add(plugin.name)
            hook = plugin.hook("check_volume")
            if hook is not None:
                found.extend(hook(group, volume))
        return tuple(found)

    # -- in the kernel ----------------------------------------------------------------------------

    def segment_lines(self, group: VolumeGroup, volume: LogicalVolume, segment: Segment) -> tuple[TargetLine, ...]:
        """The table lines of one segment."""
        lines: tuple[TargetLine, ...] = self._of(segment.body).hooks["segment_lines"](group, volume, segment)
        return lines

    def exclusive(self, volume: LogicalVolume) -> bool:
        """Whether a target of the volume must not run twice at once."""
        for segment in volume.segments:
            plugin = self._by_body.get(type(segment.body))
            if plugin is not None and plugin.info.exclusive:
                return True
        return False

    def layers(
        self,
        group: VolumeGroup,
        volume: LogicalVolume,
        base: DmDevice,
        live: Live = NOTHING_LIVE,
        start: bool = False,
    ) -> tuple[DmDevice, ...]:
        """The devices that ``volume`` becomes, lowest first.

        Layers fold over each other, by the ranks of their plugins: each wraps the uppermost device of those below.
        Two that make the same device raise :class:`UnclaimedSegment`.
        """
        found: list[DmDevice] = []
        top = base
        by: dict[str, str] = {}
        for plugin in sorted(self._around(group, volume), key=lambda plugin: plugin.info.rank):
            hook = plugin.hook("layers")
            if hook is None:
                continue
            devices: tuple[DmDevice, ...] = hook(group, volume, top, live, start)
            if devices == (top,):
                continue
            if not devices:
                raise broken(plugin.name, plugin.source, "its hook layers returned no device", hook="layers")
            for device in devices[:-1]:
                other = by.setdefault(device.uuid, plugin.name)
                if other != plugin.name:
                    raise UnclaimedSegment(
                        f"plugins {other} and {plugin.name} both make the device {device.name} of {volume.name}"
                    )
            found += devices[:-1]
            top = devices[-1]
        return (*found, top)

    def before_activation(
        self, group: VolumeGroup, volumes: Collection[Uuid], context: Context
    ) -> tuple[ToolRun, ...]:
        """Programs that are run before ``volumes``, of which none is active, are activated."""
        plugins = [p for p in self._plugins if p.has("before_activation")]
        bodies = [(p, body) for p in plugins for body in p.info.bodies if body in group.by_body]
        from vmgr.core.changing import with_settings

        found: list[ToolRun] = []
        for plugin, body in bodies:
            hook = plugin.hook("before_activation")
            for volume in group.by_body[body]:
                if hook is not None and volume.id in volumes:
                    found += hook(group, volume, with_settings(plugin, evolve(context, volume=volume)))
        return tuple(found)

    def checks_activation(self, group: VolumeGroup) -> bool:
        """Whether a plugin may want a program to be run before volumes of the group are activated."""
        return any(b in group.by_body for p in self._plugins if p.has("before_activation") for b in p.info.bodies)

    def may_change(self, group: VolumeGroup, part: LogicalVolume, request: Request) -> bool:
        """Whether a plugin of what lies above a hidden volume lets ``request`` be made of it."""
        for above in group.referrers.get(part.id, ()):
            for segment in above.segments:
                plugin = self._by_body.get(type(segment.body))
                hook = plugin.hook("may_change") if plugin else None
                if hook is not None and hook(group, above, part, request):
                    return True
        return False

    def companions(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
        """Volumes that must be active whenever ``volume`` is."""
        found: dict[Uuid, None] = {}
        for plugin in self._around(group, volume):
            hook = plugin.hook("companions")
            for lv in hook(group, volume) if hook else ():
                found.setdefault(lv)
        return tuple(found)

    def messages(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[TargetMessage, ...]:
        """Messages that devices of ``volume`` shall get once their tables are live."""
        found: list[TargetMessage] = []
        for plugin in self._around(group, volume) if self.send_messages else ():
            hook = plugin.hook("messages")
            if hook is not None:
                found.extend(hook(group, volume))
        return tuple(found)

    def status_device(self, group: VolumeGroup, volume: LogicalVolume, live: Live = NOTHING_LIVE) -> str:
        """The device-mapper UUID of the device whose status is the volume's."""
        for plugin in self._around(group, volume):
            hook = plugin.hook("status_device")
            uuid: str | None = hook(group, volume, live) if hook else None
            if uuid is not None:
                return uuid
        return dm_uuid(group.id, volume.id)

    def has_status(self, body: type[SegmentBody]) -> bool:
        """Whether the plugin of such bodies reads status lines: asking for them costs a call a device."""
        plugin = self._by_body.get(body)
        return plugin is not None and plugin.has("parse_status")

    def status(self, group: VolumeGroup, volume: LogicalVolume, live: Live) -> Status | None:
        """The status of a volume, None where it is not active or the kernel was not asked for status."""
        device = live.get(self.status_device(group, volume, live))
        if device is None or not device.status:
            return None
        return self.parse_status(group, volume, device.status)

    def parse_status(self, group: VolumeGroup, volume: LogicalVolume, lines: tuple[KernelLine, ...]) -> Status:
        """Read the status lines of a volume's device, by the plugin of the first line that one reads."""
        for line in lines:
            plugin = self._by_kernel.get(line.target)
            hook = plugin.hook("parse_status") if plugin else None
            if hook is not None:
                status: Status = hook(group, volume, lines)
                return status
        return Status()

    def kernel_target(self, name: str) -> KernelTarget | None:
        """What a plugin declares about a target of the kernel; None where none knows it."""
        plugin = self._by_kernel.get(name)
        found = () if plugin is None else plugin.info.kernel_targets
        return next((target for target in found if target.name == name), None)

    def table_types(self) -> tuple[type[TableType], ...]:
        """The types of lines that plugins provide, without those of a plugin that breaks the contract by them."""
        found: dict[str, tuple[Plugin, type[TableType]]] = {}
        for plugin in self._plugins:
            try:
                for each in self._types_of(plugin):
                    other, _ = found.setdefault(each.target, (plugin, each))
                    if found[each.target][1] is not each:
                        self._both_claim(other, plugin, f"lines of {each.target!r}")
            except PluginError as error:
                self.leave_out(error)
        return tuple(each for plugin, each in found.values() if plugin.fault is None)

    @staticmethod
    def _types_of(plugin: Plugin) -> tuple[type[TableType], ...]:
        hook = plugin.hooks.get("table_types") if plugin.fault is None else None
        types: tuple[type[TableType], ...] = hook() if hook else ()
        own = {target.name for target in plugin.info.kernel_targets}
        for each in types:
            name = getattr(each, "target", None)
            if name not in own:
                what = f"it has a type for lines of {name!r}, which is not one of its kernel targets"
                raise broken(plugin.name, plugin.source, what, hook="table_types")
        return types

    # -- for people -------------------------------------------------------------------------------

    def describe(
        self, group: VolumeGroup, volume: LogicalVolume, segment: Segment, status: Status | None
    ) -> VolumeFacts:
        """What reports say of ``segment`` of ``volume``, with what volumes that refer to it add."""
        if isinstance(segment.body, UnknownBody):
            return VolumeFacts(segment.body.type_word)
        plugin = self._of(segment.body)
        nothing = VolumeFacts(plugin.info.name)
        facts = self._described(plugin, group, volume, segment, status) or nothing
        for other in group.referrers.get(volume.id, ()):
            for theirs in other.segments:
                owner = self._by_body.get(type(theirs.body))
                more = self._described(owner, group, volume, theirs, status) if owner else None
                if more is None:
                    continue
                facts = evolve(
                    facts,
                    kind=more.kind or facts.kind,
                    target=more.target or facts.target,
                    state=more.state or facts.state,
                    zero=more.zero or facts.zero,
                    health=more.health or facts.health,
                    values=facts.values + more.values,
                )
        return facts

    def _described(
        self,
        plugin: Plugin,
        group: VolumeGroup,
        volume: LogicalVolume,
        segment: Segment,
        status: Status | None,
    ) -> VolumeFacts | None:
        """What one plugin says of a segment; None where it says nothing, or fails and is left out."""
        hook = plugin.hooks.get("describe")
        if hook is None or plugin.fault is not None:
            return None
        try:
            facts: VolumeFacts = hook(group, volume, segment, status)
            if facts.values:
                plugin.require_declared("describe", facts.values)
        except PluginError as error:
            self.leave_out(error)
            return None
        return facts

    def map_read(
        self, group: VolumeGroup, segment: Segment, start: Sectors, length: Sectors
    ) -> tuple[MappedRange, ...] | None:
        """Where sectors of a segment lie, or None if that takes a kernel."""
        hook = self._of(segment.body).hook("map_read")
        ranges: tuple[MappedRange, ...] | None = hook(group, segment, start, length) if hook else None
        return ranges
