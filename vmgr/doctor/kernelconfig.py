"""A kernel's configuration and source tree, as an administrator gives them. They are only read, never run.

A configuration is ``.config`` of any kernel since 2.4, ``/boot/config-VERSION``, ``include/config/auto.conf`` of
a build tree, or ``/proc/config.gz``; compressed with gzip or not. A directory is a source tree, a build tree
(such as ``/lib/modules/VERSION/build``), or ``/lib/modules/VERSION`` itself.
"""

from __future__ import annotations

import os
import re
import zlib

from attrs import frozen

from vmgr.core.errors import ConfigError, NotFound
from vmgr.doctor.roots import names, read, read_bytes

_SYMBOL = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$", re.M)
_HEADINGS = (
    re.compile(r"^# Linux(?:/\S+)? (\d\S*) Kernel Configuration", re.M),
    re.compile(r"^# Linux kernel version: (\S+)", re.M),
)
_SIZE = 16 * 1024 * 1024


@frozen
class KernelConfig:
    """Symbols, without ``CONFIG_``. ``source`` is the file, ``version`` the version in its heading, if any."""

    source: str
    version: str
    symbols: dict[str, str]

    def value(self, symbol: str) -> str:
        """``y``, ``m``, ``n`` (not set, or not known to this kernel), or the symbol's text."""
        return self.symbols.get(symbol, "n")

    def knows(self, symbol: str) -> bool:
        """Whether the configuration mentions the symbol."""
        return symbol in self.symbols


@frozen
class KernelTree:
    """The facts about a kernel in a directory. ``config`` is None if it has not been configured.

    ``has_source``: there is C source; ``has_mapper`` (the device mapper is in it)
    and ``has_lock`` (Linux 2.4: the VFS lock patch is applied) are valid only then. ``interface`` is the version of
    the ioctl interface, ``targets`` the versions of the targets in the source. ``has_tool``: ``scripts/config``
    exists.
    """

    path: str
    version: str
    config: KernelConfig | None
    has_source: bool = False
    has_mapper: bool = False
    has_lock: bool = False
    interface: tuple[int, ...] = ()
    targets: tuple[tuple[str, tuple[int, ...]], ...] = ()
    has_tool: bool = False
    modules: str = ""
    """A directory with ``modules.dep`` of this kernel, if that is what was given."""


def parse(text: str, source: str) -> KernelConfig:
    """The configuration in ``text``. Raises :class:`ConfigError` for a text without a single symbol."""
    symbols = {set_ or unset: value if set_ else "n" for set_, value, unset in _SYMBOL.findall(text)}
    if not symbols:
        raise ConfigError(
            f"{source} is not a kernel configuration: no line sets CONFIG_...",
            hint="give a .config, /boot/config-VERSION or /proc/config.gz",
        )
    for heading in _HEADINGS:
        found = heading.search(text)
        if found:
            return KernelConfig(source, found[1], symbols)
    return KernelConfig(source, "", symbols)


def read_config(path: str) -> KernelConfig | None:
    """The configuration in a file; None where there is no such file. Raises :class:`ConfigError`."""
    raw = read_bytes(path)
    if raw is None:
        return None
    if raw[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(31)
        try:
            raw = unpack.decompress(raw, _SIZE)
        except zlib.error as error:
            raise ConfigError(f"{path} is damaged: {error}", hint="get a new copy of the file") from None
        if not unpack.eof:
            raise ConfigError(f"{path} is damaged: it ends early or is too long", hint="get a new copy of the file")
    return parse(raw.decode("utf-8", "replace"), path)


def given_config(path: str) -> KernelConfig:
    """The configuration that ``--kernel-config`` names. Raises :class:`NotFound` or :class:`ConfigError`."""
    config = read_config(path)
    if config is None:
        if os.path.isdir(path):
            raise ConfigError(f"{path} is a directory", hint=f"give it as --kernel-dir {path}")
        if os.path.lexists(path):
            raise ConfigError(f"cannot read {path}", hint="give a file that you may read")
        raise NotFound(f"there is no kernel configuration {path}", hint="`ls /boot/config-*` lists installed ones")
    return config


# -- trees ----------------------------------------------------------------------------------------


def given_tree(path: str) -> KernelTree:
    """The kernel in the directory that ``--kernel-dir`` names.

    Raises :class:`NotFound` for a missing directory, :class:`ConfigError` for one that is not a kernel's.
    """
    if not os.path.isdir(path):
        raise NotFound(f"there is no directory {path}", hint="give a kernel's source or build directory")
    path = path.rstrip("/") or "/"
    modules = path if os.path.isfile(f"{path}/modules.dep") else ""
    base, source = path, path
    if modules:
        base = f"{path}/build" if os.path.isdir(f"{path}/build") else path
    if os.path.isdir(f"{base}/source"):
        source = f"{base}/source"
    elif modules and os.path.isdir(f"{path}/source"):
        source = f"{path}/source"
    else:
        source = base
    config = None
    for place in (f"{base}/.config", f"{base}/include/config/auto.conf", f"{path}/config"):
        config = read_config(place)
        if config is not None:
            break
    version = _version(base, source, modules) or (config.version if config else "")
    # A package of headers has Makefiles everywhere, but no source.
    has_source = os.path.isfile(f"{source}/fs/super.c")
    if config is None and not has_source and not modules and not version:
        raise ConfigError(
            f"{path} is not a kernel's directory: no Makefile, no .config, no modules.dep",
            hint="give a kernel's source or build directory, or /lib/modules/VERSION",
        )
    return KernelTree(
        path,
        version,
        config,
        has_source,
        os.path.isfile(f"{source}/drivers/md/dm.c"),
        "fsync_dev_lockfs" in (read(f"{source}/include/linux/fs.h") or ""),
        _interface(source),
        _targets(source),
        os.path.isfile(f"{path}/scripts/config"),
        modules,
    )


def _version(base: str, source: str, modules: str) -> str:
    for place in (f"{base}/include/config/kernel.release", f"{base}/.kernelrelease"):
        text = (read(place) or "").strip()
        if text:
            return text
    for place in (f"{base}/include/generated/utsrelease.h", f"{base}/include/linux/utsrelease.h"):
        found = re.search(r'UTS_RELEASE\s+"([^"]+)"', read(place) or "")
        if found:
            return str(found[1])
    found_parts: dict[str, str] = dict(
        re.findall(
            r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", read(f"{source}/Makefile") or ""
        )
    )
    if "VERSION" in found_parts and "PATCHLEVEL" in found_parts:
        numbers = [found_parts[key] for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL") if found_parts.get(key)]
        return ".".join(numbers) + found_parts.get("EXTRAVERSION", "")
    return os.path.basename(modules)


def _interface(source: str) -> tuple[int, ...]:
    """The interface's version in the header file for programs."""
    for place in ("include/uapi/linux/dm-ioctl.h", "include/linux/dm-ioctl-v4.h", "include/linux/dm-ioctl.h"):
        text = read(f"{source}/{place}") or ""
        numbers = dict(re.findall(r"(?m)^#define DM_VERSION_(MAJOR|MINOR|PATCHLEVEL)\s+(\d+)", text))
        if len(numbers) == 3:
            return int(numbers["MAJOR"]), int(numbers["MINOR"]), int(numbers["PATCHLEVEL"])
    return ()


_TYPE = re.compile(r"struct target_type \w+ = \{(.*?)\n\};", re.S)
_NAME = re.compile(r'\.?name\s*[=:]\s*"([^"]+)"')
_NUMBERS = re.compile(r"\.?version\s*[=:]\s*\{\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\}")


def _targets(source: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name and version of each ``struct target_type`` in the device mapper's sources."""
    found: dict[str, tuple[int, ...]] = {}
    folder = f"{source}/drivers/md"
    inner = [f"{folder}/{name}" for name in names(folder) if name.startswith("dm-") and not name.endswith(".c")]
    paths = [f"{place}/{name}" for place in (folder, *inner) for name in names(place)]
    for path in paths:
        if not (path.endswith(".c") and os.path.basename(path).startswith("dm")):
            continue
        text = read(path) or ""
        for body in _TYPE.findall(text):
            name, numbers = _NAME.search(body), _NUMBERS.search(body)
            if name and numbers:
                found[name[1]] = tuple(int(number) for number in numbers.groups())
    return tuple(sorted(found.items()))
