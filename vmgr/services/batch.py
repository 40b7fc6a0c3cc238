"""Requests for one group, carried out in the order given and as one commit: all of them, or none.

A service makes of a request, whose names are resolved by then, the change that it means for the group as the
requests before it leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from vmgr.core.change import combine
from vmgr.core.errors import UsageError
from vmgr.core.group_requests import ChangeGroup
from vmgr.core.resolve import resolve
from vmgr.outcome import Outcome
from vmgr.system.devices import device_number

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.group_requests import GroupRequest
    from vmgr.core.view import GroupView
    from vmgr.session import Session

    Service = Callable[[Session, GroupView, GroupRequest], Change]
    R = TypeVar("R", bound=GroupRequest)

SERVICES = {
    "ChangeGroup": ("groups", "change"),
    "ChangeVolume": ("volumes", "change"),
    "ConvertVolume": ("conversion", "change"),
    "CreateVolume": ("volumes", "create"),
    "ExtendVolume": ("resizing", "change"),
    "ReduceVolume": ("resizing", "change"),
    "RemoveVolume": ("volumes", "remove"),
    "RenameVolume": ("volumes", "rename"),
    "RepairVolume": ("conversion", "change"),
    "ResizeVolume": ("resizing", "change"),
}
"""Who makes the change of a request: module of this package and function, by the request's class."""

WITHOUT_ALL_DEVICES = frozenset({"ChangeVolume", "RemoveVolume", "RepairVolume"})
"""Requests that a group is open to while physical volumes of it are missing."""


def run(session: Session, vg: str, requests: Sequence[GroupRequest]) -> Outcome:
    """Carry out requests for the group ``vg`` in one commit."""
    if not requests:
        return Outcome()
    with session.changing(vg, missing=all(map(_without_all_devices, requests))) as view:
        return session.carry_out(combined(session, view, requests), view)


def _without_all_devices(request: GroupRequest) -> bool:
    if isinstance(request, ChangeGroup):
        return request.only_tags
    return type(request).__name__ in WITHOUT_ALL_DEVICES


def run_together(session: Session, requests: Mapping[str, Sequence[GroupRequest]]) -> Outcome:
    """Carry out requests for several groups as one transaction, committed in the order of the groups as given."""
    asked = {session.meant(vg): some for vg, some in requests.items() if some}
    if not asked:
        return Outcome()
    with session.changing_together(list(asked)) as views:
        parts = [(combined(session, view, some), view) for view, some in zip(views, asked.values(), strict=True)]
        return session.carry_out(*parts[0], also=parts[1:])


def run_one(session: Session, vg: str, request: GroupRequest) -> Outcome:
    """Carry out one request for the group ``vg``."""
    return run(session, vg, (request,))


def combined(session: Session, view: GroupView, requests: Sequence[GroupRequest]) -> Change:
    """The change that ``requests`` mean together for a group whose lock is held."""
    changes: list[Change] = []
    for request in requests:
        change = service_of(request)(session, view, resolved(session, view, request))
        changes.append(change)
        assert change.after is not None  # no request for a volume removes its group
        view = evolve(view, group=change.after)
    return combine(changes)


def resolved(session: Session, view: GroupView, request: R) -> R:
    """The request with UUIDs for names; a physical volume may be named by any path of its device."""
    return resolve(view, request, session.targets, device_number)


def service_of(request: GroupRequest) -> Service:
    """What makes the change of a request. Raises :class:`UsageError` for one that only the core makes."""
    kind = type(request).__name__
    if kind not in SERVICES:
        raise UsageError(f"a {kind} is asked of plugins, not of a group", hint=f"use one of {', '.join(SERVICES)}")
    module, function = SERVICES[kind]
    service: Service = getattr(import_module(f"vmgr.services.{module}"), function)
    return service
