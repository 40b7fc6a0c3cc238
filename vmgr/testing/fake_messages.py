"""The fake kernel's commands to targets, and those not about a device: messages, geometry, versions, arming."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.dm import abi, wire
from vmgr.dm.wire import Reply
from vmgr.testing.fake_stats import split
from vmgr.testing.fake_targets import Refusal

if TYPE_CHECKING:
    from vmgr.dm.wire import Request
    from vmgr.testing.fake_state import FakeDevice, FakeState


class FakeMessages:
    """Messages to a target or to the device mapper itself, and queries about targets."""

    def __init__(self, state: FakeState) -> None:
        self._state = state
        self.armed = 0

    def message(self, request: Request) -> Reply:
        """A message that begins with ``@`` goes to the device mapper, any other to a target that takes messages."""
        state = self._state
        device = state.find(request)
        if len(request.data) < abi.MESSAGE.size:
            raise Refusal(errno.EINVAL)
        sector, text = wire.unpack_message(request.data)
        words = split(text)
        if not words:
            raise Refusal(errno.EINVAL)
        if words[0].lower() == "@cancel_deferred_remove":
            if len(words) > 1:
                raise Refusal(errno.EINVAL)
            device.deferred = False
            return state.reply(device, request)
        if words[0].startswith("@"):
            answer = device.stats.message(text, device.live.size if device.live else 0)
            return self._answer(device, request, answer)
        if device.live is None:
            raise Refusal(errno.ENODATA)
        for line in device.live.lines:
            if line.start <= sector < line.start + line.length:
                return self._answer(device, request, state.targets[line.target].message(line, text))
        raise Refusal(errno.EINVAL)

    def geometry(self, request: Request) -> Reply:
        """Set the geometry: four plain numbers in range."""
        self._state.find(request)
        text = wire.unpack_text(request.data).lstrip()
        words = text.split()
        if len(words) != 4 or not all(word.isascii() and word.isdigit() for word in words) or text != text.rstrip():
            raise Refusal(errno.EINVAL)
        cylinders, heads, sectors, start = (int(word) % 2**64 for word in words)
        if cylinders > 65535 or heads > 255 or sectors > 255 or start > cylinders * heads * sectors:
            raise Refusal(errno.EINVAL)
        return Reply(self._state.version)

    def versions(self, request: Request) -> Reply:
        """Every target."""
        versions = [(target.name, target.version) for target in self._state.targets.values()]
        return self._state.echo(request, data=wire.pack_versions(versions))

    def target_version(self, request: Request) -> Reply:
        """One target."""
        target = self._state.targets.get(request.name)
        if target is None:
            raise Refusal(errno.EINVAL)
        return self._state.echo(request, data=wire.pack_versions([(target.name, target.version)]))

    def arm(self, request: Request) -> Reply:
        """Count events from now on."""
        self.armed = self._state.events
        return self._state.echo(request)

    # -- inside --------------------------------------------------------------------------------------

    def _answer(self, device: FakeDevice, request: Request, answer: str | None) -> Reply:
        if answer is None:
            return self._state.reply(device, request)
        return self._state.reply(device, request, flags=abi.DATA_OUT, data=wire.pack_text(answer))
