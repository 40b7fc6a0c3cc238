"""``lvconvert``: turn a volume into something else. What into, and how it is said, comes from target plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import split_volume, subject
from vmgr.cli.options_change import ALLOC, AUTOBACKUP, FORCE, NOUDEVSYNC, REPORTFORMAT, TYPE
from vmgr.cli.output import conclude
from vmgr.core.errors import InvalidName, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the conversion."""
    import os

    from vmgr.core.requests import ConvertVolume, RepairVolume

    options = invocation.plugin_options()
    if not options and not invocation.given("type"):
        raise UsageError("lvconvert needs an option that says what to do", hint="see `vmgr lvconvert --help`")
    dev_dir = app.config.dev_dir
    pvs = [word for word in invocation.arguments[1:] if is_device(word, dev_dir)]
    volumes = [word for word in invocation.arguments if word not in pvs]
    alloc, word = invocation.text("alloc"), invocation.text("type")
    request: ConvertVolume | RepairVolume
    if dict(options).get("repair") and word is None:
        request = RepairVolume(options=options, pvs=pvs, alloc=alloc)
    else:
        request = ConvertVolume(options=options, type=word, pvs=pvs, alloc=alloc)
    chosen = tuple(dict.fromkeys(subject(word, os.environ, dev_dir) for word in volumes))
    return conclude(app, invocation, app.lvconvert(chosen, request))


def is_device(word: str, dev_dir: str) -> bool:
    """Whether an argument is the path of a device rather than of a volume."""
    if not word.startswith("/"):
        return False
    try:
        vg, lv = split_volume(word, dev_dir)
    except InvalidName:
        return True
    return not (vg and lv)


DECLARED = {
    "lvconvert": Command(
        "lvconvert",
        "Turn a logical volume into something else; merge a snapshot.",
        usages=("OPTION ... VG|LV|Tag ... [PV ...]",),
        run=run,
        arguments=(
            Argument("VG|LV|Tag", "a volume as group/volume, a group for all its volumes, or @tag", many=True),
            Argument("PV", "a physical volume to allocate from, as /dev/sdb:0-99", needed=False, many=True),
        ),
        options=(
            ALLOC,
            AUTOBACKUP,
            Option("background", "flag", "Return at once; do not wait for the end of what has been started.", "b"),
            FORCE,
            Option("interval", "number", "Tell how far it is every so many seconds; 0: wait without a word.", "i"),
            NOUDEVSYNC,
            REPORTFORMAT,
            TYPE,
        ),
        unsupported=(
            "cache/H", "cachedevice", "cachemetadataformat", "cachemode", "cachepolicy",
            "cachepool", "cachesettings", "cachesize", "cachevol", "chunksize/c", "compression",
            "corelog", "deduplication", "discards", "errorwhenfull", "merge", "mergemirrors",
            "mergesnapshot", "mergethin", "metadataprofile", "mirrorlog", "mirrors/m", "name/n",
            "originname", "poolmetadata", "poolmetadatasize", "poolmetadataspare",
            "raidintegrity", "raidintegrityblocksize", "raidintegritymode", "readahead/r",
            "regionsize/R", "repair", "replace", "snapshot/s", "split", "splitcache",
            "splitmirrors", "splitsnapshot", "startpoll", "stripes", "stripesize/I",
            "swapmetadata", "thin/T", "thinpool", "trackchanges", "uncache", "usepolicies",
            "vdopool", "vdosettings", "virtualsize/V", "zero/Z",
        ),
        from_plugins=True,
        changes=True,
    )
}  # fmt: skip
