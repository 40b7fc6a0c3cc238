"""LVM2's own layout of a metadata text to a core group, fast. Stub: everything goes the general way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.ondisk.codec import DecodedGroup, Decoder


def decode_canonical(text: str, targets: Decoder) -> DecodedGroup | None:
    """Read a text in LVM2's layout; None for any other, which goes the general way."""
    return None
