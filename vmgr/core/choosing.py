"""Which plugin a request to make or extend a volume is for. Loaded when such a request is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmgr.core.errors import Refused, UnclaimedSegment, UsageError
from vmgr.core.hooks import Claim
from vmgr.core.requests import CreateVolume, ExtendVolume

if TYPE_CHECKING:
    from vmgr.core.model import SegmentBody, VolumeGroup
    from vmgr.core.registered import Plugin

    Owner = Callable[[SegmentBody], Plugin]


def chosen(
    plugins: tuple[Plugin, ...], owner: Owner, group: VolumeGroup, request: CreateVolume | ExtendVolume
) -> Plugin:
    """The plugin that ``request`` is for. ``owner`` tells whose a segment is.

    Raises :class:`UsageError` when none takes it, saying why (:class:`UnknownKind` for its type), and
    :class:`UnclaimedSegment` when two do.
    """
    if request.type is not None and not any(request.type in p.info.types for p in plugins):
        from vmgr.core.kinds import unknown_type

        asking = "lvcreate" if isinstance(request, CreateVolume) else "lvextend"
        raise unknown_type(request.type, {t for p in plugins for t in p.info.types}, asking)
    strong: list[Plugin] = []
    weak: list[Plugin] = []
    refused: list[tuple[Plugin, set[str]]] = []
    given = {name for name, _ in request.options}
    command = _command(request)
    for plugin in _extenders(plugins, owner, group, request):
        unknown = given - _accepted(plugins, plugin, command)
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
    for plugin, unknown in refused:
        if _claim(owner, group, request, plugin) != Claim.NO:
            words = ", ".join(f"--{name}" for name in sorted(unknown))
            raise UsageError(
                f"a {plugin.info.name} volume takes no {words}",
                hint="give --type to say what to make, or leave the option out",
            )
    raise UsageError("these options do not fit together", hint="give --type to say what to make")


def _extenders(
    plugins: tuple[Plugin, ...], owner: Owner, group: VolumeGroup, request: CreateVolume | ExtendVolume
) -> tuple[Plugin, ...]:
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


def _claim(owner: Owner, group: VolumeGroup, request: CreateVolume | ExtendVolume, plugin: Plugin) -> int:
    """What a plugin says of a request."""
    hook = plugin.hook("claim_request")
    if hook is None:
        return Claim.YES if _is_for(owner, group, request, plugin) else Claim.NO
    claim: int = hook(group, request)
    return claim


def _is_for(owner: Owner, group: VolumeGroup, request: CreateVolume | ExtendVolume, plugin: Plugin) -> bool:
    """The claim of a plugin that has no opinion of its own."""
    if request.type is not None or not isinstance(request, ExtendVolume):
        return request.type in plugin.info.types
    segments = group.lv_by_id[request.lv].segments
    return bool(segments) and owner(segments[-1].body) is plugin


def _accepted(plugins: tuple[Plugin, ...], plugin: Plugin, command: frozenset[str]) -> set[str]:
    """The options of ``command`` that a request for ``plugin`` may carry."""
    declaring = [plugin]
    if plugin.info.over_plain:
        declaring += [p for p in plugins if p.info.plain]
    return {o.name for p in declaring for o in p.info.options if not command.isdisjoint(o.commands)}


def _command(request: CreateVolume | ExtendVolume) -> frozenset[str]:
    """The commands that make such a request."""
    return frozenset({"lvcreate"}) if isinstance(request, CreateVolume) else frozenset({"lvextend", "lvresize"})
