"""The control node's ioctl in memory: bytes in, bytes out, answered by the fake kernel.

It treats buffers as ``ctl_ioctl`` of ``drivers/md/dm-ioctl.c`` does, so that everything above
``fcntl.ioctl`` is the real thing.
"""

from __future__ import annotations

from vmgr.dm import abi, wire
from vmgr.dm.failure import DmError
from vmgr.dm.wire import Reply
from vmgr.testing.fake_kernel import FakeKernel


class Shim:
    """Stands in for ``fcntl.ioctl``. ``interrupt`` makes that many calls fail with EINTR first."""

    def __init__(self, kernel: FakeKernel) -> None:
        self.kernel = kernel
        self.interrupt = 0
        self.sizes: list[int] = []
        self.buffers: list[bytearray] = []

    def ioctl(self, fd: int, code: int, buffer: bytearray, mutate: bool) -> int:
        assert mutate
        assert code & 0xFFFF_FF00 == 0xC138_FD00
        command = abi.COMMANDS[code & 0xFF]
        self.sizes.append(len(buffer))
        self.buffers.append(buffer)
        version = abi.HEADER.unpack_from(buffer)[:3]
        buffer[:12] = abi.HEADER.pack(*self.kernel.version, *[0] * 7, b"", b"")[:12]
        if version[0] != 4 or version > self.kernel.version:
            raise OSError(22, "Invalid argument")
        if self.interrupt:
            self.interrupt -= 1
            raise InterruptedError(4, "Interrupted system call")
        size = abi.HEADER.unpack_from(buffer)[3]
        assert size == len(buffer)
        request = wire.unpack_request(buffer, command)
        secret = request.flags & abi.SECURE_DATA
        request = request._replace(flags=request.flags & ~abi.EXISTS)
        if not (command.payload or command.reply):
            request = request._replace(data=b"")
        if secret:
            buffer[:] = bytes(len(buffer))
        try:
            reply = self.kernel.call(request)
        except DmError as e:
            if e.errno_name == "ENODATA":
                return 2  # what the kernel returns for a message without a live table
            raise OSError(e.errno, e.errno_name) from None
        if command.silent:
            return 0
        if abi.DATA_START + len(reply.data) > size:
            reply = self._cut(reply, command, size)
        wire.pack_reply(buffer, reply)
        assert len(buffer) == size
        return 0

    @staticmethod
    def _cut(reply: Reply, command: abi.Command, size: int) -> Reply:
        """Of lines the kernel returns what fits, of all else nothing."""
        data = b""
        if command in (abi.TABLE_STATUS, abi.DEV_WAIT):
            data = bytes(reply.data[: max(0, size - abi.DATA_START)])
        return reply._replace(flags=reply.flags | abi.BUFFER_FULL, data=data)
