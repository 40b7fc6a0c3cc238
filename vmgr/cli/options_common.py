"""Options that every command takes, and how they become :class:`~vmgr.outcome.RunOptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Option
from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmgr.outcome import RunOptions

COMMON = (
    Option(
        "commandprofile",
        "text",
        "Read settings from the command profile of this name; see lvm.conf(5).",
    ),
    Option(
        "config",
        "text",
        "Settings that override lvm.conf, in its own syntax or as section/field=value.",
    ),
    Option(
        "debug",
        "count",
        "Tell in detail what is done; more with each repetition. Also shows the traceback of an internal error.",
        short="d",
    ),
    Option(
        "devices",
        "text",
        "Use only these devices; others appear to be missing. May be repeated, or a list with commas.",
        metavar="Device",
        many=True,
    ),
    Option(
        "devicesfile",
        "text",
        "Use this devices file in place of the configured one; an empty name means no devices file.",
        metavar="File",
    ),
    Option(
        "driverloaded",
        "yesno",
        "With n, do not ask the kernel's device mapper: reports show as unknown what only it knows, and changes"
        " take every volume for inactive.",
    ),
    Option("help", "flag", "Show help and exit.", short="h"),
    Option(
        "journal",
        "text",
        "Accepted for LVM2's sake (command, output or debug); vmgr writes nothing to the journal.",
    ),
    Option("lockopt", "text", "Accepted for LVM2's sake, as a list with commas; vmgr does not use lvmlockd."),
    Option("longhelp", "flag", "Show help with everything there is to say, and exit."),
    Option("nohints", "flag", "Accepted for LVM2's sake; vmgr does not read the hints file."),
    Option("nolocking", "flag", "Take no locks. Other commands that run at the same time may ruin the metadata."),
    Option(
        "profile",
        "text",
        "An alias of --metadataprofile where the command has that, else of --commandprofile.",
    ),
    Option("quiet", "count", "Print less; given twice, also answer every question with no.", short="q"),
    Option(
        "test",
        "flag",
        "Print the plan (changes of metadata, tables, steps in order) and change nothing.",
        short="t",
    ),
    Option("verbose", "count", "Tell what is done; more with each repetition.", short="v"),
    Option("version", "flag", "Show the version and exit."),
    Option("yes", "flag", "Answer every question with yes.", short="y"),
)
"""In LVM2's command definitions: ``OO_ALL``."""

_JOURNAL = ("command", "output", "debug")
_LOCKOPT = (
    "force", "shupdate", "norefresh", "skipgl", "skipvg", "skiplv", "auto", "nowait", "autonowait", "adoptls",
    "adoptgl", "adoptvg", "adoptlv", "adopt", "nodelay", "repair", "repairgl", "repairvg", "repairlv",
)  # fmt: skip
"""The words that LVM2 knows: ``lib/log/log.c`` (``log_journal_str_to_val``), ``lib/locking/lvmlockd.c``."""


def unrecognized(values: Mapping[str, object]) -> Iterator[str]:
    """What to say of values that LVM2 would not know, of options that are accepted for its sake.

    LVM2 ignores them with such a warning, too: one that is mistyped has no effect in either.
    """
    journal, lockopt = values.get("journal"), values.get("lockopt")
    if isinstance(journal, str) and journal.lower() not in _JOURNAL:
        yield f'Ignoring unrecognized journal value "{journal}": use {", ".join(_JOURNAL[:-1])} or {_JOURNAL[-1]}'
    for word in lockopt.split(",") if isinstance(lockopt, str) else ():
        if word.strip() and word.strip() not in _LOCKOPT:
            yield f"Ignoring unknown lockopt value: {word.strip()}"


def run_options(values: Mapping[str, object], *, command: str, environ: Mapping[str, str]) -> RunOptions:
    """What the common options, and those of the same meaning in several commands, say about how to run.

    ``command`` is the whole command line as text.
    """
    from vmgr.outcome import RunOptions

    def text(name: str) -> str:
        value = values.get(name, "")
        assert isinstance(value, str)
        return value

    def flag(name: str) -> bool:
        return bool(values.get(name, False))

    def number(name: str) -> int | None:
        value = values.get(name)
        assert value is None or isinstance(value, int)
        return value

    devices = values.get("devices")
    assert devices is None or isinstance(devices, tuple)
    if devices and text("devicesfile"):
        raise UsageError("a --devices list cannot be used with --devicesfile", hint="give only one of them")
    autobackup = values.get("autobackup")
    config = text("config")
    sysinit = flag("sysinit")
    return RunOptions(
        command=command,
        config=(config,) if config else (),
        command_profile=text("commandprofile") or text("profile") or environ.get("LVM_COMMAND_PROFILE", ""),
        metadata_profile=text("metadataprofile"),
        devices=None if devices is None else tuple(d for value in devices for d in value.split(",") if d),
        devices_file=text("devicesfile") if "devicesfile" in values else None,
        test=flag("test"),
        yes=flag("yes"),
        autobackup=None if autobackup is None else bool(autobackup),
        locking=not flag("nolocking"),
        ignore_lock_failure=flag("ignorelockingfailure") or sysinit,
        read_only=flag("readonly"),
        use_kernel=bool(values.get("driverloaded", True)),
        udev_sync=not flag("noudevsync"),
        force=number("force") or 0,
        fs="resize" if flag("resizefs") else text("fs") or None,
        fs_mode=text("fsmode") or None,
        check_fs=not flag("nofsck"),
        background=flag("background"),
        interval=number("interval"),
        poll=values.get("poll") is not False and not sysinit,
    )
