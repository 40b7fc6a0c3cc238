"""Requests for one group, carried out in the order given and as one commit: all of them, or none.

A service makes of a request, whose names are resolved by then, the change that it means for the group as the
requests before it leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from vmgr.core.change import combine
from vmgr.core.resolve import resolve
from vmgr.system.devices import device_number

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.requests import Request
    from vmgr.core.view import GroupView
    from vmgr.outcome import Outcome
    from vmgr.session import Session

    Service = Callable[[Session, GroupView, Request], Change]
    R = TypeVar("R", bound=Request)

SERVICES = {
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


def run(session: Session, vg: str, requests: Sequence[Request]) -> Outcome:
    """Carry out requests for the group ``vg`` in one commit."""
    kinds = {type(request).__name__ for request in requests}
    with session.changing(vg, missing=kinds <= WITHOUT_ALL_DEVICES) as view:
        return session.carry_out(combined(session, view, requests), view)


def run_one(session: Session, vg: str, request: Request) -> Outcome:
    """Carry out one request for the group ``vg``."""
    return run(session, vg, (request,))


def combined(session: Session, view: GroupView, requests: Sequence[Request]) -> Change:
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


def service_of(request: Request) -> Service:
    """What makes the change of a request."""
    module, function = SERVICES[type(request).__name__]
    service: Service = getattr(import_module(f"vmgr.services.{module}"), function)
    return service
