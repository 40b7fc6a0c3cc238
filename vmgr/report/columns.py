"""The catalogue: every column that LVM2's reports know, each fact of it written once.

Names, headings, widths, kinds and order are LVM2's (``lib/report/columns.h`` and ``values.h`` of 2.03.16), because
scripts depend on them, those of columns that speak of target types included. What a column holds is said elsewhere:
in :mod:`vmgr.report.volumes` and its neighbours for what the core knows, and by the target plugins, through
``describe``, for the rest. A column without any value shows what its absent value looks like.

A row is ``(name, section, kind, heading, width, help)``, then optionally its words and its absent value.
Width 0 is the heading's length. Kinds: ``string``, ``number``, ``size``, ``percent``, ``binary``, ``list``,
``time``. The words of a binary column mean yes: the first is shown, all are understood in selections. Those
of another column are ``value=synonym,synonym;value=...``, for selections. A row of a name and a section only is a
column of a kind of volume, see :mod:`vmgr.report.target_columns`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report.catalog import SPECIAL, UNKNOWN, Catalog, Row
from vmgr.report.target_columns import LAYOUT, complete

if TYPE_CHECKING:
    from vmgr.core.errors import PluginError
    from vmgr.core.hooks import ColumnSpec, TargetInfo
    from vmgr.core.targets import Targets

LV, LVINFO, LVSTATUS, LVATTR, LABEL, PV, VG, SEG, PVSEG = (1 << bit for bit in range(9))
"""Sections, as bits: which of them a report shows decides what its rows are."""

ANY_LV = LV | LVINFO | LVSTATUS | LVATTR

SECTIONS = (
    (VG, "Volume Group", "vg_"),
    (LV, "Logical Volume", "lv_"),
    (LVINFO, "Logical Volume Device Info", "lv_"),
    (LVSTATUS, "Logical Volume Device Status", "lv_"),
    (LVATTR, "Logical Volume Device Info and Status Combined", "lv_"),
    (PV, "Physical Volume", "pv_"),
    (LABEL, "Physical Volume Label", "pv_"),
    (SEG, "Logical Volume Segment", "seg_"),
    (PVSEG, "Physical Volume Segment", "pvseg_"),
    (SPECIAL, "Special", "special_"),
)
"""Title and name prefix of each section (``lib/report/report.c``, ``_report_types``)."""

_ROWS: tuple[Row, ...] = (
    ("lv_uuid", LV, "string", "LV UUID", 38, "Unique identifier."),
    ("lv_name", LV, "string", "LV", 4, "Name. Hidden volumes are shown in brackets."),
    ("lv_full_name", LV, "string", "LV", 4, "Name with the group's: GROUP/VOLUME."),
    ("lv_path", LV, "string", "Path", 0, "Path that users give; none for hidden volumes."),
    ("lv_dm_path", LV, "string", "DMPath", 0, "Path of the device-mapper device."),
    ("lv_parent", LV, "string", "Parent", 0, "For a part of another volume: that volume."),
    ("lv_layout", LV, "list", "Layout", 10, "How the data are laid out."),
    ("lv_role", LV, "list", "Role", 10, "What the volume is for: public or private, and more."),
    ("lv_initial_image_sync", LV), ("lv_image_synced", LV), ("lv_merging", LV),
    ("lv_converting", LV, "binary", "Converting", 0, "Whether a conversion is going on.", "converting", False),
    ("lv_allocation_policy", LV, "string", "AllocPol", 10, "Allocation policy."),
    ("lv_allocation_locked", LV, "binary", "AllocLock", 10, "Whether its extents may not be moved.",
     "allocation locked,locked"),
    ("lv_fixed_minor", LV, "binary", "FixMin", 10, "Whether its number is persistent.", "fixed minor,fixed"),
    ("lv_skip_activation", LV, "binary", "SkipAct", 15, "Whether activation skips it.", "skip activation,skip"),
    ("lv_autoactivation", LV, "binary", "AutoAct", 0, "Whether it is activated on its own.", "enabled"),
    ("lv_when_full", LV),
    ("lv_active", LV, "string", "Active", 0, "Whether the volume is active."),
    ("lv_active_locally", LV, "binary", "ActLocal", 10, "Whether the volume is active on this host.",
     "active locally,active,locally"),
    ("lv_active_remotely", LV, "binary", "ActRemote", 10, "Whether the volume is active on another host.",
     "active remotely,active,remotely"),
    ("lv_active_exclusively", LV, "binary", "ActExcl", 10, "Whether the volume is active on one host only.",
     "active exclusively,active,exclusively"),
    ("lv_major", LV, "number", "Maj", 0, "Persistent major number, or -1."),
    ("lv_minor", LV, "number", "Min", 0, "Persistent minor number, or -1."),
    ("lv_read_ahead", LV, "size", "Rahead", 0, "Read-ahead setting.", "auto="),
    ("lv_size", LV, "size", "LSize", 0, "Size of the volume."),
    ("lv_metadata_size", LV),
    ("seg_count", LV, "number", "#Seg", 0, "Number of segments."),
    ("origin", LV), ("origin_uuid", LV), ("origin_size", LV),
    ("lv_ancestors", LV, "list", "Ancestors", 0, "Origin, its origin and so on."),
    ("lv_full_ancestors", LV, "list", "FAncestors", 0, "Ancestors, removed ones included."),
    ("lv_descendants", LV, "list", "Descendants", 0, "Volumes taken of this one, and of those."),
    ("lv_full_descendants", LV, "list", "FDescendants", 0, "Descendants, removed ones included."),
    ("raid_mismatch_count", LV), ("raid_sync_action", LV), ("raid_write_behind", LV),
    ("raid_min_recovery_rate", LV),
    ("raid_max_recovery_rate", LV), ("raidintegritymode", LV), ("raidintegrityblocksize", LV),
    ("integritymismatches", LV),
    ("move_pv", LV, "string", "Move", 0, "For a move: the physical volume that is being emptied."),
    ("move_pv_uuid", LV, "string", "Move UUID", 38, "For a move: UUID of that physical volume."),
    ("convert_lv", LV), ("convert_lv_uuid", LV), ("mirror_log", LV), ("mirror_log_uuid", LV), ("data_lv", LV),
    ("data_lv_uuid", LV), ("metadata_lv", LV),
    ("metadata_lv_uuid", LV), ("pool_lv", LV), ("pool_lv_uuid", LV),
    ("lv_tags", LV, "list", "LV Tags", 0, "Tags."),
    ("lv_profile", LV, "string", "LProfile", 0, "Configuration profile."),
    ("lv_lockargs", LV, "string", "LLockArgs", 0, "Arguments of the lock manager."),
    ("lv_time", LV, "time", "CTime", 26, "When it was made, if known."),
    ("lv_time_removed", LV, "time", "RTime", 26, "When it was removed, if known."),
    ("lv_host", LV, "string", "Host", 10, "Host that made it, if known."),
    ("lv_modules", LV, "list", "Modules", 0, "Kernel modules that it needs."),
    ("lv_historical", LV, "binary", "Historical", 0, "Whether only its history is left.", "historical", False),
    ("writecache_block_size", LV),

    ("lv_kernel_major", LVINFO, "number", "KMaj", 0, "Major number that it has now, or -1."),
    ("lv_kernel_minor", LVINFO, "number", "KMin", 0, "Minor number that it has now, or -1."),
    ("lv_kernel_read_ahead", LVINFO, "size", "KRahead", 0, "Read-ahead that it has now.", "", UNKNOWN),
    ("lv_permissions", LVINFO, "string", "LPerms", 8, "Permissions.",
     "writeable=rw,read-write;read-only=r,ro;read-only-override=ro-override,r-override,R"),
    ("lv_suspended", LVINFO, "binary", "Suspended", 10, "Whether the device is suspended.", "suspended"),
    ("lv_live_table", LVINFO, "binary", "LiveTable", 20, "Whether the device has a live table.",
     "live table present,live table,live"),
    ("lv_inactive_table", LVINFO, "binary", "InactiveTable", 20, "Whether a table waits for a resume.",
     "inactive table present,inactive table,inactive"),
    ("lv_device_open", LVINFO, "binary", "DevOpen", 10, "Whether the device is open.", "open"),

    ("data_percent", LVSTATUS), ("snap_percent", LVSTATUS), ("metadata_percent", LVSTATUS),
    ("copy_percent", LVSTATUS), ("sync_percent", LVSTATUS), ("cache_total_blocks", LVSTATUS),
    ("cache_used_blocks", LVSTATUS), ("cache_dirty_blocks", LVSTATUS), ("cache_read_hits", LVSTATUS),
    ("cache_read_misses", LVSTATUS), ("cache_write_hits", LVSTATUS),
    ("cache_write_misses", LVSTATUS), ("kernel_cache_settings", LVSTATUS), ("kernel_cache_policy", LVSTATUS),
    ("kernel_metadata_format", LVSTATUS),
    ("lv_health_status", LVSTATUS, "string", "Health", 15, "What is wrong with the volume, if anything.",
     "=undefined"),
    ("kernel_discards", LVSTATUS), ("lv_check_needed", LVSTATUS), ("lv_merge_failed", LVSTATUS),
    ("lv_snapshot_invalid", LVSTATUS), ("vdo_operating_mode", LVSTATUS),
    ("vdo_compression_state", LVSTATUS), ("vdo_index_state", LVSTATUS), ("vdo_used_size", LVSTATUS),
    ("vdo_saving_percent", LVSTATUS), ("writecache_total_blocks", LVSTATUS),
    ("writecache_free_blocks", LVSTATUS), ("writecache_writeback_blocks", LVSTATUS),
    ("writecache_error", LVSTATUS),

    ("lv_attr", LVATTR, "string", "Attr", 0, "Attributes: ten letters, see lvs(8)."),

    ("pv_fmt", LABEL, "string", "Fmt", 0, "Type of metadata."),
    ("pv_uuid", LABEL, "string", "PV UUID", 38, "Unique identifier."),
    ("dev_size", LABEL, "size", "DevSize", 0, "Size of the device."),
    ("pv_name", LABEL, "string", "PV", 10, "Path of the device."),
    ("pv_major", LABEL, "string", "Maj", 0, "Device major number."),
    ("pv_minor", LABEL, "string", "Min", 0, "Device minor number."),
    ("pv_mda_free", LABEL, "size", "PMdaFree", 9, "Free space of its fullest metadata area."),
    ("pv_mda_size", LABEL, "size", "PMdaSize", 9, "Size of its smallest metadata area."),
    ("pv_ext_vsn", LABEL, "number", "PExtVsn", 0, "Version of the label's extension."),

    ("pe_start", PV, "size", "1st PE", 7, "Where the data start."),
    ("pv_size", PV, "size", "PSize", 0, "Size of the physical volume."),
    ("pv_free", PV, "size", "PFree", 0, "Space that no volume occupies."),
    ("pv_used", PV, "size", "Used", 0, "Space that volumes occupy."),
    ("pv_attr", PV, "string", "Attr", 0, "Attributes: three letters, see pvs(8)."),
    ("pv_allocatable", PV, "binary", "Allocatable", 0, "Whether it may be allocated from.", "allocatable"),
    ("pv_exported", PV, "binary", "Exported", 10, "Whether its group is exported.", "exported"),
    ("pv_missing", PV, "binary", "Missing", 10, "Whether it is not there.", "missing"),
    ("pv_pe_count", PV, "number", "PE", 3, "Number of extents."),
    ("pv_pe_alloc_count", PV, "number", "Alloc", 0, "Number of extents that volumes occupy."),
    ("pv_tags", PV, "list", "PV Tags", 0, "Tags."),
    ("pv_mda_count", PV, "number", "#PMda", 0, "Number of its metadata areas."),
    ("pv_mda_used_count", PV, "number", "#PMdaUse", 0, "Number of its metadata areas in use."),
    ("pv_ba_start", PV, "size", "BA Start", 0, "Where the bootloader area starts."),
    ("pv_ba_size", PV, "size", "BA Size", 0, "Size of the bootloader area."),
    ("pv_in_use", PV, "binary", "PInUse", 0, "Whether a group has it.", "used,in use"),
    ("pv_duplicate", PV, "binary", "Duplicate", 0, "Whether it is a copy that is set aside.", "duplicate"),
    ("pv_device_id", PV, "string", "DeviceID", 0, "What the devices file knows it by, such as a WWID."),
    ("pv_device_id_type", PV, "string", "DeviceIDType", 0, "What kind of identifier that is."),

    ("vg_fmt", VG, "string", "Fmt", 0, "Type of metadata."),
    ("vg_uuid", VG, "string", "VG UUID", 38, "Unique identifier."),
    ("vg_name", VG, "string", "VG", 0, "Name."),
    ("vg_attr", VG, "string", "Attr", 5, "Attributes: six letters, see vgs(8)."),
    ("vg_permissions", VG, "string", "VPerms", 10, "Permissions.",
     "writeable=rw,read-write;read-only=r,ro"),
    ("vg_extendable", VG, "binary", "Extendable", 0, "Whether physical volumes may be added.", "extendable"),
    ("vg_exported", VG, "binary", "Exported", 10, "Whether it is exported.", "exported"),
    ("vg_autoactivation", VG, "binary", "AutoAct", 0, "Whether it is activated on its own.", "enabled"),
    ("vg_partial", VG, "binary", "Partial", 10, "Whether physical volumes are missing.", "partial"),
    ("vg_allocation_policy", VG, "string", "AllocPol", 10, "Allocation policy."),
    ("vg_clustered", VG, "binary", "Clustered", 10, "Whether it is clustered.", "clustered"),
    ("vg_shared", VG, "binary", "Shared", 7, "Whether hosts share it.", "shared"),
    ("vg_size", VG, "size", "VSize", 0, "Size of the group."),
    ("vg_free", VG, "size", "VFree", 0, "Space that no volume occupies."),
    ("vg_sysid", VG, "string", "SYS ID", 0, "System ID of the host that owns it."),
    ("vg_systemid", VG, "string", "System ID", 0, "System ID of the host that owns it."),
    ("vg_lock_type", VG, "string", "LockType", 0, "Type of its locks."),
    ("vg_lock_args", VG, "string", "VLockArgs", 0, "Arguments of the lock manager."),
    ("vg_extent_size", VG, "size", "Ext", 0, "Size of an extent."),
    ("vg_extent_count", VG, "number", "#Ext", 0, "Number of extents."),
    ("vg_free_count", VG, "number", "Free", 0, "Number of extents that no volume occupies."),
    ("max_lv", VG, "number", "MaxLV", 0, "Most volumes that it may have, 0 for no limit."),
    ("max_pv", VG, "number", "MaxPV", 0, "Most physical volumes that it may have, 0 for no limit."),
    ("pv_count", VG, "number", "#PV", 0, "Number of physical volumes."),
    ("vg_missing_pv_count", VG, "number", "#PV Missing", 0, "Number of physical volumes that are missing."),
    ("lv_count", VG, "number", "#LV", 0, "Number of volumes, without hidden ones."),
    ("snap_count", VG, "number", "#SN", 0, "Number of volumes with copy-on-write space of their own."),
    ("vg_seqno", VG, "number", "Seq", 0, "Sequence number of the metadata: one more with each change."),
    ("vg_tags", VG, "list", "VG Tags", 0, "Tags."),
    ("vg_profile", VG, "string", "VProfile", 0, "Configuration profile."),
    ("vg_mda_count", VG, "number", "#VMda", 0, "Number of metadata areas."),
    ("vg_mda_used_count", VG, "number", "#VMdaUse", 0, "Number of metadata areas in use."),
    ("vg_mda_free", VG, "size", "VMdaFree", 9, "Free space of the fullest metadata area."),
    ("vg_mda_size", VG, "size", "VMdaSize", 9, "Size of the smallest metadata area."),
    ("vg_mda_copies", VG, "number", "#VMdaCps", 0, "Number of metadata areas that shall be in use.",
     "unmanaged="),

    ("segtype", SEG, "string", "Type", 0, "Type of the segment."),
    ("stripes", SEG, "number", "#Str", 0, "Number of areas side by side."),
    ("data_stripes", SEG, "number", "#DStr", 0, "Number of areas side by side that hold data."),
    ("reshape_len", SEG), ("reshape_len_le", SEG),
    ("data_copies", SEG, "number", "#Cpy", 0, "Number of copies of the data."),
    ("data_offset", SEG), ("new_data_offset", SEG), ("parity_chunks", SEG), ("stripe_size", SEG),
    ("region_size", SEG), ("chunk_size", SEG), ("thin_count", SEG),
    ("discards", SEG), ("cache_metadata_format", SEG), ("cache_mode", SEG), ("zero", SEG),
    ("transaction_id", SEG), ("thin_id", SEG),
    ("seg_start", SEG, "size", "Start", 0, "Where the segment starts in the volume."),
    ("seg_start_pe", SEG, "number", "Start", 0, "Where the segment starts in the volume, in extents."),
    ("seg_size", SEG, "size", "SSize", 0, "Size of the segment."),
    ("seg_size_pe", SEG, "number", "SSize", 0, "Size of the segment, in extents."),
    ("seg_tags", SEG, "list", "Seg Tags", 0, "Tags."),
    ("seg_pe_ranges", SEG, "list", "PE Ranges", 0, "Extents beneath it, as commands take them; see seg_le_ranges."),
    ("seg_le_ranges", SEG, "list", "LE Ranges", 0, "Extents beneath it, as commands take them."),
    ("seg_metadata_le_ranges", SEG),
    ("devices", SEG, "list", "Devices", 0, "What lies beneath it, with the first extent."),
    ("metadata_devices", SEG), ("seg_monitor", SEG), ("cache_policy", SEG), ("cache_settings", SEG),
    ("vdo_compression", SEG), ("vdo_deduplication", SEG),
    ("vdo_use_metadata_hints", SEG), ("vdo_minimum_io_size", SEG), ("vdo_block_map_cache_size", SEG),
    ("vdo_block_map_era_length", SEG),
    ("vdo_use_sparse_index", SEG), ("vdo_index_memory_size", SEG), ("vdo_slab_size", SEG),
    ("vdo_ack_threads", SEG), ("vdo_bio_threads", SEG),
    ("vdo_bio_rotation", SEG), ("vdo_cpu_threads", SEG), ("vdo_hash_zone_threads", SEG),
    ("vdo_logical_threads", SEG), ("vdo_physical_threads", SEG),
    ("vdo_max_discard", SEG), ("vdo_write_policy", SEG), ("vdo_header_size", SEG),

    ("pvseg_start", PVSEG, "number", "Start", 0, "First extent of the run."),
    ("pvseg_size", PVSEG, "number", "SSize", 0, "Number of extents in the run."),

    ("selected", SPECIAL, "number", "Selected", 8, "Whether the row is selected, if all rows are shown."),
    ("help", SPECIAL, "number", "Help", 8, "Show this help."),
    ("?", SPECIAL, "number", "Help", 8, "Show this help."),
)  # fmt: skip

ROWS: tuple[Row, ...] = tuple([row if len(row) > 2 else complete(row) for row in _ROWS])
"""All columns of LVM2's reports, in its order."""

DEFAULTS: dict[str, tuple[str, str, str]] = {
    "lvs": (
        "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,move_pv,mirror_log,"
        "copy_percent,convert_lv",
        "lv_name,vg_name,seg_count,lv_attr,lv_size,lv_major,lv_minor,lv_kernel_major,lv_kernel_minor,pool_lv,"
        "origin,data_percent,metadata_percent,move_pv,copy_percent,mirror_log,convert_lv,lv_uuid,lv_profile",
        "vg_name,lv_name",
    ),
    "vgs": (
        "vg_name,pv_count,lv_count,snap_count,vg_attr,vg_size,vg_free",
        "vg_name,vg_attr,vg_extent_size,pv_count,lv_count,snap_count,vg_size,vg_free,vg_uuid,vg_profile",
        "vg_name",
    ),
    "pvs": (
        "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free",
        "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,dev_size,pv_uuid",
        "pv_name",
    ),
    "segs": (
        "lv_name,vg_name,lv_attr,stripes,segtype,seg_size",
        "lv_name,vg_name,lv_attr,seg_start,seg_size,stripes,segtype,stripesize,chunksize",
        "vg_name,lv_name,seg_start",
    ),
    "pvsegs": (
        "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,pvseg_start,pvseg_size",
        "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,pvseg_start,pvseg_size,lv_name,seg_start_pe,segtype,"
        "seg_pe_ranges",
        "pv_name,pvseg_start",
    ),
}
"""For each report: its columns, those with ``-v``, and its order (``lib/config/defaults.h``).

The keys are the names of lvm.conf's settings without ``_cols``, ``_cols_verbose`` and ``_sort``.
"""


def catalog(targets: Targets) -> Catalog:
    """All columns: LVM2's, and those that target plugins add."""
    found = Catalog(ROWS, SECTIONS)
    for info in targets.infos():
        for spec in info.columns:
            kind = found.kind(spec.name)
            if kind not in ("", spec.kind):
                targets.leave_out(_other_kind(info, spec, kind))
                break
            if spec.name in LAYOUT:
                found.explain(spec.name, spec.help)
                continue
            section = SEG if spec.per_segment else LVSTATUS
            words = spec.heading.lower() if spec.kind == "binary" else ""
            found.add((spec.name, section, spec.kind, spec.heading, 0, spec.help, words))
    return found


def _other_kind(info: TargetInfo, spec: ColumnSpec, kind: str) -> PluginError:
    from vmgr.core.errors import PluginError

    return PluginError(
        f"{info.name} declares the column {spec.name!r} as a {spec.kind}, which is a {kind}",
        hint="uninstall it, or install a version that keeps to the plugin contract",
        plugin=info.name,
    )
