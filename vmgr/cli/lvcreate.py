"""``lvcreate``: make a volume. What kinds there are, and most options, come from the target plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import default_group, split_volume
from vmgr.cli.options_change import (
    ACTIVATE,
    ADDTAG,
    ALLOC,
    AUTOACTIVATION,
    AUTOBACKUP,
    CONTIGUOUS,
    IGNOREMONITORING,
    IGNORESKIP,
    MAJOR,
    METADATAPROFILE,
    MINOR,
    MONITOR,
    NOUDEVSYNC,
    PERMISSION,
    PERSISTENT,
    READAHEAD,
    REPORTFORMAT,
    SKIP,
    TYPE,
)
from vmgr.cli.output import conclude
from vmgr.core.errors import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.amounts import SizeSpec


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the volume."""
    import os

    from vmgr.core.requests import CreateVolume

    vg, name, origin, rest = place(invocation, os.environ, app.config.dev_dir)
    persistent, minor = invocation.yesno("persistent"), invocation.number("minor")
    if persistent and minor is None:
        raise Refused("--persistent y needs --minor", hint="give the number that the device shall have")
    if persistent is False:
        minor = None
    options = invocation.plugin_options()
    if invocation.given("stripesize") and not invocation.given("stripes"):
        raise UsageError("--stripesize goes with --stripes", hint="say how many stripes there shall be: -i NUMBER")
    size = absolute(invocation.spec("size", "extents"))
    if size is None and not options and not invocation.given("type"):
        raise UsageError("lvcreate needs --size or --extents", hint="say how large the volume shall be, as -L 10g")
    autoactivate = invocation.yesno("setautoactivation")
    major = invocation.number("major")
    request = CreateVolume(
        size=size,
        name=name,
        type=invocation.text("type"),
        origin=origin,
        options=options,
        pvs=rest,
        alloc=policy(invocation) or "inherit",
        tags=invocation.tags("addtag"),
        read_only=invocation.text("permission") == "r",
        activate=invocation.text("activate") or "y",
        zero=invocation.yesno("zero"),
        wipe_signatures=invocation.yesno("wipesignatures"),
        activation_skip=invocation.yesno("setactivationskip"),
        ignore_skip=invocation.flag("ignoreactivationskip"),
        autoactivate=True if autoactivate is None else autoactivate,
        read_ahead=invocation.number("readahead"),
        numbers=None if minor is None else (-1 if major is None else major, minor),
        profile=invocation.text("metadataprofile") or "",
    )
    return conclude(app, invocation, app.lvcreate(vg, request))


def place(
    invocation: Invocation, environ: Mapping[str, str], dev_dir: str
) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """(group, the new volume's name, the origin's, what is left of the arguments).

    The group comes from the first argument (``vg``, or ``vg/origin``), from ``--name vg/lv``, or from
    ``LVM_VG_NAME``; where two of them name it, they must agree.
    """
    from vmgr.core.ids import LvName, VgName

    groups: dict[str, str] = {}
    name = None
    text = invocation.text("name")
    if text is not None:
        vg, lv = split_volume(text, dev_dir)
        if vg:
            groups.setdefault(vg, "--name")
        if not lv:
            raise UsageError(f"--name {text!r} names no volume", hint="give the volume's name, or group/name")
        name = LvName.chosen(lv)
    origin, rest = None, invocation.arguments
    if rest:
        vg, lv = split_volume(rest[0], dev_dir)
        if vg:
            origin = lv or None
        else:
            vg = VgName(lv)
        groups.setdefault(vg, "the first argument")
        rest = rest[1:]
    if not groups:
        default = default_group(environ, dev_dir)
        if not default:
            raise UsageError(
                "lvcreate needs VG: the group of the new volume",
                hint="usage: lvcreate -L SIZE -n NAME VG; or set LVM_VG_NAME",
            )
        groups[default] = "LVM_VG_NAME"
    if len(groups) > 1:
        (one, source), (other, elsewhere) = groups.items()
        raise UsageError(
            f"two groups are named: {one} by {source} and {other} by {elsewhere}", hint="name one group only"
        )
    return next(iter(groups)), name, origin, rest


def policy(invocation: Invocation) -> str | None:
    """The allocation policy that ``--alloc`` or ``--contiguous`` asks for."""
    contiguous = invocation.yesno("contiguous")
    if contiguous is None:
        return invocation.text("alloc")
    return "contiguous" if contiguous else "inherit"


def absolute(size: SizeSpec | None) -> SizeSpec | None:
    """Without the plus sign that LVM2's lvcreate has always let pass."""
    from vmgr.core.amounts import SizeSpec

    return None if size is None else SizeSpec(size.value)


DECLARED = {
    "lvcreate": Command(
        "lvcreate",
        "Make a logical volume.",
        usages=(
            "-L|--size Size[m|UNIT] VG [PV ...]",
            "-l|--extents Number[PERCENT] VG [PV ...]",
            "OPTION ... VG/LV [PV ...]",
        ),
        run=run,
        arguments=(
            Argument("VG|VG/LV", "the group of the new volume, or the volume to start from", needed=False),
            Argument("PV", "a physical volume to allocate from, as /dev/sdb:0-99, or @tag", False, True),
        ),
        options=(
            ACTIVATE,
            ADDTAG,
            ALLOC,
            AUTOBACKUP,
            CONTIGUOUS,
            Option(
                "extents",
                "extents",
                "The size in extents, or a percentage: of the group (%VG), of its free space (%FREE), of that of"
                " the PVs named (%PVS), or of the origin (%ORIGIN).",
                "l",
                sign="+",
                metavar="Number[PERCENT]",
            ),
            IGNORESKIP,
            IGNOREMONITORING,
            MAJOR,
            METADATAPROFILE,
            MINOR,
            MONITOR,
            Option("name", "text", "The new volume's name, or group/name; lvolN without it.", "n", metavar="LV"),
            NOUDEVSYNC,
            PERMISSION,
            PERSISTENT,
            READAHEAD,
            REPORTFORMAT,
            SKIP,
            AUTOACTIVATION,
            Option(
                "size",
                "size",
                "The size, rounded up to whole extents.",
                "L",
                sign="+",
                metavar="Size[m|UNIT]",
            ),
            TYPE,
            Option(
                "wipesignatures",
                "yesno",
                "Whether to look for old signatures on the new volume and, after a question, wipe them.",
                "W",
            ),
            Option("zero", "yesno", "Whether to clear the first 4 KiB of the new volume (usually y).", "Z"),
        ),
        exclusive=(("size", "extents"), ("alloc", "contiguous")),
        unsupported=(
            "cache/H", "cachedevice", "cachemetadataformat", "cachemode", "cachepolicy",
            "cachepool", "cachesettings", "cachesize", "cachevol", "chunksize/c", "compression",
            "corelog", "deduplication", "discards", "errorwhenfull", "maxrecoveryrate",
            "minrecoveryrate", "mirrorlog", "mirrors/m", "nosync", "poolmetadatasize",
            "poolmetadataspare", "raidintegrity", "raidintegrityblocksize", "raidintegritymode",
            "regionsize/R", "snapshot/s", "stripes/i", "stripesize/I", "thin/T", "thinpool",
            "vdo", "vdopool", "vdosettings", "virtualsize/V", "virtualoriginsize",
        ),
        from_plugins=True,
        changes=True,
    )
}  # fmt: skip
