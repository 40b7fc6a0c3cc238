"""A device tree as text, byte for byte as ``dmsetup ls --tree`` draws it.

:class:`TreeStyle` has the options. The oddities are dmsetup's own and kept, because scripts read
this: how a line is cut, what ``compact`` does, option words that may be abbreviated to any length. Source:
``_display_tree*``, ``_out_*`` and ``_process_tree_options`` of ``libdm/dm-tools/dmsetup.c``, observed in 1.02.185.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.dm.tree import DeviceTree, TreeNode

WIDTH = 80
"""Columns used when the output is not a terminal."""

_MARGIN = 3
_DEEPEST = 98
"""The number of levels that are printed; deeper ones are left out (``MAX_DEPTH`` less two)."""


class Symbols(NamedTuple):
    """The pieces of lines."""

    empty: str
    branch: str
    vertical: str
    last: str
    single: str
    first: str


def _vt100(text: str) -> str:
    """In the terminal's other character set."""
    return f"\033(0\017{text}\033(B"


SYMBOLS = {
    "ascii": Symbols("  ", "|-", "| ", "`-", "---", "-+-"),
    "utf": Symbols("  ", "├─", "│ ", "└─", "───", "─┬─"),
    "vt100": Symbols("  ", _vt100("tq"), _vt100("x") + " ", _vt100("mq"), _vt100("qqq"), _vt100("qwq")),
}


class TreeStyle(NamedTuple):
    """What ``dmsetup ls --tree -o`` can ask for.

    Of each device: ``device`` (``(major:minor)``), ``kernel_name`` (``<dm-0>``, dmsetup's ``blkdevname``), and of
    device-mapper devices ``active``, ``rw``, ``open`` and ``uuid``. Of the whole: ``compact``, ``inverted``,
    ``truncate`` (its ``notrunc`` turns that off), ``symbols`` (``ascii``, ``utf`` or ``vt100``). ``targets`` is its
    ``table`` and ``status``, which do nothing but turn ``compact`` off.
    """

    device: bool = True
    kernel_name: bool = False
    active: bool = False
    rw: bool = False
    open: bool = False
    uuid: bool = False
    compact: bool = False
    inverted: bool = False
    truncate: bool = True
    symbols: str = "ascii"
    targets: bool = False

    @classmethod
    def parse(cls, options: str, *, utf8: bool = False) -> TreeStyle:
        """The style for the words of ``-o``, separated by commas. An abbreviation means the first word that fits.

        ``utf8``: the locale's encoding is UTF-8, so lines are drawn in UTF-8 unless a word says otherwise.
        Raises :class:`UsageError` for an unknown word.
        """
        style = cls(symbols="utf" if utf8 else "ascii")
        words = options.split(",")
        if words[-1] == "":
            words.pop()  # a final comma has no meaning
        for i, word in enumerate(words):
            change = next((change for known, change in _WORDS if known.startswith(word)), None)
            if change is None:
                raise UsageError(
                    f"Tree options not recognised: {','.join(words[i:])}.",
                    hint="known are " + ", ".join(known for known, _ in _WORDS),
                )
            style = style._replace(**change)
        return style


_WORDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("device", {"device": True}),
    ("blkdevname", {"kernel_name": True}),
    ("nodevice", {"device": False}),
    ("status", {"targets": True}),
    ("table", {"targets": True}),
    ("active", {"active": True}),
    ("open", {"open": True}),
    ("uuid", {"uuid": True}),
    ("rw", {"rw": True}),
    ("utf", {"symbols": "utf"}),
    ("vt100", {"symbols": "vt100"}),
    ("ascii", {"symbols": "ascii"}),
    ("inverted", {"inverted": True}),
    ("compact", {"compact": True}),
    ("notrunc", {"truncate": False}),
)
"""In the order in which dmsetup tries them."""


def draw(
    tree: DeviceTree,
    style: TreeStyle,
    *,
    columns: int | None = None,
    unmangle: Callable[[str], str] | None = None,
) -> str:
    """The tree as text, each line ended; ``""`` for no devices (where dmsetup says "No devices found").

    ``columns`` is the terminal's width, None when the output goes elsewhere: then lines have :data:`WIDTH`. dmsetup
    asks the terminal of its standard output and heeds no ``COLUMNS``. ``unmangle`` turns the kernel's names into
    what is shown. A name that is not UTF-8 comes through as surrogate escapes.
    """
    return _Drawing(tree, style, columns, unmangle or str).all().decode("utf-8", "surrogateescape")


class _Line:
    """Where characters go: counts columns, cuts what is too long."""

    def __init__(self, width: int, truncate: bool) -> None:
        self.out = bytearray()
        self.x = 1
        self._width, self._truncate = width, truncate
        self._kept = 0  # the character for the last column, held back until the next one arrives or the line ends

    def put(self, text: str) -> None:
        for c in text.encode("utf-8", "surrogateescape"):
            begins = c & 0xC0 != 0x80  # the later bytes of a character need no column
            self.x += begins
            if not self._truncate or self.x <= self._width:
                self.out.append(c)
            if self._truncate and begins and self.x == self._width + 1:
                if self._kept or c & 0x80:
                    self.out += b"..."
                else:
                    self._kept = c
                    self.x -= 1

    def end(self) -> None:
        if self._kept and self.x == self._width:
            self.out.append(self._kept)
        self._kept = 0
        self.out += b"\n"
        self.x = 1


class _Drawing:
    """One tree being drawn. ``_width`` and ``_more`` hold what later lines need, by level."""

    def __init__(
        self, tree: DeviceTree, style: TreeStyle, columns: int | None, unmangle: Callable[[str], str]
    ) -> None:
        width = WIDTH
        # The other character set's escapes would be counted as columns.
        if columns is not None and columns > _MARGIN and style.symbols != "vt100":
            width = columns - _MARGIN
        self._tree, self._style, self._unmangle = tree, style, unmangle
        self._symbols = SYMBOLS[style.symbols]
        self._line = _Line(width, style.truncate)
        attributes = style.active or style.rw or style.open or style.uuid
        self._compact = style.compact and not attributes and not style.targets
        self._width = [0] * (_DEEPEST + 2)
        self._more = [False] * (_DEEPEST + 2)

    def all(self) -> bytes:
        style = self._style
        for depth, node, last in self._tree.walk(inverted=style.inverted):
            if depth <= _DEEPEST:
                self._node(depth, node, last, bool(node.used_by if style.inverted else node.uses))
        return bytes(self._line.out)

    def _node(self, depth: int, node: TreeNode, last: bool, has_children: bool) -> None:
        style, line = self._style, self._line
        if node.device is None and not (style.device or style.kernel_name):
            return
        self._more[depth] = not last
        self._width[depth] = 0
        starts_line = line.x == 1
        if starts_line or not self._compact:
            self._prefix(depth)
        begin = line.x
        if self._compact and not starts_line:
            line.put(self._symbols.first if self._more[depth] else self._symbols.single)
        line.put(self._unmangle(node.name))
        # A blank comes first even where there is no name.
        if style.kernel_name and node.kernel_name:
            line.put(f" <{node.kernel_name}>")
        if style.device:
            line.put(f" ({node.number})")
        self._attributes(node)
        if self._compact:
            self._width[depth] = line.x - begin
        if not self._compact or not has_children:
            line.end()
        if style.targets:
            self._more[depth + 1] = has_children

    def _prefix(self, depth: int) -> None:
        symbols = self._symbols
        for d in range(depth):
            self._line.put(" " * (self._width[d] + 1))
            if d == depth - 1:
                self._line.put(symbols.branch if self._more[depth] else symbols.last)
            else:
                self._line.put(symbols.vertical if self._more[d + 1] else symbols.empty)

    def _attributes(self, node: TreeNode) -> None:
        device, style = node.device, self._style
        if device is None:
            return
        words = []
        if style.active:
            words.append("SUSPENDED" if device.suspended else "ACTIVE")
        if style.rw:
            words.append("RO" if device.read_only else "RW")
        if style.open:
            words.append(str(device.open_count))
        if style.uuid:
            words.append(self._unmangle(device.uuid))
        if words:
            self._line.put(f" [{', '.join(words)}]")
