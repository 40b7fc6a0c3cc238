"""LVM2's on-disk format, read and written. Pure: bytes to core values and back; no input or output."""
