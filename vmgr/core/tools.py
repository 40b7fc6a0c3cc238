"""Programs that are run for a change, and states of devices that it waits for, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from vmgr.core.value import Value

if TYPE_CHECKING:
    from vmgr.core.errors import VmgrError
    from vmgr.core.ids import Uuid
    from vmgr.core.table import KernelLine


@frozen(repr=False)
class ToolStatus(Value):
    """What an exit status of a program means.

    ``fine``: the change goes on. ``words`` is a sentence, said where the change goes on, and the message of the
    error where it does not; ``hint`` says what to do then. ``{volume}`` in either stands for the first volume.
    """

    status: int
    fine: bool = False
    words: str = ""
    hint: str = ""


@frozen(repr=False)
class ToolRun(Value):
    """A run of a program before the commit, on inactive volumes that are activated for it and seen by nobody.

    ``program`` is a path. In ``arguments`` the UUID of one of ``volumes`` stands for the path of its device.
    ``volumes`` are those of the group as it is before the change, or, with ``new``, as it is after it: those lie
    on space that is free until the commit. An exit status that ``statuses`` do not name is fine if it is 0.
    ``undo`` is run when the change is taken back after the program was started.
    """

    program: str
    arguments: tuple[str | Uuid, ...]
    volumes: tuple[Uuid, ...]
    new: bool = False
    statuses: tuple[ToolStatus, ...] = ()
    undo: ToolRun | None = None

    def meaning(self, status: int) -> ToolStatus:
        """What an exit status means."""
        for known in self.statuses:
            if known.status == status:
                return known
        return ToolStatus(status, fine=status == 0)


class Condition(Protocol):
    """A state of a device, known by its status. Make it a frozen value; its ``str`` completes "wait until ..."."""

    def met(self, lines: tuple[KernelLine, ...]) -> bool:
        """Whether the status lines show it. Raise a :class:`~vmgr.core.errors.VmgrError` if they never will."""


@frozen(repr=False)
class WaitUntil(Value):
    """Wait, after the commit, until the device of an active volume is in a state.

    ``seconds`` is for how long at most: then ``late`` is raised, which says what to do. Until then the metadata
    describe the state from which the next command goes on.
    """

    volume: Uuid
    condition: Condition
    seconds: float
    late: VmgrError
