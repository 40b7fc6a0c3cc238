"""``rename``, ``setuuid`` and ``mangle``: devices under other names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import show_change
from vmgr.cli.dm.options import WHICH
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, UsageError, VmgrError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import LiveDevice


def rename(invocation: Invocation) -> int:
    """Give a device another name, or with ``--setuuid`` a UUID."""
    return _rename(invocation, uuid=invocation.flag("setuuid"))


def setuuid(invocation: Invocation) -> int:
    """Give a UUID to a device that has none."""
    return _rename(invocation, uuid=True)


def _rename(invocation: Invocation, *, uuid: bool) -> int:
    command = invocation.command
    with Context(invocation) as context:
        words = invocation.arguments
        if len(words) < (1 if context.named_otherwise() else 2):
            raise UsageError(
                f"{command.name} needs a device and its new {'UUID' if uuid else 'name'}",
                hint=f"usage: vmgr dm {command.name} {command.usages[0]}",
            )
        dev = context.device(words[0] if len(words) == 2 else None)
        if uuid:
            context.client().set_uuid(dev, context.new_uuid(words[-1]))
        else:
            new = context.new_name(words[-1])
            context.client().rename(dev, new, hidden=False)
            if dev.name:
                dev = dev._replace(name=new)
        if context.json:
            show_change(context, dev)
    return EXIT_OK


def mangle(invocation: Invocation) -> int:
    """Rename devices whose names are not written as the mangling mode has them.

    Source: ``_mangle`` in LVM2's ``dmsetup.c``. A UUID cannot be changed, so a wrong one is a failure.
    """
    from vmgr.cli.dm.facts import chosen_devices

    status = EXIT_OK
    with Context(invocation, mangled=True) as context:
        rows: list[dict[str, object]] = []
        none = True
        for device in chosen_devices(context):
            none = False
            try:
                rows.append(_mangle_one(context, device))
            except VmgrError as error:
                if invocation.arguments or context.named_otherwise():
                    raise
                context.terminal.error(error)  # of all devices, the others are seen to as well
                status = EXIT_FAILED
        if context.json:
            context.emit_json({"devices": rows})
        elif none:
            context.terminal.data("No devices found\n")
    return status


def _mangle_one(context: Context, device: LiveDevice) -> dict[str, object]:
    from vmgr.core.table import DM_UUID_MAX
    from vmgr.dm.address import by_name
    from vmgr.dm.names import check_once, unmangle
    from vmgr.dm.names import mangle as mangled

    mode = context.mangling
    name, uuid = device.name, device.uuid
    if mode == "auto":
        check_once(name)
        check_once(uuid)
    if mode == "none":
        new_name, new_uuid = unmangle(name), unmangle(uuid)
    else:
        # Also in mode hex, what is mangled stays as it is: nobody wants it mangled once more.
        twice = "\\x5cx"
        new_name = name if twice in name else mangled(name, "auto")
        new_uuid = uuid if twice in uuid else mangled(uuid, "auto", limit=DM_UUID_MAX)
    if new_uuid != uuid:
        raise VmgrError(
            f"{name}: the UUID {uuid} is not in the form that mode {mode} has, and cannot be changed",
            hint="remove the device, and create it with the UUID in the right form",
        )
    changed = new_name != name
    if not context.json:
        what = "name and UUID" if uuid else "name"
        state = f"renaming to {new_name}" if changed else f"{uuid or '[no UUID]'}: {what} already in correct form"
        context.terminal.data(f"{name}: {state}\n")
    if changed:
        context.client().rename(by_name(name), new_name, hidden=False)
    return {"name": new_name, "before": name, "renamed": changed}


_DEVICE = Argument("DEVICE", "the device, where it is named by its name", needed=False)

DECLARED = {
    "mangle": Command(
        "mangle",
        "Rename devices whose special characters are not written as --manglename has them.",
        usages=("[DEVICE...|-u UUID|-j MAJOR -m MINOR]",),
        run_alone=mangle,
        arguments=(Argument("DEVICE", "a device, as the kernel has its name; all without one", False, True),),
        options=WHICH,
        changes=True,
    ),
    "rename": Command(
        "rename",
        "Give a device another name, or a UUID.",
        usages=("DEVICE|-u UUID|-j MAJOR -m MINOR NAME", "DEVICE|-j MAJOR -m MINOR --setuuid UUID"),
        run_alone=rename,
        arguments=(_DEVICE, Argument("NAME", "the new name, or with --setuuid the UUID", needed=False)),
        options=(
            Option("setuuid", "flag", "Set the device's UUID, which must have none yet, and not its name."),
            *WHICH,
        ),
        changes=True,
    ),
    "setuuid": Command(
        "setuuid",
        "Give a UUID to a device that has none.",
        usages=("DEVICE|-j MAJOR -m MINOR UUID",),
        run_alone=setuuid,
        arguments=(_DEVICE, Argument("UUID", "the UUID", needed=False)),
        options=WHICH,
        changes=True,
    ),
}
