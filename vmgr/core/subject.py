"""What a command is applied to, as a user names it: groups, volumes, or all that carry a tag."""

from __future__ import annotations

from attrs import frozen

from vmgr.core.ids import GroupName, LvName, Tag, VgName, printed_uuid


@frozen
class Subject:
    """A group (``vg``, its name or UUID), a volume (``vg`` and ``lv``), or all that carry ``tag``."""

    vg: str = ""
    lv: str = ""
    tag: str = ""

    def __str__(self) -> str:
        return f"@{self.tag}" if self.tag else f"{self.vg}/{self.lv}" if self.lv else self.vg

    @classmethod
    def parse(cls, text: str) -> Subject:
        """What ``vg``, ``vg/lv`` or ``@tag`` names. Raises :class:`InvalidName`."""
        if text.startswith("@"):
            return cls(tag=Tag(text[1:]))
        vg, _, lv = text.partition("/")
        if not isinstance(text, GroupName) and printed_uuid(vg) is None:
            VgName(vg)
        return cls(text if isinstance(text, GroupName) else vg, LvName(lv) if lv else "")
