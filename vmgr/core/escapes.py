"""Control characters made visible: what comes from disks, names or the kernel must not steer a terminal."""

from __future__ import annotations

_VISIBLE = {
    code: f"\\u{code:04x}"
    for first, end in ((0x00, 0x09), (0x0B, 0x20), (0x7F, 0xA0), (0xDC80, 0xDCA0))
    for code in range(first, end)
}
"""C0 but for tab and line feed, DEL, C1, and the bytes of C1 in what is no UTF-8 (ECMA-48, section 5)."""


def escape_controls(text: str) -> str:
    r"""``text`` with control characters as ``\u001b``, which JSON reads as the same character.

    Tabs and line feeds stay: they are the layout's.
    """
    return text.translate(_VISIBLE)
