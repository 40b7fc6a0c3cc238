"""Which plugin a request is for. Loaded when such a request is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmgr.core.errors import Refused, UnclaimedSegment, UsageError
from vmgr.core.hooks import Claim
from vmgr.core.requests import Claimed, ConvertVolume, CreateVolume, ExtendVolume, RepairVolume

if TYPE_CHECKING:
    from vmgr.core.model import SegmentBody, VolumeGroup
    from vmgr.core.registered import Plugin

Owner = Callable[["SegmentBody"], "Plugin"]
_COMMANDS = {
    CreateVolume: ("lvcreate",),
    ExtendVolume: ("lvextend", "lvresize"),
    ConvertVolume: ("lvconvert",),
    RepairVolume: ("lvconvert",),
}
"""The commands that make such requests."""


def chosen(plugins: tuple[Plugin, ...], owner: Owner, group: VolumeGroup, request: Claimed) -> Plugin:
    """The plugin that ``request`` is for. ``owner`` tells whose a segment is.

    Raises :class:`UsageError` when none takes it, saying why (:class:`UnknownKind` for its type), and
    :class:`UnclaimedSegment` when two do.
    """
    word = getattr(request, "type", None)
    commands = frozenset(_COMMANDS[type(request)])
    if word is not None and not any(word in p.info.types for p in plugins):
        from vmgr.core.kinds import unknown_type

        raise unknown_type(word, {t for p in plugins for t in p.info.types}, min(commands))
    strong: list[Plugin] = []
    weak: list[Plugin] = []
    refused: list[tuple[Plugin, set[str]]] = []
    given = {name for name, _ in request.options}
    for plugin in _able(plugins, owner, group, request):
        unknown = given - _accepted(plugins, plugin, commands)
        if unknown:
            refused.append((plugin, unknown))
            continue
        claim = _claim(owner, group, request, plugin)
        if claim == Claim.YES:
            strong.append(plugin)
        elif claim == Claim.IF_NOBODY_ELSE:
            weak.append(plugin)
    claims = strong or weak
    if len(claims) == 1:
        return claims[0]
    if claims:
        raise UnclaimedSegment(f"plugins {' and '.join(p.name for p in claims)} both claim this request")
    if isinstance(request, ConvertVolume):
        raise UsageError("no plugin offers this conversion", hint="`vmgr lvconvert --help` tells what they offer")
    for plugin, unknown in refused:
        if _claim(owner, group, request, plugin) != Claim.NO:
            words = ", ".join(f"--{name}" for name in sorted(unknown))
            raise UsageError(
                f"a {plugin.info.name} volume takes no {words}",
                hint="give --type to say what to make, or leave the option out",
            )
    raise UsageError("these options do not fit together", hint="give --type to say what to make")


def _able(plugins: tuple[Plugin, ...], owner: Owner, group: VolumeGroup, request: Claimed) -> tuple[Plugin, ...]:
    """The plugins that may be asked: all, or for an extension those that may follow the last segment."""
    if not isinstance(request, ExtendVolume):
        return plugins
    segments = group.lv_by_id[request.lv].segments
    if not segments:
        return plugins
    last = owner(segments[-1].body)
    found = tuple(p for p in plugins if p is last or (last.info.plain and p.info.plain))
    if request.type is not None and not any(request.type in p.info.types for p in found):
        raise Refused(
            f"volume {group.lv_by_id[request.lv].name} is of type {last.info.name}"
            f" and cannot go on as {request.type}"
        )
    return found


def _claim(owner: Owner, group: VolumeGroup, request: Claimed, plugin: Plugin) -> int:
    """What a plugin says of a request."""
    hook = plugin.hook("claim")
    claim: int | None = hook(group, request) if hook else None
    return _usual(owner, group, request, plugin) if claim is None else claim


def _usual(owner: Owner, group: VolumeGroup, request: Claimed, plugin: Plugin) -> int:
    """The claim of a plugin that has no opinion of its own."""
    if isinstance(request, CreateVolume):
        return Claim.YES if request.type in plugin.info.types else Claim.NO
    if isinstance(request, ConvertVolume):
        if not request.options and request.type is None:
            return Claim.NO
        if not plugin.has("change") or (request.type is not None and request.type not in plugin.info.types):
            return Claim.NO
        return Claim.YES if _is_around(group, request, plugin) else Claim.IF_NOBODY_ELSE
    if isinstance(request, ExtendVolume) and request.type is not None:
        return Claim.YES if request.type in plugin.info.types else Claim.NO
    segments = group.lv_by_id[request.lv].segments
    return Claim.YES if segments and owner(segments[-1].body) is plugin else Claim.NO


def _is_around(group: VolumeGroup, request: ConvertVolume, plugin: Plugin) -> bool:
    """Whether segments of the volume, or of those that lie on it or refer to it, are the plugin's."""
    volume = group.lv_by_id[request.lv]
    bodies = (s.body for lv in (volume, *group.referrers.get(volume.id, ())) for s in lv.segments)
    return any(type(body) in plugin.info.bodies for body in bodies)


def _accepted(plugins: tuple[Plugin, ...], plugin: Plugin, commands: frozenset[str]) -> set[str]:
    """The options of ``commands`` that a request for ``plugin`` may carry."""
    declaring = [plugin]
    if plugin.info.over_plain:
        declaring += [p for p in plugins if p.info.plain]
    return {o.name for p in declaring for o in p.info.options if not commands.isdisjoint(o.commands)}
