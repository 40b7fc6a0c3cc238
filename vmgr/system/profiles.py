"""Which settings a profile may hold, as LVM2 marks them in its table of settings.

A command profile says how commands print, a metadata profile how volumes are made. Source: ``CFG_PROFILABLE`` and
``CFG_PROFILABLE_METADATA`` in ``lib/config/config_settings.h`` of LVM2 2.03.16 and 2.03.40.
"""

from __future__ import annotations

from collections.abc import Iterable

METADATA = {
    "activation": [
        "thin_pool_autoextend_percent",
        "thin_pool_autoextend_threshold",
        "vdo_pool_autoextend_percent",
        "vdo_pool_autoextend_threshold",
    ],
    "allocation": [
        "cache_metadata_format",
        "cache_mode",
        "cache_policy",
        "cache_pool_cachemode",
        "cache_pool_chunk_size",
        "cache_pool_max_chunks",
        "cache_pool_metadata_require_separate_pvs",
        "cache_settings",
        "thin_pool_chunk_size",
        "thin_pool_chunk_size_policy",
        "thin_pool_discards",
        "thin_pool_zero",
        "vdo_ack_threads",
        "vdo_bio_rotation",
        "vdo_bio_threads",
        "vdo_block_map_cache_size_mb",
        "vdo_block_map_period",
        "vdo_check_point_frequency",
        "vdo_cpu_threads",
        "vdo_hash_zone_threads",
        "vdo_index_memory_size_mb",
        "vdo_logical_threads",
        "vdo_max_discard",
        "vdo_minimum_io_size",
        "vdo_physical_threads",
        "vdo_pool_header_size",
        "vdo_slab_size_mb",
        "vdo_use_compression",
        "vdo_use_deduplication",
        "vdo_use_metadata_hints",
        "vdo_use_sparse_index",
        "vdo_write_policy",
    ],
    "allocation_cache_settings": ["policy_settings"],
}
COMMAND = {
    "global": ["lvdisplay_shows_full_device_path", "si_unit_consistency", "suffix", "units"],
    "log": ["command_log_cols", "command_log_selection", "command_log_sort", "report_command_log"],
    "report": [
        "aligned",
        "binary_values_as_numeric",
        "buffered",
        "columns_as_rows",
        "compact_output",
        "compact_output_cols",
        "devtypes_cols",
        "devtypes_cols_verbose",
        "devtypes_sort",
        "headings",
        "list_item_separator",
        "lvs_cols",
        "lvs_cols_full",
        "lvs_cols_verbose",
        "lvs_sort",
        "lvs_sort_full",
        "mark_hidden_devices",
        "output_format",
        "prefixes",
        "pvs_cols",
        "pvs_cols_full",
        "pvs_cols_verbose",
        "pvs_sort",
        "pvs_sort_full",
        "pvsegs_cols",
        "pvsegs_cols_full",
        "pvsegs_cols_verbose",
        "pvsegs_sort",
        "pvsegs_sort_full",
        "quoted",
        "segs_cols",
        "segs_cols_full",
        "segs_cols_verbose",
        "segs_sort",
        "segs_sort_full",
        "separator",
        "time_format",
        "vgs_cols",
        "vgs_cols_full",
        "vgs_cols_verbose",
        "vgs_sort",
        "vgs_sort_full",
    ],
    "root": ["activation", "allocation", "global", "log", "report"],
}


def strangers(paths: Iterable[str], *, metadata: bool) -> tuple[str, ...]:
    """Those of ``paths`` that a profile of this kind may not hold, sorted. Sections (``path/``) do not count."""
    known = METADATA if metadata else COMMAND
    found = []
    for path in paths:
        section, _, name = path.partition("/")
        if not path.endswith("/") and name.partition("/")[0] not in known.get(section, ()):
            found.append(path)
    return tuple(sorted(found))
