"""How requests are carried out, with whom that talks, and what came of it.

Apart from the requests themselves (:mod:`vmgr.core.requests`), because reports need these and no request.
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

    ``force`` is how often ``-f`` was given: 1 leaves out questions, 2 also takes devices of existing groups.
    ``fs`` is what becomes of what lies on a volume that is resized: ``resize`` resizes it with the volume
    (``resize_fsadm`` too), ``checksize`` lets the volume shrink only if its content does not reach beyond the new
    end, ``ignore`` does not look; None is ``checksize``, with a question where nothing is recognised. ``fs_mode``
    is what may be done to mounts: ``manage`` (all that is needed), ``nochange``, ``offline``; None is ``manage``,
    with a question. ``check_fs`` off skips the file system's check. What a conversion starts in the kernel is
    waited for, and told of every ``interval`` seconds; ``background`` returns as soon as it has begun. ``poll``
    follows, in the background, what an activation set going (a merge), and writes its end down.
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
    force: int = 0
    fs: str | None = None
    fs_mode: str | None = None
    check_fs: bool = True
    background: bool = False
    interval: int | None = None
    poll: bool = True


class Dialogue(Protocol):
    """The person, or program, at the other end."""

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question, without ``[y/n]`` at its end. The answer is no unless it is clearly yes."""

    def secret(self, question: str) -> str | None:
        """Ask for a passphrase, not shown as it is typed; None where nobody is there to give it."""

    def warn(self, message: str) -> None:
        """Say at once what the user should know, whatever comes of the request (LVM2's ``WARNING:``)."""

    def progress(self, message: str) -> None:
        """Tell how far a long process is (a merge)."""

    def detail(self, message: str, level: int = 1) -> None:
        """Say what is being done: shown from ``-v`` (1) on, ``-vv`` (2), ..."""


@frozen(repr=False)
class Outcome(Value):
    """What came of a request.

    ``done`` says in LVM2's manner what was done, ``notes`` what the user should know besides. ``plans`` are the
    plans that were run, or that would be with ``RunOptions.test``. ``errors`` are those of the subjects for which
    the request failed while it was carried out for others.
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
