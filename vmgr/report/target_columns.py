"""LVM2's columns that speak of kinds of volumes: how they look. What they hold and mean, their plugin says.

Scripts ask for them whatever is installed, so each is known, and empty where no plugin has values for it.
Kinds, headings, widths, words and absent values are LVM2's, as in :mod:`vmgr.report.columns`, which has the order.
"""

from __future__ import annotations

from vmgr.report.catalog import UNKNOWN, Row

HELP = "Of a kind of volume that no installed plugin knows."
"""The help of a column that no plugin declares."""

LAYOUT: dict[str, Row] = {
    "lv_initial_image_sync": ("binary", "InitImgSync", 10, "initial image sync,sync", False),
    "lv_image_synced": ("binary", "ImgSynced", 10, "image synced,synced", False),
    "lv_merging": ("binary", "Merging", 10, "merging", False),
    "lv_when_full": ("string", "WhenFull", 15,
        "error=error when full,error if no space;queue=queue when full,queue if no space;=undefined"),
    "lv_metadata_size": ("size", "MSize", 0),
    "origin": ("string", "Origin", 0),
    "origin_uuid": ("string", "Origin UUID", 38),
    "origin_size": ("size", "OSize", 0),
    "raid_mismatch_count": ("number", "Mismatches", 0),
    "raid_sync_action": ("string", "SyncAction", 0),
    "raid_write_behind": ("number", "WBehind", 0),
    "raid_min_recovery_rate": ("number", "MinSync", 0),
    "raid_max_recovery_rate": ("number", "MaxSync", 0),
    "raidintegritymode": ("string", "IntegMode", 0),
    "raidintegrityblocksize": ("number", "IntegBlkSize", 0, "", UNKNOWN),
    "integritymismatches": ("number", "IntegMismatches", 0),
    "convert_lv": ("string", "Convert", 0),
    "convert_lv_uuid": ("string", "Convert UUID", 38),
    "mirror_log": ("string", "Log", 0),
    "mirror_log_uuid": ("string", "Log UUID", 38),
    "data_lv": ("string", "Data", 0),
    "data_lv_uuid": ("string", "Data UUID", 38),
    "metadata_lv": ("string", "Meta", 0),
    "metadata_lv_uuid": ("string", "Meta UUID", 38),
    "pool_lv": ("string", "Pool", 0),
    "pool_lv_uuid": ("string", "Pool UUID", 38),
    "writecache_block_size": ("number", "WCacheBlkSize", 0, "", UNKNOWN),
    "data_percent": ("percent", "Data%", 6),
    "snap_percent": ("percent", "Snap%", 6),
    "metadata_percent": ("percent", "Meta%", 6),
    "copy_percent": ("percent", "Cpy%Sync", 0),
    "sync_percent": ("percent", "Cpy%Sync", 0),
    "cache_total_blocks": ("number", "CacheTotalBlocks", 0),
    "cache_used_blocks": ("number", "CacheUsedBlocks", 16),
    "cache_dirty_blocks": ("number", "CacheDirtyBlocks", 0),
    "cache_read_hits": ("number", "CacheReadHits", 16),
    "cache_read_misses": ("number", "CacheReadMisses", 16),
    "cache_write_hits": ("number", "CacheWriteHits", 16),
    "cache_write_misses": ("number", "CacheWriteMisses", 0),
    "kernel_cache_settings": ("list", "KCacheSettings", 18),
    "kernel_cache_policy": ("string", "KCachePolicy", 18),
    "kernel_metadata_format": ("number", "KMFmt", 0),
    "kernel_discards": ("string", "KDiscards", 0, "=undefined"),
    "lv_check_needed": ("binary", "CheckNeeded", 15, "check needed,needed"),
    "lv_merge_failed": ("binary", "MergeFailed", 15, "merge failed,failed"),
    "lv_snapshot_invalid": ("binary", "SnapInvalid", 15, "snapshot invalid,invalid"),
    "vdo_operating_mode": ("string", "VDOOperatingMode", 0),
    "vdo_compression_state": ("string", "VDOCompressionState", 0),
    "vdo_index_state": ("string", "VDOIndexState", 0),
    "vdo_used_size": ("size", "VDOUsedSize", 0),
    "vdo_saving_percent": ("number", "VDOSaving%", 0),
    "writecache_total_blocks": ("number", "WCacheTotalBlocks", 0),
    "writecache_free_blocks": ("number", "WCacheFreeBlocks", 0),
    "writecache_writeback_blocks": ("number", "WCacheWritebackBlocks", 0),
    "writecache_error": ("number", "WCacheErrors", 0),
    "reshape_len": ("size", "RSize", 0),
    "reshape_len_le": ("number", "RSize", 0),
    "data_offset": ("number", "DOff", 0),
    "new_data_offset": ("number", "NOff", 0),
    "parity_chunks": ("number", "#Par", 0),
    "stripe_size": ("size", "Stripe", 0, "", 0),
    "region_size": ("size", "Region", 0, "", 0),
    "chunk_size": ("size", "Chunk", 0, "", 0),
    "thin_count": ("number", "#Thins", 0),
    "discards": ("string", "Discards", 0),
    "cache_metadata_format": ("number", "CMFmt", 0),
    "cache_mode": ("string", "CacheMode", 0),
    "zero": ("binary", "Zero", 0, "zero"),
    "transaction_id": ("number", "TransId", 0),
    "thin_id": ("number", "ThId", 0),
    "seg_metadata_le_ranges": ("list", "Metadata LE Ranges", 0),
    "metadata_devices": ("list", "Metadata Devs", 0),
    "seg_monitor": ("string", "Monitor", 0, "=undefined"),
    "cache_policy": ("string", "CachePolicy", 0, "=undefined"),
    "cache_settings": ("list", "CacheSettings", 0),
    "vdo_compression": ("binary", "VDOCompression", 0, "enabled", ""),
    "vdo_deduplication": ("binary", "VDODeduplication", 0, "enabled", ""),
    "vdo_use_metadata_hints": ("binary", "VDOMetadataHints", 0, "enabled", ""),
    "vdo_minimum_io_size": ("number", "VDOMinimumIOSize", 0),
    "vdo_block_map_cache_size": ("size", "VDOBlockMapCacheSize", 0),
    "vdo_block_map_era_length": ("number", "VDOBlockMapEraLength", 0),
    "vdo_use_sparse_index": ("binary", "VDOSparseIndex", 0, "enabled", ""),
    "vdo_index_memory_size": ("size", "VDOIndexMemorySize", 0),
    "vdo_slab_size": ("size", "VDOSlabSize", 0),
    "vdo_ack_threads": ("number", "VDOAckThreads", 0),
    "vdo_bio_threads": ("number", "VDOBioThreads", 0),
    "vdo_bio_rotation": ("number", "VDOBioRotation", 0),
    "vdo_cpu_threads": ("number", "VDOCPUThreads", 0),
    "vdo_hash_zone_threads": ("number", "VDOHashZoneThreads", 0),
    "vdo_logical_threads": ("number", "VDOLogicalThreads", 0),
    "vdo_physical_threads": ("number", "VDOPhysicalThreads", 0),
    "vdo_max_discard": ("number", "VDOMaxDiscard", 0),
    "vdo_write_policy": ("string", "VDOWritePolicy", 0, "=undefined"),
    "vdo_header_size": ("size", "VDOHeaderSize", 0),
}  # fmt: skip
"""By name: kind, heading, width, then optionally words and absent value."""


def complete(row: Row) -> Row:
    """The whole row of a name and its section."""
    name, section = row
    kind, heading, width, *more = LAYOUT[str(name)]
    return name, section, kind, heading, width, HELP, *more
