"""The fake kernel's commands that create, remove, rename and list devices."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.core.table import DM_NAME_MAX, DM_UUID_MAX
from vmgr.dm import abi, wire
from vmgr.dm.wire import NameEntry, Reply
from vmgr.testing.fake_state import FakeDevice
from vmgr.testing.fake_targets import Refusal

if TYPE_CHECKING:
    from vmgr.dm.wire import Request
    from vmgr.testing.fake_state import FakeState


class FakeNaming:
    """The commands create, remove, remove_all, rename and list."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def list(self, request: Request) -> Reply:
        """List devices, sorted by name. A name and a UUID in the request are prefixes (since 4.45)."""
        state = self._state
        devices = sorted(state.devices.values(), key=lambda device: wire.encode(device.name))
        if state.version >= abi.NAME_LIST_UUID_SINCE:
            devices = [d for d in devices if d.name.startswith(request.name) and d.uuid.startswith(request.uuid)]
        with_uuid = bool(request.flags & abi.UUID)
        entries = [NameEntry(state.dev(d), d.name, d.event_nr, d.uuid if with_uuid else None) for d in devices]
        return state.echo(request, data=wire.pack_names(entries, state.version) if entries else b"")

    def create(self, request: Request) -> Reply:
        """Create a device. The number is checked before the name."""
        state = self._state
        _check_name(request.name)
        if request.flags & abi.PERSISTENT_DEV:
            minor = abi.major_minor(request.dev)[1]
            if minor in state.devices:
                raise Refusal(errno.ENXIO)
        else:
            minor = next(i for i in range(abi.MINORS) if i not in state.devices)
        for device in state.devices.values():
            if device.name == request.name or (request.uuid and device.uuid == request.uuid):
                raise Refusal(errno.EBUSY)
        device = state.devices[minor] = FakeDevice(request.name, request.uuid, minor)
        return state.reply(device, request)

    def remove(self, request: Request) -> Reply:
        """Remove a device. The reply has name and UUID, but no number and no state."""
        state = self._state
        device = state.find(request)
        flags = abi.INACTIVE_PRESENT if device.inactive is not None else 0
        reply = state.echo(request, flags=flags)._replace(name=device.name, uuid=device.uuid)
        if state.open_count(device):
            if not request.flags & abi.DEFERRED_REMOVE:
                raise Refusal(errno.EBUSY)
            device.deferred = True
            return reply
        state.destroy(device)
        flags = reply.flags & ~abi.DEFERRED_REMOVE
        return reply._replace(flags=flags | (abi.UEVENT_GENERATED if device.settled else 0))

    def remove_all(self, request: Request) -> Reply:
        """Remove devices until all that are left are open."""
        state = self._state
        while True:
            unused = [device for device in state.devices.values() if not state.open_count(device)]
            if not unused:
                break
            for device in unused:
                if device.minor in state.devices:
                    state.destroy(device)
        if request.flags & abi.DEFERRED_REMOVE:
            for device in state.devices.values():
                device.deferred = True
        return Reply(state.version)

    def rename(self, request: Request) -> Reply:
        """Change the name, or set the UUID. The device is found by name only, whatever else the request has."""
        state = self._state
        new = wire.unpack_text(request.data)
        to_uuid = bool(request.flags & abi.UUID)
        if not new or len(wire.encode(new)) > (DM_UUID_MAX if to_uuid else DM_NAME_MAX):
            raise Refusal(errno.EINVAL)
        if not to_uuid:
            _check_name(new)
        if any((device.uuid if to_uuid else device.name) == new for device in state.devices.values()):
            raise Refusal(errno.EBUSY)
        device = next((d for d in state.devices.values() if d.name == request.name), None)
        if device is None:
            raise Refusal(errno.ENXIO)
        if to_uuid and device.uuid:
            raise Refusal(errno.EINVAL)
        if to_uuid:
            device.uuid = new
        else:
            device.name = new
        if device.live is not None:
            state.raise_event(device)
        # The kernel does not look the device up for the reply: old name, no UUID, no flag for an inactive table.
        flags = abi.UEVENT_GENERATED if device.settled else 0
        return state.reply(device, request, flags=flags, waiting=False)._replace(name=request.name, uuid="")


def _check_name(name: str) -> None:
    if not name or "/" in name:
        raise Refusal(errno.EINVAL)
