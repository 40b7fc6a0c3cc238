"""From a request to what plugins make of it. Loaded when something is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Never

from attrs import evolve

from vmgr.core.errors import Refused, UsageError
from vmgr.core.exchange import Built
from vmgr.core.guard import broken
from vmgr.core.requests import OptionValues
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from vmgr.core.context import Context
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, Segment, SegmentBody, VolumeGroup
    from vmgr.core.registered import Plugin
    from vmgr.core.requests import Request


def refused(plugin: Plugin) -> Never:
    """Raise :class:`Refused` for a request that its plugin makes nothing of."""
    raise Refused(
        f"target {plugin.info.name} does nothing of the kind",
        hint=f"`vmgr plugins {plugin.info.name}` tells what it does",
    )


def asked(plugins: Iterable[Plugin], group: VolumeGroup, request: Request, context: Context) -> Built | None:
    """What the first of ``plugins`` makes of ``request`` that makes anything of it."""
    return next(iter(answers(plugins, group, request, context, first=True)), None)


def answers(
    plugins: Iterable[Plugin], group: VolumeGroup, request: Request, context: Context, *, first: bool = False
) -> tuple[Built, ...]:
    """What each of ``plugins`` makes of ``request``; of those that make anything of it only the ``first``.

    Raises :class:`UsageError` for options that none of them has asked for, and :class:`PluginError` where two
    change one volume.
    """
    given = getattr(request, "options", ())
    outermost = bool(given) and not isinstance(given, OptionValues)
    noted = OptionValues(given)
    if outermost:
        request = evolve(request, options=noted)  # type: ignore[arg-type]
        _require_one_of_each(plugins, noted)
    found: list[Built] = []
    by: dict[Uuid, Plugin] = {}
    names: list[str] = []
    for plugin in plugins:
        names.append(plugin.info.name)
        built = _answer(plugin, group, request, context)
        if built is None:
            continue
        for lv in (*(lv.id for lv in built.volumes), *built.removed):
            if by.setdefault(lv, plugin) is not plugin:
                what = f"its hook change changes a volume that {by[lv].name!r} changes, too"
                raise broken(plugin.name, plugin.source, what, hook="change")
        found.append(built)
        if first:
            break
    if outermost and (left := noted.unread()):
        words = ", ".join(f"--{word}" for word in left)
        raise UsageError(
            f"a {' or '.join(names) or 'plain'} volume takes no {words} here", hint="leave the option out"
        )
    return tuple(found)


def _require_one_of_each(plugins: Iterable[Plugin], given: OptionValues) -> None:
    """Raise :class:`UsageError` for two options of a group of which one may be given."""
    groups = {o.name: o.group for p in plugins for o in p.info.options if o.group}
    first: dict[str, str] = {}
    for name, _ in given:
        group = groups.get(name)
        other = first.setdefault(group, name) if group else name
        if other != name:
            raise UsageError(f"--{other} and --{name} exclude each other", hint="give one of them")


def _answer(plugin: Plugin, group: VolumeGroup, request: Request, context: Context) -> Built | None:
    hook = plugin.hook("change")
    if hook is None:
        return None
    built: Built | None = hook(group, request, with_settings(plugin, context))
    return built


def with_settings(plugin: Plugin, context: Context) -> Context:
    """The context with the settings that a plugin declared."""
    known = context.machine.settings
    settings = {spec.key: known.get(spec.key, spec.default) for spec in plugin.info.settings}
    return evolve(context, settings=settings) if settings else context


Cut = Callable[["VolumeGroup", "Segment", Extents, Extents], "SegmentBody"]
"""Gives the body of so many extents of a segment from one of its extents on."""


def cut(part: Cut, group: VolumeGroup, volume: LogicalVolume, new: Extents) -> Built:
    """``volume`` with its segments cut to ``new`` extents. Raises :class:`Refused` if a target cannot be cut."""
    kept = []
    for segment in volume.segments:
        if segment.end <= new:
            kept.append(segment)
        elif segment.start < new:
            length = new - segment.start
            kept.append(evolve(segment, length=length, body=part(group, segment, Extents(0), length)))
    return Built((evolve(volume, segments=tuple(kept)),), (volume.id,), wipe=(), activate=())
