"""The kernel module ``dm_mod``: whether it is there, its block major, and how to set another major.

A fixed major number for all device-mapper devices has been a parameter of the module since 2003:
``modprobe dm-mod major=N`` sets it now, a line in ``/etc/modprobe.d`` at the next load, and ``dm_mod.major=N`` on
the kernel's command line if the device mapper is built in. Sources: ``drivers/md/dm.c`` (``_major``),
``block/genhd.c`` (``register_blkdev``), modprobe.d(5).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import KernelError, NotPermitted, Refused, UsageError
from vmgr.dm import modinfo
from vmgr.dm.control import NAME, block_majors, proc_number
from vmgr.dm.failure import NoDeviceMapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.dm.modinfo import Parameter

MODULE = "dm_mod"
MOST_MAJOR = 511
"""The highest major that the kernel gives to block devices (``BLKDEV_MAJOR_MAX`` is 512)."""

CONFIG_FILE = "vmgr-dm-mod.conf"
"""Our file in ``/etc/modprobe.d``."""

CONFIG_DIRS = (
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
)
"""Where modprobe looks for its configuration, below the root. Of files of the same name, the first counts."""


class Places(NamedTuple):
    """The directories to search. Tests, and examinations of a system that does not run, give others."""

    proc: str = "/proc"
    sys: str = "/sys"
    root: str = "/"
    release: str = ""
    """The kernel's release; empty for that of the running kernel."""

    @property
    def tree(self) -> str:
        """The directory of the kernel's modules."""
        return os.path.join(self.root, "lib/modules", self.release or os.uname().release)

    @property
    def config(self) -> str:
        """The path of the file that :func:`configure_module` writes."""
        return os.path.join(self.root, CONFIG_DIRS[0], CONFIG_FILE)


HERE = Places()
"""The running system."""


class Setting(NamedTuple):
    """One line of modprobe's configuration, or a word of the kernel's command line, about the module."""

    path: str
    line: int
    """The line's number, from 1; 0 for the kernel's command line."""
    kind: str
    """``major`` (sets it), ``install`` (runs a command instead of loading the module) or ``blacklist``."""
    value: str
    """The major, or the command that runs instead of loading the module."""

    @property
    def place(self) -> str:
        """Where the setting is, in words."""
        return f"{self.path}:{self.line}" if self.line else f"the kernel's command line ({self.path})"


class ModuleState(NamedTuple):
    """The state of the module; see :func:`module_state`."""

    state: str
    """``built-in``, ``loaded``, ``available`` (a module, not loaded) or ``absent``."""
    release: str
    """The kernel's release."""
    file: str
    """The module's file; empty when it has none."""
    major: int | None
    """The block major of device-mapper devices now; None when none is registered."""
    values: tuple[tuple[str, str], ...]
    """The present values of its parameters, by name. The kernel does not show ``major``."""
    known: tuple[Parameter, ...]
    """The parameters that it takes."""
    settings: tuple[Setting, ...]
    """Its settings from modprobe and the kernel's command line, in order of precedence: the last wins."""

    @property
    def present(self) -> bool:
        """Whether this kernel has a device mapper, loaded or not."""
        return self.state != "absent"

    @property
    def configured(self) -> Setting | None:
        """The setting of the major that counts at the next load; None when the kernel will choose."""
        majors = [setting for setting in self.settings if setting.kind == "major"]
        return majors[-1] if majors else None


def module_state(places: Places = HERE) -> ModuleState:
    """Whether the kernel has a device mapper, and with which major. Loads nothing and starts no program."""
    proc, tree = places.proc, places.tree
    shown = os.path.join(places.sys, "module", MODULE)
    file = modinfo.module_file(tree, MODULE)
    major = proc_number(f"{proc}/devices", NAME, "Block devices:")
    if os.path.exists(os.path.join(shown, "initstate")) or _in_proc_modules(proc):
        state = "loaded"
    elif os.path.isdir(shown) or major is not None or modinfo.is_built_in(tree, MODULE):
        # A module that is built in has no initstate; without parameters, or without sysfs, nothing but its major.
        state = "built-in"
    else:
        state = "available" if file else "absent"
    values = []
    for name in _listdir(os.path.join(shown, "parameters")):
        values.append((name, _read(os.path.join(shown, "parameters", name)).strip()))
    release = places.release or os.uname().release
    known = modinfo.parameters(tree, MODULE)
    return ModuleState(state, release, file, major, tuple(values), known, _settings(places))


def check_major(major: int) -> int:
    """``major`` if the kernel can give it to block devices. Raises :class:`UsageError`."""
    if not 1 <= major <= MOST_MAJOR:
        raise UsageError(
            f"{major} cannot be a block device's major number",
            hint=f"the kernel takes 1 to {MOST_MAJOR}; /proc/devices lists those that are taken",
        )
    return major


def problem_with(major: int, state: ModuleState, places: Places = HERE) -> Refused | None:
    """Why the running device mapper cannot have ``major``; None if it has it or can get it."""
    if state.major == major:
        return None
    if state.state == "built-in":
        return Refused(
            f"the device mapper is built into this kernel and has major {_words(state.major)}, not {major}",
            hint=f"boot with {MODULE}.major={major} on the kernel's command line",
        )
    if state.state == "loaded":
        return Refused(
            f"{MODULE} is loaded with major {_words(state.major)}, not {major}",
            hint=f"`vmgr dm module --major {major} --write` sets it for the next boot; to have it now, remove every"
            f" device and unload the modules that use {MODULE}, then run `modprobe -r {MODULE}` and try again",
        )
    return _taken(major, places)


def load_module(
    major: int | None = None, *, places: Places = HERE, modprobe: Callable[[list[str]], str] | None = None
) -> ModuleState:
    """Load the module, with a fixed ``major`` if one is given. Return the state afterwards.

    Does nothing if the device mapper already runs with that major. Raises :class:`Refused` if it runs with
    another one or the number is taken, :class:`NoDeviceMapper` if this kernel has none, :class:`UsageError` for a
    number out of range, :class:`KernelError` or :class:`NotPermitted` if modprobe fails. ``modprobe`` takes the
    program's arguments and returns its error message, or an empty string.
    """
    if major is not None:
        check_major(major)
    state = module_state(places)
    if state.state in ("loaded", "built-in"):
        problem = problem_with(major, state, places) if major is not None else None
        if problem is not None:
            raise problem
        return state
    if not state.present:
        raise absent(state)
    if major is not None:
        taken = _taken(major, places)
        if taken is not None:
            raise taken
    words = [MODULE] if major is None else [MODULE, f"major={major}"]
    complaint = (modprobe or run_modprobe)(words)
    if complaint:
        kind = NotPermitted if "not permitted" in complaint else KernelError
        raise kind(f"cannot load {MODULE}: {complaint}", hint="the kernel's log says why: dmesg | tail")
    after = module_state(places)
    if major is not None and after.major != major:
        raise KernelError(
            f"{MODULE} was loaded, and has major {_words(after.major)}, not {major}",
            hint="an install line in modprobe.d may have loaded it with other parameters",
        )
    return after


def configure_module(major: int | None, *, places: Places = HERE, dry: bool = False) -> bool:
    """Write the modprobe configuration for the next load: a fixed ``major``, or None for the kernel's choice.

    True if something was written (with ``dry``, would be written). None removes vmgr's own file. Raises
    :class:`Refused` if another file or the kernel's command line sets another major, if another driver has the
    number, or if the device mapper is built in and modprobe has no effect; and :class:`NotPermitted` or
    :class:`KernelError`.
    """
    path = places.config
    others = [setting for setting in _settings(places) if setting.kind == "major" and setting.path != path]
    if major is None:
        if others:
            raise _otherwise(others[0])
        if not os.path.lexists(path):
            return False
        if not dry:
            try:
                os.unlink(path)
            except OSError as e:
                raise _cannot(f"cannot remove {path}", e) from None
        return True
    check_major(major)
    state = module_state(places)
    if not state.present:
        raise absent(state)
    if state.state == "built-in":
        raise Refused(
            "the device mapper is built into this kernel, so modprobe's configuration has no effect",
            hint=f"boot with {MODULE}.major={major} on the kernel's command line",
        )
    for other in others:
        if other.value != str(major):
            raise _otherwise(other)
    taken = None if state.major == major else _taken(major, places)
    if taken is not None:
        raise taken
    text = f"# Written by vmgr: the block major number of device-mapper devices.\noptions {MODULE} major={major}\n"
    if _read(path) == text:
        return False
    if not dry:
        _write(path, text)
    return True


def absent(state: ModuleState) -> NoDeviceMapper:
    """The error for a kernel without a device mapper."""
    return NoDeviceMapper(
        f"the kernel {state.release} has no device mapper: neither built in nor as a module",
        hint="install the kernel's modules, or a kernel with CONFIG_BLK_DEV_DM; `vmgr lab` brings its own",
    )


def run_modprobe(words: list[str]) -> str:
    """Run modprobe. Return its error message, or an empty string."""
    import subprocess

    from vmgr.dm.programs import environment, find_program

    modprobe = find_program("modprobe")
    if modprobe is None:
        return "modprobe is not installed"
    try:
        done = subprocess.run(
            [modprobe, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            env=environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    if done.returncode == 0:
        return ""
    lines = [line.removeprefix("modprobe: ").removeprefix("ERROR: ") for line in done.stderr.splitlines() if line]
    return lines[-1] if lines else f"modprobe ended with status {done.returncode}"


# -- inside ---------------------------------------------------------------------------------------------


def _words(major: int | None) -> str:
    return "unknown" if major is None else str(major)


def _taken(major: int, places: Places) -> Refused | None:
    owner = block_majors(places.proc).get(major, NAME)
    if owner == NAME:
        return None
    return Refused(
        f"the block major {major} belongs to {owner}", hint="choose one that /proc/devices does not list"
    )


def _otherwise(setting: Setting) -> Refused:
    return Refused(
        f"{setting.place} sets the major to {setting.value} already",
        hint="change it there: of two settings, one would have no effect",
    )


def _in_proc_modules(proc: str) -> bool:
    return any(line.split(" ", 1)[0] == MODULE for line in _read(f"{proc}/modules").splitlines())


def _settings(places: Places) -> tuple[Setting, ...]:
    """The settings in modprobe's files, in the order in which it reads them, then in the kernel's command line."""
    files: dict[str, str] = {}
    for directory in reversed([os.path.join(places.root, name) for name in CONFIG_DIRS]):
        for name in _listdir(directory):
            if name.endswith(".conf"):
                files[name] = os.path.join(directory, name)
    found: list[Setting] = []
    for name in sorted(files):
        path = files[name]
        for number, words in _config_lines(_read(path)):
            if len(words) < 2 or modinfo.canonical(words[1]) != MODULE:
                continue
            if words[0] == "options":
                found += [
                    Setting(path, number, "major", word.partition("=")[2].strip('"'))
                    for word in words[2:]
                    if word.startswith("major=")
                ]
            elif words[0] == "install":
                found.append(Setting(path, number, "install", " ".join(words[2:])))
            elif words[0] == "blacklist":
                found.append(Setting(path, number, "blacklist", ""))
    path = f"{places.proc}/cmdline"
    for word in _read(path).split():
        key, _, value = word.partition("=")
        module, _, parameter = key.partition(".")
        if modinfo.canonical(module) == MODULE and parameter == "major":
            found.append(Setting(path, 0, "major", value.strip('"')))
    return tuple(found)


def _config_lines(text: str) -> list[tuple[int, list[str]]]:
    """The lines of a modprobe.d file as words, each with the number of its first line."""
    found: list[tuple[int, list[str]]] = []
    first, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first = first if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        words = (pending + line).split()
        pending = ""
        if words and not words[0].startswith("#"):
            found.append((first, words))
    return found


def _write(path: str, text: str) -> None:
    """Write a file completely or not at all."""
    temporary = f"{path}.{os.getpid()}~"
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(fd, "w", encoding="ascii") as f:
                os.fchmod(f.fileno(), 0o644)
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as e:
        raise _cannot(f"cannot write {path}", e) from None


def _cannot(what: str, e: OSError) -> KernelError | NotPermitted:
    if isinstance(e, PermissionError):
        return NotPermitted(f"{what}: permission denied", hint="run as root")
    return KernelError(f"{what}: {e.strerror}")


def _listdir(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""
