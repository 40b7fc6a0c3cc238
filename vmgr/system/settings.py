"""The settings of lvm.conf that vmgr obeys, with LVM2's defaults: one table, nothing else.

Each has a reader that asks for it by this name; a test holds the table to that. What vmgr does not obey is in
:mod:`vmgr.system.disregarded`.

A default's type is the setting's type: ``bool`` for a flag, ``int``, ``str``, a tuple for a list, ``None``
for "not set" (a list or a word, as the reader asks). ``{sys}`` in a word stands for the
system directory. Source: ``lvmconfig --type default`` of LVM2 2.03.16 as Debian builds it, and
``lib/config/config_settings.h`` for those that are undefined by default.
"""

from __future__ import annotations

Default = bool | int | str | tuple[str, ...] | None

DEFAULTS: dict[str, Default] = {
    "config/profile_dir": "{sys}/profile",
    # devices: which block devices are seen, and how they are treated
    "devices/dir": "/dev",
    "devices/scan": ("/dev",),
    "devices/obtain_device_list_from_udev": False,
    "devices/external_device_info_source": "none",
    "devices/hints": "all",
    "devices/preferred_names": None,
    "devices/types": None,
    "devices/search_for_devnames": "auto",
    "devices/use_devicesfile": False,
    "devices/devicesfile": "system.devices",
    "devices/filter": ("a|.*|",),
    "devices/global_filter": ("a|.*|",),
    "devices/scan_lvs": False,
    "devices/multipath_component_detection": True,
    "devices/multipath_wwids_file": "/etc/multipath/wwids",
    "devices/md_component_detection": True,
    "devices/md_component_checks": "auto",
    "devices/fw_raid_component_detection": False,
    "devices/md_chunk_alignment": True,
    "devices/default_data_alignment": 1,
    "devices/data_alignment_detection": True,
    "devices/data_alignment": 0,
    "devices/data_alignment_offset_detection": True,
    "devices/ignore_suspended_devices": False,
    "devices/ignore_lvm_mirrors": True,
    "devices/require_restorefile_with_uuid": True,
    "devices/pv_min_size": 2048,
    "devices/issue_discards": False,
    "devices/allow_changes_with_duplicate_pvs": False,
    "devices/allow_mixed_block_sizes": False,
    # allocation
    "allocation/cling_tag_list": None,
    "allocation/maximise_cling": True,
    "allocation/wipe_signatures_when_zeroing_new_lvs": True,
    "allocation/physical_extent_size": 4096,
    # log
    "log/verbose": 0,
    "log/silent": False,
    "log/prefix": "  ",
    "log/command_names": False,
    # backup
    "backup/backup": True,
    "backup/backup_dir": "{sys}/backup",
    "backup/archive": True,
    "backup/archive_dir": "{sys}/archive",
    "backup/retain_min": 10,
    "backup/retain_days": 30,
    # global
    "global/umask": 0o077,
    "global/test": False,
    "global/units": "r",
    "global/si_unit_consistency": True,
    "global/suffix": True,
    "global/activation": True,
    "global/proc": "/proc",
    "global/etc": "/etc",
    "global/locking_type": 1,
    "global/wait_for_locks": True,
    "global/locking_dir": "/run/lock/lvm",
    "global/prioritise_write_locks": True,
    "global/metadata_read_only": False,
    "global/lvdisplay_shows_full_device_path": False,
    "global/event_activation": True,
    "global/use_lvmlockd": False,
    "global/system_id_source": "none",
    "global/system_id_file": None,
    # activation
    "activation/udev_sync": True,
    "activation/udev_rules": True,
    "activation/retry_deactivation": True,
    "activation/reserved_memory": 8192,
    "activation/process_priority": -18,
    "activation/volume_list": None,
    "activation/auto_activation_volume_list": None,
    "activation/read_only_volume_list": None,
    "activation/readahead": "auto",
    "activation/polling_interval": 15,
    "activation/activation_mode": "degraded",
    # metadata
    "metadata/check_pv_device_sizes": True,
    "metadata/pvmetadatacopies": 1,
    "metadata/vgmetadatacopies": 0,
    "metadata/pvmetadatasize": None,
    "metadata/pvmetadataignore": False,
    "metadata/stripesize": 64,
    # report; the lists of columns are comma-separated words, as the report options take them
    "report/output_format": "basic",
    "report/compact_output": False,
    "report/compact_output_cols": "",
    "report/aligned": True,
    "report/buffered": True,
    "report/headings": True,
    "report/separator": " ",
    "report/list_item_separator": ",",
    "report/prefixes": False,
    "report/quoted": True,
    "report/columns_as_rows": False,
    "report/binary_values_as_numeric": False,
    "report/time_format": "%Y-%m-%d %T %z",
    "report/mark_hidden_devices": True,
    "report/two_word_unknown_device": False,
    "report/lvs_sort": "vg_name,lv_name",
    "report/lvs_cols": "lv_name,vg_name,lv_attr,lv_size,pool_lv,origin,data_percent,metadata_percent,move_pv,"
    "mirror_log,copy_percent,convert_lv",
    "report/lvs_cols_verbose": "lv_name,vg_name,seg_count,lv_attr,lv_size,lv_major,lv_minor,lv_kernel_major,"
    "lv_kernel_minor,pool_lv,origin,data_percent,metadata_percent,move_pv,copy_percent,mirror_log,convert_lv,"
    "lv_uuid,lv_profile",
    "report/vgs_sort": "vg_name",
    "report/vgs_cols": "vg_name,pv_count,lv_count,snap_count,vg_attr,vg_size,vg_free",
    "report/vgs_cols_verbose": "vg_name,vg_attr,vg_extent_size,pv_count,lv_count,snap_count,vg_size,vg_free,"
    "vg_uuid,vg_profile",
    "report/pvs_sort": "pv_name",
    "report/pvs_cols": "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free",
    "report/pvs_cols_verbose": "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,dev_size,pv_uuid",
    "report/segs_sort": "vg_name,lv_name,seg_start",
    "report/segs_cols": "lv_name,vg_name,lv_attr,stripes,segtype,seg_size",
    "report/segs_cols_verbose": "lv_name,vg_name,lv_attr,seg_start,seg_size,stripes,segtype,stripesize,chunksize",
    "report/pvsegs_sort": "pv_name,pvseg_start",
    "report/pvsegs_cols": "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,pvseg_start,pvseg_size",
    "report/pvsegs_cols_verbose": "pv_name,vg_name,pv_fmt,pv_attr,pv_size,pv_free,pvseg_start,pvseg_size,lv_name,"
    "seg_start_pe,segtype,seg_pe_ranges",
    # local (lvmlocal.conf)
    "local/system_id": "",
    "local/extra_system_ids": None,
    # tags
    "tags/hosttags": False,
}
