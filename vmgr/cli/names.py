"""Names as users write them: ``vg``, ``vg/lv``, ``/dev/vg/lv``, ``/dev/mapper/vg-lv``, ``@tag``, ``PV:0-99``.

Pure. A device directory is handed in (``DM_DEV_DIR``), and so is the group that ``LVM_VG_NAME`` names.
Source: LVM2 ``tools/toollib.c`` (``skip_dev_dir``, ``_get_arg_lvnames``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidName, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmgr.core.subject import Subject

VG_NAME_VARIABLE = "LVM_VG_NAME"


def strip_device_directory(text: str, dev_dir: str = "/dev") -> tuple[str, bool]:
    """``vg`` or ``vg/lv`` for a path to a volume, and whether there was a path.

    Raises :class:`InvalidName` for a path to something else.
    """
    prefix = dev_dir.rstrip("/") + "/"
    plain = "/" + text.lstrip("/") if text.startswith("/") else text
    if not plain.startswith(prefix):
        if plain.startswith("/"):
            raise InvalidName(
                f"{text!r} is not a path of a volume", hint=f"give group/volume, or {prefix}group/volume"
            )
        return text, False
    rest = plain[len(prefix) :].lstrip("/")
    if rest.startswith("mapper/"):
        from vmgr.core.naming import split_dm_name

        vg, lv, layer = split_dm_name(rest[len("mapper/") :].lstrip("/"))
        if layer or not vg:
            raise InvalidName(f"{text!r} is not a path of a volume", hint="give group/volume")
        return (f"{vg}/{lv}" if lv else vg), True
    return rest, True


def split_volume(text: str, dev_dir: str = "/dev") -> tuple[str, str]:
    """(group, volume) of a name; one of them is empty where it is not given: ``vg/lv``, ``/dev/vg``, ``lv``.

    A single word counts as a volume unless it came with a path. Raises :class:`InvalidName`.
    """
    from vmgr.core.ids import LvName, VgName

    plain, path = strip_device_directory(text, dev_dir)
    vg, slash, lv = plain.partition("/")
    lv = lv.lstrip("/")
    if slash:
        if "/" in lv:
            raise InvalidName(f"{text!r} has too many slashes", hint="give group/volume")
        if not vg:
            raise InvalidName(f"{text!r} names no group", hint="give group/volume")
        return VgName(vg), LvName(lv) if lv else ""
    return (VgName(vg), "") if path else ("", LvName(vg))


def subject(text: str, environ: Mapping[str, str], dev_dir: str = "/dev") -> Subject:
    """What a command is applied to: ``vg``, ``vg/lv``, ``@tag``; ``lv`` alone where ``LVM_VG_NAME`` is set."""
    from vmgr.core.ids import Tag, VgName
    from vmgr.core.subject import Subject

    if text.startswith("@"):
        return Subject(tag=Tag(text[1:]))
    vg, lv = split_volume(text, dev_dir)
    if vg:
        return Subject(vg, lv)
    default = default_group(environ, dev_dir)
    if default:
        return Subject(default, lv)
    return Subject(VgName(lv))


def subjects(words: Sequence[str], environ: Mapping[str, str], dev_dir: str = "/dev") -> tuple[Subject, ...]:
    """:func:`subject` of each word, each once, in order."""
    return tuple(dict.fromkeys(subject(word, environ, dev_dir) for word in words))


def group_subjects(words: Sequence[str], dev_dir: str = "/dev") -> tuple[Subject, ...]:
    """Like :func:`subjects` for commands that take groups only: ``vg``, ``/dev/vg``, ``@tag``."""
    from vmgr.core.ids import Tag
    from vmgr.core.subject import Subject

    found = [
        Subject(tag=Tag(word[1:])) if word.startswith("@") else Subject(group(word, dev_dir)) for word in words
    ]
    return tuple(dict.fromkeys(found))


def group_of_change(text: str, dev_dir: str = "/dev") -> str:
    """Like :func:`group`, for commands in which LVM2 checks the name only later: a failure (status 5)."""
    try:
        return group(text, dev_dir)
    except InvalidName as error:
        raise Refused(error.message, hint=error.hint) from None


def group(text: str, dev_dir: str = "/dev") -> str:
    """A group's name: ``vg`` or ``/dev/vg``. Raises :class:`InvalidName`."""
    from vmgr.core.ids import VgName

    plain, _ = strip_device_directory(text, dev_dir)
    plain = plain.rstrip("/") if plain.count("/") == 1 and plain.endswith("/") else plain
    if "/" in plain:
        raise InvalidName(f"{text!r} is not a group's name", hint="give the group alone, without a slash")
    return VgName(plain)


def volume(text: str, environ: Mapping[str, str], dev_dir: str = "/dev") -> Subject:
    """A volume: ``vg/lv``, or ``lv`` where ``LVM_VG_NAME`` is set. Raises :class:`UsageError`."""
    from vmgr.core.subject import Subject

    vg, lv = split_volume(text, dev_dir)
    if not lv:
        raise UsageError(f"{text!r} names a group, not a volume", hint="give group/volume")
    vg = vg or default_group(environ, dev_dir)
    if not vg:
        raise UsageError(f"volume {text!r} needs its group's name", hint=f"give group/{text}, or set LVM_VG_NAME")
    return Subject(vg, lv)


def default_group(environ: Mapping[str, str], dev_dir: str = "/dev") -> str:
    """The group that ``LVM_VG_NAME`` names; empty without one. Raises :class:`InvalidName`."""
    text = environ.get(VG_NAME_VARIABLE, "")
    return group(text, dev_dir) if text else ""
