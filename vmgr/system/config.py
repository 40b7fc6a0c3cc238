"""The configuration: lvm.conf, lvmlocal.conf, tag files, profiles and ``--config``, read as LVM2 reads them.

A :class:`Config` is made once for a command and answers typed questions about the settings that
:mod:`vmgr.system.settings` lists. What stands where, strongest first: ``--config``, the command profile,
the metadata profile, lvmlocal.conf, host-tag files (``lvm_TAG.conf``), lvm.conf, LVM2's default.
A setting of the wrong type is ignored with a warning, as LVM2 does; a file that cannot be parsed is
a :class:`ConfigError` that names file and line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.core.errors import EXIT_NOT_SET_UP, ConfigError, DamagedMetadata, UsageError, VmgrError
from vmgr.ondisk.text import parse as parse_text
from vmgr.system.settings import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Value = int | float | str | tuple[int | float | str, ...]
Layer = dict[str, Value]
"""Settings of one source by path (``devices/filter``). A section that was opened has ``path/`` as a key."""

DEFAULT_SYSTEM_DIR = "/etc/lvm"

_BOOLEANS = {
    "y": True,
    "yes": True,
    "on": True,
    "true": True,
    "n": False,
    "no": False,
    "off": False,
    "false": False,
}


OPTION = "--config"
"""What messages call settings of the command line."""


def _unusable(message: str, hint: str) -> ConfigError:
    """The error for a configuration with which no command can begin: LVM2 has a status of its own for it."""
    error = ConfigError(message, hint=hint)
    error.exit_code = EXIT_NOT_SET_UP
    return error


def as_flag(value: Value) -> bool | None:
    """What a value means as yes or no; None if it means neither."""
    if isinstance(value, int):
        return bool(value)
    return _BOOLEANS.get(value.lower()) if isinstance(value, str) else None


def parse(text: str, source: str) -> Layer:
    """Read configuration text into a flat mapping; ``source`` names it in errors.

    The grammar is that of metadata texts (:mod:`vmgr.ondisk.text`): a name may be a path
    (``devices/dir = ...``), a later value replaces an earlier one. Raises :class:`ConfigError`.
    """
    layer: Layer = {}
    live = [line for line in map(str.strip, text.split("\n")) if line and line[0] != "#"]
    if not live:
        return layer
    # A file as distributions ship it is 2,400 lines of comments: drop them before the real work, unless a
    # quoted string runs over a line's end (a line of it could look like a comment).
    if all(line.count('"') % 2 == 0 and line.count("'") % 2 == 0 for line in live):
        try:
            tree = parse_text("\n".join(live))
        except DamagedMetadata:
            pass  # once more, to name the right line
        else:
            _flatten(tree, "", layer)
            return layer
    try:
        tree = parse_text(text)
    except DamagedMetadata as error:
        hint = "correct that line; lvm.conf(5) describes the syntax"
        if source == OPTION:
            raise UsageError(f"{source}, {error.message}", hint=hint) from None
        raise _unusable(f"{source}, {error.message}", hint) from None
    _flatten(tree, "", layer)
    return layer


def _flatten(tree: Mapping[str, object], prefix: str, layer: Layer) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            layer[f"{prefix}{key}/"] = ""
            _flatten(value, f"{prefix}{key}/", layer)
        else:
            layer[prefix + key] = value  # type: ignore[assignment]


class Config:
    """Settings for one command, frozen once made.

    ``system_dir`` holds lvm.conf (empty: no file is read); ``dev_dir`` is the device directory, without a final
    slash; ``host_tags`` are the tags of this host; ``warnings`` are messages about ignored settings.
    """

    def __init__(
        self,
        layers: Iterable[Mapping[str, Value]] = (),
        *,
        system_dir: str = DEFAULT_SYSTEM_DIR,
        dev_dir: str | None = None,
        host_tags: tuple[str, ...] = (),
    ) -> None:
        self._layers = tuple(layers)
        self.system_dir = system_dir
        self.host_tags = host_tags
        self.warnings: list[str] = []
        self.dev_dir = (dev_dir or self.text("devices/dir")).rstrip("/") or "/dev"

    def _raw(self, path: str) -> Value | None:
        for layer in self._layers:
            if path in layer:
                return layer[path]
        return None

    def paths(self) -> frozenset[str]:
        """Every setting that a file, a profile or the command line sets, known or not."""
        return frozenset(path for layer in self._layers for path in layer if not path.endswith("/"))

    def is_set(self, path: str) -> bool:
        """Whether a file, a profile or the command line sets ``path``."""
        return self._raw(path) is not None

    def ignored(self, path: str, kind: str) -> None:
        """Note a warning about a value that is not of ``kind``."""
        message = f"Ignoring unsupported value for {path}: expected {kind}"
        if message not in self.warnings:
            self.warnings.append(message)

    def flag(self, path: str) -> bool:
        """A yes-or-no setting: numbers, ``y``, ``yes``, ``on``, ``true`` and their opposites."""
        value = self._raw(path)
        flag = None if value is None else as_flag(value)
        if flag is not None:
            return flag
        if value is not None:
            self.ignored(path, "yes or no (1 or 0)")
        return bool(DEFAULTS[path])

    def number(self, path: str) -> int:
        """A whole number; 0 where LVM2 defines no default."""
        value = self._raw(path)
        if isinstance(value, int):
            return value
        if value is not None:
            self.ignored(path, "a whole number")
        default = DEFAULTS[path]
        return default if isinstance(default, int) else 0

    def text(self, path: str) -> str:
        """A word or string; empty where LVM2 defines no default."""
        value = self._raw(path)
        if isinstance(value, str):
            return value
        if value is not None:
            self.ignored(path, "a string")
        default = DEFAULTS[path]
        return default.replace("{sys}", self.system_dir) if isinstance(default, str) else ""

    def words(self, path: str) -> tuple[str, ...]:
        """A list of strings; a single string counts as a list of one. Empty where there is no default."""
        return self.words_if_set(path) or ()

    def words_if_set(self, path: str) -> tuple[str, ...] | None:
        """A list of strings, or None where nothing sets it and LVM2 defines no default.

        An empty list differs from none for settings such as ``activation/volume_list``.
        """
        value = self._raw(path)
        if isinstance(value, str):
            return (value,)
        if isinstance(value, tuple):
            words = tuple(item for item in value if isinstance(item, str))
            if len(words) == len(value):
                return words
        if value is not None:
            self.ignored(path, "a list of strings")
        default = DEFAULTS[path]
        return default if isinstance(default, tuple) else None

    def raw(self, path: str) -> Value | None:
        """The value as it was written, without a default; for settings of mixed type (``devices/types``)."""
        return self._raw(path)

    def with_metadata_profile(self, name: str) -> Config:
        """This configuration with the metadata profile ``name`` beneath ``--config`` and the command profile.

        Raises :class:`ConfigError` when the profile does not exist or does not parse.
        """
        profile = _read_profile(self.text("config/profile_dir"), name, metadata=True)
        at = min(len(self._layers), getattr(self, "_profile_at", len(self._layers)))
        made = Config(
            (*self._layers[:at], profile, *self._layers[at:]),
            system_dir=self.system_dir,
            dev_dir=self.dev_dir,
            host_tags=self.host_tags,
        )
        made._profile_at = at
        return made

    _profile_at = 1 << 30


def load(
    overrides: Iterable[str] = (),
    *,
    command_profile: str = "",
    metadata_profile: str = "",
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read the configuration of this machine.

    ``overrides`` are the texts of ``--config``, in the order given; a later one is stronger. ``environ``
    (default: the process's) is asked for ``LVM_SYSTEM_DIR`` and ``DM_DEV_DIR``. A missing lvm.conf or
    lvmlocal.conf is fine, an unreadable one is not. Raises :class:`ConfigError`.
    """
    env = os.environ if environ is None else environ
    system_dir = env.get("LVM_SYSTEM_DIR", DEFAULT_SYSTEM_DIR)
    files: list[Layer] = []
    tags: tuple[str, ...] = ()
    if system_dir:
        system_dir = system_dir.rstrip("/") or "/"
        main = _read(f"{system_dir}/lvm.conf") or {}
        files.append(main)
        tags = _host_tags(main, ())
        waiting = list(tags)
        while waiting:
            layer = _read(f"{system_dir}/lvm_{waiting.pop(0)}.conf")
            if layer is None:
                continue
            more = _host_tags(layer, tags)
            waiting += more
            tags += more
            files.append(layer)
        local = _read(f"{system_dir}/lvmlocal.conf")
        if local:
            files.append(local)
    merged = _merge(files, tags)
    # A text of --config that is a path list only ("devices/dir=/x") and one with sections parse alike.
    options = [parse(text, OPTION) for text in overrides][::-1]
    given: list[Layer] = list(options)
    profile_dir = Config((*given, merged), system_dir=system_dir).text("config/profile_dir")
    if command_profile:
        given.append(_read_profile(profile_dir, command_profile, metadata=False))
    above = len(given)
    if metadata_profile:
        given.append(_read_profile(profile_dir, metadata_profile, metadata=True))
    config = Config((*given, merged), system_dir=system_dir, dev_dir=_dev_dir(env), host_tags=tags)
    config._profile_at = above
    _check(config, told=given)
    checks = config.raw("config/checks")
    if options and (checks is None or as_flag(checks)):
        from vmgr.system.disregarded import unknown

        config.warnings += unknown(path for layer in reversed(options) for path in layer)
    return config


def _check(config: Config, *, told: Sequence[Layer]) -> None:
    """Refuse values that LVM2 refuses before it does anything. ``told`` are the layers of the command line."""
    problems: list[tuple[str, str]] = []
    if config.is_set("global/units"):
        from vmgr.core.sizes import parse_units

        try:
            parse_units(config.text("global/units"))
        except VmgrError as error:
            problems.append(("global/units", error.hint))
    if config.text("activation/readahead").lower() not in ("auto", "none"):
        problems.append(("activation/readahead", 'set it to "auto" or "none"'))
    for path, hint in problems:
        message = f'invalid value "{config.raw(path)}" of {path} in the configuration'
        raise ConfigError(message, hint=hint) if any(path in layer for layer in told) else _unusable(message, hint)


def _dev_dir(env: Mapping[str, str]) -> str | None:
    """The device directory that ``DM_DEV_DIR`` names; None when it is not set."""
    path = env.get("DM_DEV_DIR")
    if not path:
        return None
    if not path.startswith("/"):
        raise ConfigError(f"DM_DEV_DIR is {path!r}, not an absolute path", hint="give a path such as /dev")
    return path


def _read(path: str) -> Layer | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(
            f"cannot read {path}: {error.strerror}",
            "correct its permissions, or point LVM_SYSTEM_DIR at another directory",
        ) from None
    return parse(text, path)


def _read_profile(directory: str, name: str, *, metadata: bool) -> Layer:
    """A profile's settings. As in LVM2, one with a setting that is not for its kind of profile is refused whole."""
    if not name or "/" in name:
        raise ConfigError(f"invalid profile name {name!r}", hint="name a profile, without directory and .profile")
    layer = _read(f"{directory}/{name}.profile")
    if layer is None:
        raise ConfigError(
            f"profile {name} not found: there is no {directory}/{name}.profile", hint="ls that directory for a list"
        )
    from vmgr.system.profiles import strangers

    wrong = strangers(layer, metadata=metadata)
    if wrong:
        kind = "metadata" if metadata else "command"
        raise ConfigError(
            f"{directory}/{name}.profile is no {kind} profile: {', '.join(wrong)} cannot be set in one",
            hint=f"take these settings out of it; lvmconfig --type profilable-{kind} lists those that can",
        )
    return layer


def _host_tags(layer: Layer, known: tuple[str, ...]) -> tuple[str, ...]:
    """Tags that ``layer`` gives to this host and that are not ``known`` yet (``tags`` section of lvm.conf)."""
    if "tags/" not in layer and not any(key.startswith("tags/") for key in layer):
        return ()
    host = os.uname().nodename
    found: list[str] = [host] if layer.get("tags/hosttags") in (1, "y", "yes", "on", "true") else []
    for key in layer:
        parts = key.split("/")
        if len(parts) == 3 and parts[0] == "tags" and parts[2] == "":
            hosts = layer.get(f"tags/{parts[1]}/host_list")
            if hosts is None or host in (
                (hosts,) if isinstance(hosts, str) else hosts if isinstance(hosts, tuple) else ()
            ):
                found.append(parts[1].lstrip("@"))
    return tuple(dict.fromkeys(tag for tag in found if tag not in known))


_JOINED = ("activation/volume_list", "devices/filter", "devices/types")
"""Lists that a later file puts in front of an earlier file's instead of replacing it."""


def _merge(files: list[Layer], tags: tuple[str, ...]) -> Layer:
    """One layer out of lvm.conf, the host tags' files and lvmlocal.conf (``merge_config_tree`` in LVM2)."""
    if len(files) == 1:
        return files[0]
    merged: Layer = {}
    for number, layer in enumerate(files):
        for key, value in layer.items():
            section = key.partition("/")[0]
            wanted = layer.get(f"{section}/tags")
            if number and (section == "tags" or (wanted is not None and not _matches(wanted, tags))):
                continue
            if key in _JOINED and key in merged:
                value = (*_as_tuple(value), *_as_tuple(merged[key]))
            merged[key] = value
    return merged


def _as_tuple(value: Value) -> tuple[int | float | str, ...]:
    return value if isinstance(value, tuple) else (value,)


def _matches(wanted: Value, tags: tuple[str, ...]) -> bool:
    return any(isinstance(word, str) and word.lstrip("@") in tags for word in _as_tuple(wanted))
