"""The error tree: every failure that a user can cause or meet.

Each class owns its exit status and a stable code word for programs (``vmgr-json(7)`` promises them, and a test
holds it to this file); each instance owns one
message and, wherever there is something to do, a hint that says what. Anything else that
escapes is a bug. Exit statuses are LVM2's (``lib/commands/errors.h``): 3 for a bad command
line, 4 for a configuration that cannot be used at all, 5 for a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_OK = 0
EXIT_NO_SUCH_COMMAND = 2
EXIT_BAD_COMMAND_LINE = 3
EXIT_NOT_SET_UP = 4
EXIT_FAILED = 5


class VmgrError(Exception):
    """Base of all errors that vmgr raises on purpose.

    ``message`` is one sentence without a final full stop; ``hint`` says what to do, or is
    empty; ``details`` are further lines for a person (one per physical volume, say).
    ``blames`` has, where only some of many volumes are at fault, the error of each of these by its UUID:
    the change can be made without them.
    """

    code = "failed"
    exit_code = EXIT_FAILED

    blames: Mapping[str, VmgrError] = {}

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: tuple[str, ...] = (),
        blames: Mapping[str, VmgrError] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details
        if blames:
            self.blames = blames

    def __str__(self) -> str:
        return self.message


# -- what was asked for ---------------------------------------------------------------------------


class UsageError(VmgrError):
    """The command line is wrong: unknown option, missing argument, unparsable value."""

    code = "usage"
    exit_code = EXIT_BAD_COMMAND_LINE


class NoSuchCommand(UsageError):
    """The first word names no command of vmgr."""

    code = "no-such-command"
    exit_code = EXIT_NO_SUCH_COMMAND


class InvalidSize(UsageError):
    """A size, number or percentage that cannot be parsed or is out of range."""

    code = "invalid-size"


class InvalidName(UsageError):
    """A name, tag or UUID with characters or a form that the format does not allow."""

    code = "invalid-name"


class UnknownKind(UsageError):
    """A kind of volume that no installed plugin makes."""

    code = "unknown-kind"


class InvalidTable(UsageError):
    """A device-mapper table whose text cannot be read, or whose lines do not make a table.

    ``line`` is the number of the offending line in its text, from 1; 0 where no one line is to blame.
    """

    code = "invalid-table"

    def __init__(self, message: str, *, hint: str = "", details: tuple[str, ...] = (), line: int = 0) -> None:
        super().__init__(message, hint=hint, details=details)
        self.line = line


class NotFound(VmgrError):
    """A named group, volume or device does not exist."""

    code = "not-found"


class AlreadyExists(VmgrError):
    """The name or UUID is taken."""

    code = "exists"


class AmbiguousName(VmgrError):
    """Two things carry one name (cloned devices, two groups of one name): never guessed at."""

    code = "ambiguous"


class Refused(VmgrError):
    """The request is understood and would break a rule of the volume model."""

    code = "refused"


class SameSize(Refused):
    """A volume has the size that was asked for."""

    code = "same-size"


class InUse(VmgrError):
    """The volume or device is open, mounted or held by another device."""

    code = "in-use"


class NoSpace(VmgrError):
    """The allocator cannot place the request. ``details`` says why, one line for each PV."""

    code = "no-space"


class NotPermitted(VmgrError):
    """The kernel or the file system refused access."""

    code = "not-permitted"


# -- the state of the disks -----------------------------------------------------------------------


class DamagedMetadata(VmgrError):
    """A label, header or text on disk that fails its checks."""

    code = "damaged-metadata"


class GroupUnusable(VmgrError):
    """The group exists and may not be changed: exported, foreign, partial, clustered, unknown types."""

    code = "group-unusable"


class InvalidGroup(VmgrError):
    """An operation would leave, or the disk holds, a group that violates the model's invariants."""

    code = "invalid-group"


class UnclaimedSegment(VmgrError):
    """No plugin, or more than one, claims a segment or a request."""

    code = "unclaimed"


class PluginError(VmgrError):
    """A target plugin cannot be loaded or broke the contract of its hooks.

    ``plugin`` is the name of its entry point, empty where no single plugin is to blame, ``source`` its
    distribution (empty for vmgr's own); ``hook`` is the hook that failed, if one did.
    """

    code = "plugin"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: tuple[str, ...] = (),
        plugin: str = "",
        source: str = "",
        hook: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.plugin = plugin
        self.source = source
        self.hook = hook


# -- the machine ----------------------------------------------------------------------------------


class DeviceError(VmgrError):
    """Reading or writing a block device failed."""

    code = "device-io"


class LockFailed(VmgrError):
    """A lock is held by another command, or cannot be made."""

    code = "locked"


class ConfigError(VmgrError):
    """lvm.conf, a profile or ``--config`` cannot be read."""

    code = "config"


class KernelError(VmgrError):
    """The device mapper refused a command, or is not there."""

    code = "device-mapper"


class OutputError(VmgrError):
    """Standard output is closed, or what it leads to is full. What the command did is done all the same."""

    code = "output"


class UdevTimeout(VmgrError):
    """udev did not finish with a device within the bound."""

    code = "udev-timeout"


class LabError(VmgrError):
    """The lab could not be started or did not end as it should."""

    code = "lab"


class StoppedHalfway(VmgrError):
    """A step after the commit failed. ``details`` says what is done and what is pending.

    ``unsent`` are the device-mapper UUIDs of devices to which a message could not be sent.
    """

    code = "pending"

    unsent: tuple[str, ...] = ()


class Interrupted(VmgrError):
    """The user stopped the command, or answered a question with no, before anything was changed."""

    code = "interrupted"


class InternalError(VmgrError):
    """A fault in vmgr itself: anything that was not raised on purpose."""

    code = "internal"
