"""Devices on their way to become physical volumes: may they, what is on them, how are they laid out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import (
    DamagedMetadata,
    Interrupted,
    InUse,
    NotFound,
    Refused,
    StoppedHalfway,
    VmgrError,
)
from vmgr.core.ids import Uuid
from vmgr.core.units import Bytes, Sectors

if TYPE_CHECKING:
    from vmgr.core.change import LabelPv
    from vmgr.core.group_requests import CreatePv
    from vmgr.core.model import VolumeGroup
    from vmgr.core.pv import PvLayout
    from vmgr.core.view import PvView, SystemView
    from vmgr.session import Session
    from vmgr.system.devices import Device
    from vmgr.system.signatures import Signature

MEMBER = "LVM2_member"


@frozen
class NewPv:
    """A device that may become a physical volume: the label to write, and the signatures to wipe before that."""

    path: str
    """The device as the user named it; ``label`` has the path that the scan knows it by."""
    label: LabelPv
    number: tuple[int, int]
    signatures: tuple[Signature, ...] = ()
    ignored: tuple[str, ...] = ()

    def wipe(self, session: Session) -> None:
        """Wipe what the user agreed to lose, telling of each signature.

        Raises :class:`InUse` if the device is in use or is not what it was when the user was asked: that may be a
        while ago.
        """
        from vmgr.core.effects import DEVICE, Effect
        from vmgr.system.disk import Disk
        from vmgr.system.signatures import find_signatures, wipe_signature

        path = self.label.device
        with Disk.open(path, write=True, exclusive=True, watch=session.watch) as disk:
            number = (os.major(disk.number), os.minor(disk.number))
            if (disk.is_block and number != self.number) or self.signatures != tuple(
                find_signatures(path, ignore=self.ignored)
            ):
                raise InUse(
                    f"the content of {path} has changed since this command read it",
                    hint="nothing was written to it; see who uses it (lsblk, wipefs), then run the command again",
                )
            if self.signatures:
                # A wiped signature can uncover another one (a partition table's second copy).
                for signature in find_signatures(path, ignore=(MEMBER,)):
                    session.dialogue.progress(f"Wiping {signature.type} signature on {path}.")
                    wipe_signature(path, signature, session.watch)
                session.changed.append(Effect("wiped", DEVICE, path))


def find_device(session: Session, path: str) -> Device:
    """The device that the user calls ``path``, if vmgr may use it. Raises :class:`NotFound` or :class:`Refused`."""
    from vmgr.system.devices import hidden_reason

    scan = session.look(detail=True)
    device = scan.named.find(path)
    if device is None:
        if not os.path.lexists(path):
            raise NotFound(f"no device found for {path}", hint="check the path; lsblk lists the devices there are")
        hidden = hidden_reason(path)
        if hidden:
            raise Refused(f"cannot use {path}: {hidden}", hint="devices/scan_lvs in lvm.conf lets volumes be used")
        raise Refused(
            f"{path} is not a block device that can hold a physical volume", hint="lsblk lists the devices"
        )
    scan.await_device(device)
    reason = scan.refused.get(device)
    if reason:
        raise Refused(f"cannot use {path}: {reason}", hint=_refusal_hint(reason))
    return device


def require_distinct(paths: Sequence[str]) -> None:
    """Raise :class:`Refused` where a device is named twice, by one path or by two, as LVM2 does since 2.03.27."""
    from vmgr.system.devices import device_number

    seen: dict[object, str] = {}
    for path in paths:
        key = device_number(path) or path
        if key in seen:
            what = path if seen[key] == path else f"{seen[key]} and {path} are one device"
            raise Refused(f"duplicate device name found on input: {what}", hint="name each device once")
        seen[key] = path


def _refusal_hint(reason: str) -> str:
    if "partition" in reason:
        return "use one of its partitions, or wipe the partition table first: wipefs -a"
    if "too small" in reason:
        return "a physical volume needs 2 MiB (devices/pv_min_size in lvm.conf)"
    if "devices file" in reason:
        return "pvcreate, vgcreate and vgextend enter the devices that they are given; LVM2's lvmdevices does, too"
    if "filter" in reason:
        return "lvm.conf decides which devices vmgr sees: lvm.conf(5)"
    return ""


def existing_pv(view: SystemView, device: Device) -> PvView | None:
    """The physical volume that is already on a device, duplicates included."""
    for pv in view.at(device.number):
        if pv.device in (device.path, *device.aliases):
            return pv
    return None


def owner(view: SystemView, pv: PvView) -> str:
    """The group that a physical volume belongs to, in words."""
    if pv.vg is None:
        return "a volume group that is not there"
    return f'volume group "{pv.vg_name}"{whose(view, pv)}'


def whose(view: SystemView, pv: PvView) -> str:
    """What is to be said behind the name of a physical volume's group if it is not this host's alone."""
    from vmgr.core.usable import lock_manager

    group = view.owner(pv)
    if group is not None and group.foreign:
        return f" of another host (system ID {group.group.system_id!r})"
    if group is not None and lock_manager(group.group):
        return f", which hosts share under {lock_manager(group.group)} locks"
    return ""


def way_out(view: SystemView, pv: PvView, path: str) -> str:
    """How a physical volume leaves the group that has it, or that its metadata still name."""
    if pv.vg is None:
        return "connect the other devices of its group and take it out of that (vgreduce)"
    group = view.owner(pv)
    if group is not None and pv.id not in group.group.pv_by_id:
        return f"the group removed it while it was missing: pvcreate -ff {path} makes it free"
    return f"remove it from that group first: vgreduce {pv.vg_name} {path}"


def prepare(session: Session, view: SystemView, path: str, request: CreatePv) -> NewPv:
    """Check a device, ask what has to be asked, and lay it out. Nothing is written yet.

    Raises :class:`Refused` for a member of a group, :class:`InUse` for a device in use, :class:`Interrupted`
    for a question answered with no.
    """
    from vmgr.core.change import LabelPv

    device = find_device(session, path)
    old = existing_pv(view, device)
    if old is not None:
        _check_member(session, view, old, path)
    _check_unused(path)
    # A label that the scan did not take for one is a damaged label: somebody's data may be behind it.
    ignored = (MEMBER,) if old is not None else ()
    signatures = _agreed_signatures(session, path, ignored)
    layout = lay_out(session, device, request, view)
    zero = True if request.zero is None else request.zero
    return NewPv(path, LabelPv(device.path, layout, zero=zero), device.number, signatures, ignored)


def _check_member(session: Session, view: SystemView, old: PvView, path: str) -> None:
    if old.vg is not None:
        if session.options.force < 2:
            raise Refused(
                f'cannot initialize physical volume "{path}" of {owner(view, old)} without -ff',
                hint=f"{way_out(view, old, path)}; -ff overrides, and damages a group that has it",
            )
        question = f'Really INITIALIZE physical volume "{path}" of {owner(view, old)}?'
    elif old.layout.used:
        if session.options.force < 2:
            raise Refused(
                f"PV {path} is used by a VG but its metadata is missing",
                hint="the group's other devices may be disconnected; -ff overrides this, and damages the group",
            )
        question = f'Really INITIALIZE physical volume "{path}" that is marked as belonging to a VG?'
    else:
        return
    if not session.options.test and not session.dialogue.ask(question):
        raise Interrupted(f"{path}: physical volume not initialized", hint="answer y, or use --yes")


def _check_unused(path: str) -> None:
    from vmgr.system.usage import users

    uses = users(path)
    if uses:
        raise InUse(
            f"cannot use {path}: {', '.join(uses)}", hint="unmount it or stop what uses it, or name another device"
        )


def _agreed_signatures(session: Session, path: str, ignore: Sequence[str]) -> tuple[Signature, ...]:
    from vmgr.system.signatures import find_signatures

    found = tuple(find_signatures(path, ignore=ignore))
    if found:
        first, *others = found
        more = "".join(f", {one.type} at offset {one.offset}" for one in others)
        text = f"WARNING: {first.type} signature detected on {path} at offset {first.offset}{more}."
        if session.options.test:
            session.dialogue.warn(text)
        elif not session.dialogue.ask(f"{text} Wipe {'all of them' if others else 'it'}?"):
            raise Interrupted(
                f"{path}: not wiping the {first.type} signature, so the device is not used",
                hint="answer y, or use --yes, if its contents can go",
            )
    return found


def lay_out(session: Session, device: Device, request: CreatePv, view: SystemView) -> PvLayout:
    """The layout of a new physical volume, from the request and lvm.conf. Raises :class:`Refused`."""
    from vmgr.ondisk.layout import new_layout
    from vmgr.system.topology import data_alignment, data_alignment_offset

    config = session.config
    size = device.size if request.size is None else request.size.bytes()
    if size > device.size:
        raise Refused(f"a physical volume of {size} bytes does not fit on {device.path}, which has {device.size}")
    uuid = request.uuid or session.stamp().uuid(0)
    if request.uuid is not None:
        for pv in view.pvs():
            if pv.id == request.uuid and (pv.major, pv.minor) != device.number:
                raise Refused(f"UUID {request.uuid.dashed} is in use by the physical volume on {pv.device}")
    copies = request.metadata_copies
    metadata_size = request.metadata_size
    if metadata_size is None and config.is_set("metadata/pvmetadatasize"):
        metadata_size = Sectors(config.number("metadata/pvmetadatasize"))
    alignment = request.data_alignment or data_alignment(device, config)
    offset = request.data_alignment_offset or data_alignment_offset(device, config)
    wished = request.data_alignment or request.data_alignment_offset
    start: Bytes | None = None
    extents = Bytes(0)
    boot, boot_start = request.bootloader_size or Sectors(0), Sectors(0)
    if request.restore_file:
        old = restored_group(session, request.restore_file)
        pv_of_old = old.pv_by_id.get(Uuid(uuid))
        if pv_of_old is None:
            raise NotFound(f"no physical volume with UUID {uuid.dashed} in {request.restore_file}")
        start = pv_of_old.pe_start.bytes()
        if wished and int(pv_of_old.pe_start) % int(alignment) != int(offset):
            # LVM2 says so, too, and goes on with the old place: the volumes' data are there.
            from vmgr.core.sizes import display_size

            session.dialogue.warn(
                f"WARNING: Ignoring data alignment {display_size(alignment + offset)} incompatible with restored"
                f" pe_start value {display_size(pv_of_old.pe_start)}."
            )
            alignment, offset = data_alignment(device, config), data_alignment_offset(device, config)
        extents = pv_of_old.pe_count.sectors(old.extent_size).bytes()
        boot, boot_start = pv_of_old.ba_size, pv_of_old.ba_start
    return new_layout(
        uuid,
        Bytes(size),
        mda_copies=config.number("metadata/pvmetadatacopies") if copies is None else copies,
        mda_size=None if metadata_size is None else metadata_size.bytes(),
        ignored=(
            config.flag("metadata/pvmetadataignore") if request.metadata_ignore is None else request.metadata_ignore
        ),
        data_alignment=alignment.bytes(),
        data_alignment_offset=offset.bytes(),
        bootloader_size=boot.bytes(),
        bootloader_start=boot_start.bytes(),
        data_start=start,
        data_size=extents,
        label_sector=request.label_sector,
        min_size=Bytes(config.number("devices/pv_min_size") * 1024),
    )


def restored_group(session: Session, path: str) -> VolumeGroup:
    """The group in a backup or archive file. Raises :class:`NotFound`, :class:`DamagedMetadata`."""
    from vmgr.ondisk.codec import decode_group

    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise NotFound(
            f"cannot read {path}: {error.strerror}", hint="give a file that vgcfgbackup wrote; vgcfgrestore --list"
        ) from None
    try:
        return decode_group(raw, session.targets).group
    except DamagedMetadata as error:
        raise DamagedMetadata(
            f"{path} is not a backup of a volume group: {error.message}",
            hint="give a file that vgcfgbackup wrote; vgcfgrestore --list",
        ) from None


def enter_devices(
    session: Session,
    *,
    add: Sequence[tuple[str, Uuid]] = (),
    remove: Sequence[str] = (),
    before: SystemView | None = None,
) -> None:
    """Enter devices that are physical volumes now into the devices file, where one is in force; unmark others.

    ``before`` is what there was before a command that makes the file where it is wanted and not there. As in LVM2
    (``device_ids_write``), that of the system is made only if there was no group yet, which it would hide.

    Raises :class:`StoppedHalfway` when that fails: the disks have been written by then.
    """
    from vmgr.system.devicesfile import DevicesFile

    options = session.options
    if options.test or options.devices:
        return
    file = DevicesFile.from_config(session.config, options.devices_file, system_id=session.system_id)
    if file is None:
        return
    if not file.exists:
        if before is None:
            return
        if not options.devices_file and before.names:
            session.dialogue.progress("Not creating system devices file due to existing VGs.")
            return
        session.dialogue.progress(f"Creating devices file {file.path}")
    by_path = {device.path: device for device in session.look(detail=True).devices}
    try:
        file.change(
            add=[(by_path[path], pv) for path, pv in add if path in by_path],
            remove=[by_path[path] for path in remove if path in by_path],
            command=options.command,
        )
    except VmgrError as error:
        raise StoppedHalfway(
            f"the physical volumes have been written, but the devices file was not changed: {error.message}",
            hint="LVM2's lvmdevices --adddev DEVICE (or --deldev) enters them",
        ) from None
