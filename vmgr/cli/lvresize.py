"""``lvextend``, ``lvreduce``, ``lvresize``: give a volume another size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import volume
from vmgr.cli.options_change import ALLOC, AUTOBACKUP, FORCE, NOUDEVSYNC, REPORTFORMAT, RESIZEFS, TYPE
from vmgr.cli.output import conclude
from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run_extend(app: Application, invocation: Invocation) -> int:
    """Ask for a larger size."""
    from vmgr.core.requests import ExtendVolume

    vg, fields = _asked(app, invocation)
    return conclude(app, invocation, app.lvextend(vg, ExtendVolume(**fields)))


def run_reduce(app: Application, invocation: Invocation) -> int:
    """Ask for a smaller size."""
    from vmgr.core.requests import ReduceVolume

    vg, fields = _asked(app, invocation)
    return conclude(app, invocation, app.lvreduce(vg, ReduceVolume(**fields)))


def run_resize(app: Application, invocation: Invocation) -> int:
    """Ask for another size."""
    from vmgr.core.requests import ResizeVolume

    vg, fields = _asked(app, invocation)
    return conclude(app, invocation, app.lvresize(vg, ResizeVolume(**fields)))


def _asked(app: Application, invocation: Invocation) -> tuple[str, dict[str, Any]]:
    """The group, and the fields of the request that were given."""
    import os

    name, *pvs = invocation.arguments
    size = invocation.spec("size", "extents")
    if size is None and not pvs:
        raise UsageError(
            f"{invocation.command.name} needs --size, --extents or physical volumes",
            hint="say how large the volume shall be, as -L 10g, or by how much, as -L +1g",
        )
    if invocation.text("fs") == "resize_fsadm" and invocation.given("fsmode"):
        raise UsageError("--fsmode does not go with --fs resize_fsadm", hint="use --fs resize")
    subject = volume(name, os.environ, app.config.dev_dir)
    asked = {
        "lv": subject.lv,
        "size": size,
        "type": invocation.text("type"),
        "options": invocation.plugin_options(),
        "pvs": pvs,
        "alloc": invocation.text("alloc"),
    }
    return subject.vg, {name: value for name, value in asked.items() if value}


def _sizes(sign: str, what: str) -> tuple[Option, ...]:
    return (
        Option(
            "extents",
            "extents",
            f"The size in extents, {what}, or a percentage: of the group (%VG), of its free space (%FREE), of that"
            " of the PVs named (%PVS), of the volume (%LV), or of its origin (%ORIGIN).",
            "l",
            sign=sign,
        ),
        Option("size", "size", f"The size, {what}; rounded to whole extents.", "L", sign=sign),
    )


_LV = Argument("LV", "the volume, as group/volume")
_PVS = Argument("PV", "a physical volume to allocate from, as /dev/sdb:0-99, or @tag", needed=False, many=True)
_NOFSCK = Option("nofsck", "flag", "With --resizefs, do not check the file system first.", "n")
_FS = Option(
    "fs",
    "word",
    "What becomes of what lies on the volume: resize it, too (as --resizefs); checksize: shrink the volume only if"
    " its content does not reach beyond the new end (the default); ignore: do not look. resize_fsadm is the same as"
    " resize.",
    choices=("checksize", "resize", "resize_fsadm", "ignore"),
)
_FSMODE = Option(
    "fsmode",
    "word",
    "What a resize of the content may do to mounts and active swap: manage: whatever is needed, and put it back"
    " (the default, after a question); nochange: nothing; offline: unmount first.",
    choices=("manage", "nochange", "offline"),
)
_ALIKE = (AUTOBACKUP, FORCE, _FS, _FSMODE, _NOFSCK, NOUDEVSYNC, REPORTFORMAT, RESIZEFS)
_NOT_HERE = ("mirrors/m", "nosync", "poolmetadatasize", "stripes/i", "stripesize/I")

DECLARED = {
    "lvextend": Command(
        "lvextend",
        "Make a logical volume larger.",
        usages=(
            "-L|--size [+]Size[m|UNIT] LV [PV ...]",
            "-l|--extents [+]Number[PERCENT] LV [PV ...]",
            "LV PV ...",
        ),
        run=run_extend,
        arguments=(_LV, _PVS),
        options=(ALLOC, *_ALIKE, *_sizes("+", "or with + how much to add"), TYPE),
        exclusive=(("size", "extents"), ("resizefs", "fs")),
        unsupported=(*_NOT_HERE, "usepolicies"),
        from_plugins=True,
        changes=True,
    ),
    "lvreduce": Command(
        "lvreduce",
        "Make a logical volume smaller. What lies behind its new end is lost.",
        usages=("-L|--size [-]Size[m|UNIT] LV", "-l|--extents [-]Number[PERCENT] LV"),
        run=run_reduce,
        arguments=(_LV,),
        options=(*_ALIKE, *_sizes("-", "or with - the amount to remove")),
        one_of=(("size", "extents"),),
        exclusive=(("size", "extents"), ("resizefs", "fs")),
        from_plugins=True,
        changes=True,
    ),
    "lvresize": Command(
        "lvresize",
        "Give a logical volume another size.",
        usages=(
            "-L|--size [+|-]Size[m|UNIT] LV [PV ...]",
            "-l|--extents [+|-]Number[PERCENT] LV [PV ...]",
            "LV PV ...",
        ),
        run=run_resize,
        arguments=(_LV, _PVS),
        options=(ALLOC, *_ALIKE, *_sizes("+-", "or with + or - the amount to add or remove"), TYPE),
        exclusive=(("size", "extents"), ("resizefs", "fs")),
        unsupported=_NOT_HERE,
        from_plugins=True,
        changes=True,
    ),
}
