"""The modules of a kernel, from the files that ``depmod`` writes (``modules.dep(5)``). Nothing is loaded.

The kernel loads the module or alias ``dm-NAME`` when a table names a target NAME that it does not have
(``request_module("dm-%s")`` in ``drivers/md/dm-target.c``). This module looks for these names.
"""

from __future__ import annotations

import os

from attrs import frozen

from vmgr.doctor.roots import Roots, read, read_bytes

PLACES = ("/lib/modules", "/usr/lib/modules", "/usr/lib/uml/modules")
"""The directories of modules; modprobe searches the first. (Debian has those of User Mode Linux in the last.)"""

HELPERS = frozenset(
    "dm_" + name
    for name in (
        "bio_prison", "bio_record", "bufio", "builtin", "cache_cleaner", "cache_mq", "cache_smq",
        "historical_service_time", "io_affinity", "log", "log_userspace", "mem_cache", "message", "mod",
        "path_selector", "persistent_data", "queue_length", "region_hash", "round_robin", "service_time",
    )
)  # fmt: skip
"""Modules in ``drivers/md`` without a target of their own: mirror logs, cache policies, path selectors."""

MODULE = "module"
BUILT_IN = "built in"


@frozen
class ModuleTree:
    """The modules of one kernel. ``complete`` is False where ``modules.dep`` is missing: depmod has not run.

    Module names have underscores, as the kernel shows them; ``files`` gives each module's file, ``aliases`` the
    module of an alias.
    """

    directory: str
    complete: bool
    files: dict[str, str]
    built_in: frozenset[str]
    aliases: dict[str, str]

    def has(self, module: str) -> str:
        """``module``, ``built in`` or ``""``, for a module by its name."""
        name = module.replace("-", "_")
        if name in self.built_in:
            return BUILT_IN
        return MODULE if name in self.files else ""

    def provider(self, target: str, module: str = "") -> tuple[str, str]:
        """The module with a device-mapper target, and whether that is a ``module`` or ``built in``.

        ``module`` is the target's known module, if it is not ``dm-TARGET``. Both are empty if no module has it.
        """
        wanted = f"dm_{target}".replace("-", "_")
        for name in (wanted, self.aliases.get(wanted, ""), module):
            how = self.has(name) if name else ""
            if how:
                return name.replace("_", "-"), how
        return "", ""

    def target_modules(self) -> tuple[str, ...]:
        """The modules called ``dm-*`` in ``drivers/md`` that have targets, sorted."""
        return tuple(
            sorted(
                name.replace("_", "-")
                for name, file in self.files.items()
                if name.startswith("dm_") and name not in HELPERS and "/drivers/md/" in f"/{file}"
            )
        )


def find_modules(roots: Roots, release: str) -> str:
    """The directory with the modules of the kernel ``release``; empty if there is none."""
    if not release:
        return ""
    for place in PLACES:
        directory = roots.at(f"{place}/{release}")
        if os.path.isdir(directory):
            return directory
    return ""


def read_modules(directory: str) -> ModuleTree:
    """Read depmod's files about the modules in ``directory``."""
    text = read(f"{directory}/modules.dep")
    files = {}
    for line in (text or "").splitlines():
        path = line.partition(":")[0].strip()
        if path:
            files[_module(path)] = path
    built_in = {_module(line) for line in (read(f"{directory}/modules.builtin") or "").split()}
    aliases: dict[str, str] = {}
    for line in (read(f"{directory}/modules.alias") or "").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "alias" and words[1].startswith(("dm-", "dm_")):
            aliases[words[1].replace("-", "_")] = words[2].replace("-", "_")
    # "NAME.KEY=VALUE", each ended by a NUL: what `modinfo` would say of built-in modules.
    for entry in (read_bytes(f"{directory}/modules.builtin.modinfo") or b"").split(b"\0"):
        key, _, value = entry.decode("utf-8", "replace").partition("=")
        name, _, what = key.partition(".")
        if what == "file" and name.startswith("dm"):
            built_in.add(name.replace("-", "_"))
        elif what == "alias" and value.startswith(("dm-", "dm_")):
            aliases[value.replace("-", "_")] = name.replace("-", "_")
    return ModuleTree(directory, text is not None, files, frozenset(built_in), aliases)


def _module(path: str) -> str:
    """The name of the module in a file: ``kernel/drivers/md/dm-mod.ko.xz`` has ``dm_mod``."""
    return path.rsplit("/", 1)[-1].split(".", 1)[0].replace("-", "_")
