"""How an order is run, with whom it talks, and what came of it.

Apart from the orders themselves (:mod:`vmgr.orders`), because reports need these and no order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from vmgr.core.value import Value

if TYPE_CHECKING:
    from vmgr.core.errors import VmgrError
    from vmgr.core.phases import Plan


@frozen(repr=False)
class RunOptions(Value):
    """How a command is to be run: LVM2's options common to all commands, and vmgr's defaults for them.

    ``command`` is the command line, for descriptions in the metadata. ``config`` are texts of ``--config``,
    a later one stronger. ``devices`` limits vmgr to these paths, None does not. ``devices_file`` is
    ``--devicesfile``: None for the configured one, empty for none at all.
    ``test`` plans and changes nothing. ``yes`` answers questions. ``autobackup`` None follows lvm.conf.
    ``locking`` off takes no lock; ``ignore_lock_failure`` goes on without one that cannot be had (reading only).
    ``read_only`` reads without locks and never looks at the kernel. ``use_kernel`` off means that no
    device mapper is asked (``--driverloaded n``). ``udev_sync`` off does not wait for udev.
    """

    command: str = "vmgr"
    config: tuple[str, ...] = ()
    command_profile: str = ""
    metadata_profile: str = ""
    devices: tuple[str, ...] | None = None
    devices_file: str | None = None
    test: bool = False
    yes: bool = False
    autobackup: bool | None = None
    locking: bool = True
    ignore_lock_failure: bool = False
    read_only: bool = False
    use_kernel: bool = True
    udev_sync: bool = True


class Dialogue(Protocol):
    """The person, or program, at the other end."""

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question, without ``[y/n]`` at its end. The answer is no unless it is clearly yes."""

    def secret(self, question: str) -> str | None:
        """Ask for a passphrase, not shown as it is typed; None where nobody is there to give it."""

    def warn(self, message: str) -> None:
        """Say at once what the user should know, whatever comes of the order (LVM2's ``WARNING:``)."""

    def progress(self, message: str) -> None:
        """Tell how far a long process is (a merge)."""

    def detail(self, message: str, level: int = 1) -> None:
        """Say what is being done: shown from ``-v`` (1) on, ``-vv`` (2), ..."""


@frozen(repr=False)
class Outcome(Value):
    """What came of an order.

    ``done`` says in LVM2's manner what was done, ``notes`` what the user should know besides. ``plans`` are the
    plans that were run, or that would be with ``RunOptions.test``. ``errors`` are those of the subjects for which
    the order failed while it was carried out for others.
    """

    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    plans: tuple[Plan, ...] = ()
    errors: tuple[VmgrError, ...] = ()

    def __add__(self, other: Outcome) -> Outcome:
        """Both, one after the other."""
        return Outcome(
            self.done + other.done,
            self.notes + other.notes,
            self.plans + other.plans,
            self.errors + other.errors,
        )
