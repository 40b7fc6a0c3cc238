"""Options about the layout of new physical volumes, which pvcreate, vgcreate and vgextend share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.core.group_requests import CreatePv
    from vmgr.system.config import Config


def label_request(invocation: Invocation, config: Config) -> CreatePv:
    """What the options say about new physical volumes. Raises UsageError for those that do not go together."""
    from vmgr.core.group_requests import CreatePv
    from vmgr.core.ids import Uuid

    uuid = invocation.text("uuid")
    restore_file = invocation.text("restorefile") or ""
    if restore_file and uuid is None:
        raise UsageError("--restorefile needs --uuid", hint="say with --uuid which PV of the file this shall be")
    if (
        uuid is not None
        and not restore_file
        and not invocation.flag("norestorefile")
        and config.flag("devices/require_restorefile_with_uuid")
    ):
        raise UsageError(
            "--uuid needs --restorefile or --norestorefile",
            hint="give the backup file that lists the PV, or --norestorefile if there is none",
        )
    if uuid is not None and len(invocation.arguments) != 1:
        raise UsageError("--uuid can be given for one PV only", hint="give one device")
    if restore_file:
        import os

        if not os.access(restore_file, os.R_OK):
            raise UsageError(
                f"cannot read {restore_file}", hint="give a file that vgcfgbackup wrote; vgcfgrestore --list"
            )
    sector = invocation.number("labelsector")
    if sector is not None and sector > 3:
        raise UsageError("the label lies in one of sectors 0 to 3", hint="give --labelsector 0, 1, 2 or 3")
    copies = invocation.text("pvmetadatacopies")
    return CreatePv(
        metadata_copies=None if copies is None else int(copies),
        metadata_size=invocation.size("metadatasize"),
        metadata_ignore=invocation.yesno("metadataignore"),
        data_alignment=invocation.size("dataalignment"),
        data_alignment_offset=invocation.size("dataalignmentoffset"),
        bootloader_size=invocation.size("bootloaderareasize"),
        label_sector=1 if sector is None else sector,
        size=invocation.size("setphysicalvolumesize"),
        uuid=None if uuid is None else Uuid(uuid),
        restore_file=restore_file,
        zero=invocation.yesno("zero"),
    )
