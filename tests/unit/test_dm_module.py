"""The module's state, its major, modprobe's configuration: on trees of files made by hand."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
from pathlib import Path

import pytest

from vmgr.core.errors import KernelError, NotPermitted, Refused, UsageError
from vmgr.dm import modinfo, module, programs
from vmgr.dm.failure import NoDeviceMapper
from vmgr.dm.module import Places, configure_module, load_module, module_state

RELEASE = "6.1.0-test"
DEP = "kernel/drivers/md/dm-mod.ko{}: \nkernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-mod.ko\n"
INFO = (
    "license=GPL",
    "parmtype=major:uint",
    "parm=major:The major number of the device mapper",
    "parm=swap_bios:Most: at a time",
    "parmtype=swap_bios:int",
)


def elf(text: bytes, *, wide: bool = True, order: str = "<") -> bytes:
    """An ELF file with three sections: none, the names, ``.modinfo``."""
    names = b"\0.shstrtab\0.modinfo\0"
    head = 64 if wide else 52
    size = 64 if wide else 40
    start = head + len(names) + len(text)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]).ljust(12, b"\0")
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    header = struct.pack(layout, 1, 62, 1, 0, 0, start, 0, head, 0, 0, size, 3, 1)
    section = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")

    def entry(name: int, place: int, length: int) -> bytes:
        return struct.pack(section, name, 1, 0, 0, place, length, 0, 0, 1, 0)

    sections = entry(0, 0, 0) + entry(1, head, len(names)) + entry(11, head + len(names), len(text))
    return ident + header + names + text + sections


INFO_BYTES = b"".join(entry.encode() + b"\0" for entry in INFO)


class System:
    """A machine in files. ``state`` is as :class:`vmgr.dm.module.ModuleState` has it."""

    def __init__(self, base: Path, state: str, major: int | None = None) -> None:
        self.base = base
        self.places = Places(str(base / "proc"), str(base / "sys"), str(base), RELEASE)
        self.tree = base / "lib/modules" / RELEASE
        self.tree.mkdir(parents=True)
        (base / "proc").mkdir()
        (base / "proc/cmdline").write_text("root=/dev/sda1 quiet\n")
        (base / "proc/modules").write_text("loop 40960 0 - Live 0x0\n")
        self.set_major(major)
        if state in ("available", "loaded"):
            (self.tree / "modules.dep").write_text(DEP.format(""))
            path = self.tree / "kernel/drivers/md/dm-mod.ko"
            path.parent.mkdir(parents=True)
            path.write_bytes(elf(INFO_BYTES))
        if state in ("loaded", "built-in"):
            parameters = base / "sys/module/dm_mod/parameters"
            parameters.mkdir(parents=True)
            (parameters / "swap_bios").write_text("-1\n")
        if state == "loaded":
            (base / "sys/module/dm_mod/initstate").write_text("live\n")
        if state == "built-in":
            (self.tree / "modules.builtin").write_text("kernel/drivers/md/dm-mod.ko\n")
            text = b"".join(b"dm_mod." + entry.encode() + b"\0" for entry in INFO) + b"other.parm=major:x\0"
            (self.tree / "modules.builtin.modinfo").write_bytes(text)

    def set_major(self, major: int | None) -> None:
        line = f"{major} device-mapper\n" if major else ""
        (self.base / "proc/devices").write_text(
            f"Character devices:\n 10 misc\n200 device-mapper\n\nBlock devices:\n  8 sd\n{line}259 blkext\n"
        )

    def config(self, name: str, text: str, directory: str = "etc") -> Path:
        path = self.base / directory / "modprobe.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def ours(self) -> Path:
        return self.base / "etc/modprobe.d/vmgr-dm-mod.conf"

    def modprobe(self, words: list[str]) -> str:
        """As the real one: loads with the major on the line, else with the configured one, else with 254."""
        state = module_state(self.places)
        given = [int(word.removeprefix("major=")) for word in words if word.startswith("major=")]
        configured = int(state.configured.value) if state.configured else 254
        self.set_major(given[0] if given else configured)
        shown = self.base / "sys/module/dm_mod"
        shown.mkdir(parents=True)
        (shown / "initstate").write_text("live\n")
        return ""


# -- what is there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["built-in", "loaded", "available", "absent"])
def test_the_state_is_found_out(tmp_path: Path, state: str) -> None:
    running = state in ("built-in", "loaded")
    system = System(tmp_path, state, 253 if running else None)
    found = module_state(system.places)
    assert found.state == state
    assert found.release == RELEASE
    assert found.present == (state != "absent")
    assert found.major == (253 if running else None)
    assert found.values == ((("swap_bios", "-1"),) if running else ())
    assert bool(found.file) == (state in ("loaded", "available"))
    if state == "absent":
        assert found.known == ()
    else:
        assert [(p.name, p.kind, p.text) for p in found.known] == [
            ("major", "uint", "The major number of the device mapper"),
            ("swap_bios", "int", "Most: at a time"),
        ]


def test_without_sysfs_and_module_tree_proc_tells(tmp_path: Path) -> None:
    system = System(tmp_path, "absent", 253)
    assert module_state(system.places).state == "built-in"
    (tmp_path / "proc/modules").write_text("dm_snapshot 1 0 - Live 0\ndm_mod 163840 3 - Live 0x0\n")
    assert module_state(system.places).state == "loaded"


def test_a_built_in_module_that_nothing_shows_is_listed_in_its_tree(tmp_path: Path) -> None:
    """A kernel configuration for another kernel than the running one."""
    system = System(tmp_path, "absent")
    (system.tree / "modules.builtin").write_text("kernel/drivers/md/dm-mod.ko\n")
    assert module_state(system.places).state == "built-in"


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
@pytest.mark.parametrize(("wide", "order"), [(True, "<"), (False, ">")])
def test_a_module_s_parameters_are_read_from_its_file(tmp_path: Path, suffix: str, wide: bool, order: str) -> None:
    data = elf(INFO_BYTES, wide=wide, order=order)
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    (tmp_path / "modules.dep").write_text(DEP.format(suffix))
    path = tmp_path / f"kernel/drivers/md/dm-mod.ko{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(pack(data))
    assert [p.name for p in modinfo.parameters(str(tmp_path), "dm-mod")] == ["major", "swap_bios"]
    assert modinfo.parameters(str(tmp_path), "dm-snapshot") == (), "its file is not there"
    for damaged in (b"", data[:100], pack(data)[:-60], b"\x7fELF" + bytes(200)):
        path.write_bytes(damaged)
        assert modinfo.parameters(str(tmp_path), "dm_mod") == ()


def test_the_last_setting_counts(tmp_path: Path) -> None:
    """In the order of the files' names, whatever the directory; a file in /etc hides one of its name elsewhere."""
    system = System(tmp_path, "available")
    system.config("a.conf", "options dm-mod major=100 swap_bios=3\n")
    system.config("z.conf", "# comment\n\noptions \\\n dm_mod \\\n major=101\noptions loop major=7\n", "lib")
    system.config("m.conf", "options dm_mod major=102\n", "run")
    system.config("m.txt", "options dm_mod major=103\n")
    system.config("n.conf", "options dm_mod major=104\n", "run")
    system.config("n.conf", "options dm_mod swap_bios=1\n")
    state = module_state(system.places)
    assert [setting.value for setting in state.settings] == ["100", "102", "101"]
    assert state.configured is not None
    assert state.configured.place == f"{tmp_path}/lib/modprobe.d/z.conf:3"
    (tmp_path / "proc/cmdline").write_text("quiet dm-mod.major=105 dm_mod.swap_bios=1\n")
    state = module_state(system.places)
    assert state.configured is not None
    assert state.configured.value == "105"
    assert "command line" in state.configured.place


def test_what_keeps_modprobe_from_loading_it_is_seen(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    system.config("a.conf", "install dm-mod /bin/false now\nblacklist dm_mod\ninstall dm_modern x\n")
    kinds = [(s.kind, s.value) for s in module_state(system.places).settings]
    assert kinds == [("install", "/bin/false now"), ("blacklist", "")]
    assert module_state(system.places).configured is None


# -- loading -------------------------------------------------------------------------------------------


def test_the_module_is_loaded_with_a_major(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    state = load_module(240, places=system.places, modprobe=system.modprobe)
    assert (state.state, state.major) == ("loaded", 240)
    again = load_module(240, places=system.places, modprobe=lambda words: pytest.fail("nothing to load"))
    assert again.major == 240


def test_without_a_major_the_configured_one_counts(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    configure_module(241, places=system.places)
    assert load_module(places=system.places, modprobe=system.modprobe).major == 241


@pytest.mark.parametrize("major", [-1, 0, 512, 1 << 32])
def test_a_number_that_the_kernel_does_not_take_is_refused(tmp_path: Path, major: int) -> None:
    system = System(tmp_path, "available")
    with pytest.raises(UsageError, match="cannot be a block device's major"):
        load_module(major, places=system.places, modprobe=system.modprobe)
    with pytest.raises(UsageError, match="cannot be a block device's major"):
        configure_module(major, places=system.places)
    assert not system.ours.exists()


def test_a_number_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Of the character device with that number nobody takes notice."""
    system = System(tmp_path, "available")
    with pytest.raises(Refused, match="the block major 8 belongs to sd"):
        load_module(8, places=system.places, modprobe=system.modprobe)
    with pytest.raises(Refused, match="the block major 8 belongs to sd"):
        configure_module(8, places=system.places)
    assert load_module(10, places=system.places, modprobe=system.modprobe).major == 10


def test_a_loaded_module_with_another_major_is_told(tmp_path: Path) -> None:
    system = System(tmp_path, "loaded", 253)
    assert load_module(places=system.places, modprobe=system.modprobe).major == 253
    with pytest.raises(Refused, match="dm_mod is loaded with major 253, not 240") as caught:
        load_module(240, places=system.places, modprobe=system.modprobe)
    assert "--write" in caught.value.hint
    assert module_state(system.places).major == 253


def test_a_built_in_one_needs_the_kernel_s_command_line(tmp_path: Path) -> None:
    system = System(tmp_path, "built-in", 253)
    for refused in (
        lambda: load_module(240, places=system.places, modprobe=system.modprobe),
        lambda: configure_module(240, places=system.places),
    ):
        with pytest.raises(Refused, match="built into this kernel") as caught:
            refused()
        assert "boot with dm_mod.major=240 on the kernel's command line" in caught.value.hint
    assert not system.ours.exists()
    assert load_module(253, places=system.places, modprobe=system.modprobe).major == 253


def test_a_kernel_without_device_mapper_is_told(tmp_path: Path) -> None:
    system = System(tmp_path, "absent")
    with pytest.raises(NoDeviceMapper, match=RELEASE):
        load_module(places=system.places, modprobe=system.modprobe)
    with pytest.raises(NoDeviceMapper, match=RELEASE):
        configure_module(240, places=system.places)


def test_what_modprobe_complains_of_is_told(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    with pytest.raises(KernelError, match="cannot load dm_mod: no such luck"):
        load_module(240, places=system.places, modprobe=lambda words: "no such luck")
    with pytest.raises(NotPermitted):
        load_module(240, places=system.places, modprobe=lambda words: "Operation not permitted")


def test_a_module_that_came_with_another_major_is_told(tmp_path: Path) -> None:
    """An install line in modprobe.d may load it in its own way."""
    system = System(tmp_path, "available")
    with pytest.raises(KernelError, match="has major 254, not 240"):
        load_module(240, places=system.places, modprobe=lambda words: system.modprobe([]))


# -- the next boot -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["available", "loaded"])
def test_the_configuration_is_written_whole_and_once(tmp_path: Path, state: str) -> None:
    system = System(tmp_path, state, 253 if state == "loaded" else None)
    assert configure_module(240, places=system.places, dry=True)
    assert not system.ours.exists()
    old = os.umask(0o077)
    try:
        assert configure_module(240, places=system.places)
    finally:
        os.umask(old)
    assert "options dm_mod major=240\n" in system.ours.read_text()
    assert system.ours.stat().st_mode & 0o777 == 0o644
    assert os.listdir(system.ours.parent) == [system.ours.name]
    configured = module_state(system.places).configured
    assert configured is not None
    assert (configured.value, configured.path) == ("240", str(system.ours))
    assert not configure_module(240, places=system.places)
    assert configure_module(241, places=system.places)
    assert system.ours.read_text().count("major=") == 1


def test_the_configuration_is_taken_back(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    assert not configure_module(None, places=system.places)
    configure_module(240, places=system.places)
    assert configure_module(None, places=system.places, dry=True)
    assert system.ours.exists()
    assert configure_module(None, places=system.places)
    assert not system.ours.exists()


def test_the_major_of_the_running_module_may_be_made_lasting(tmp_path: Path) -> None:
    system = System(tmp_path, "loaded", 253)
    assert configure_module(253, places=system.places)


def test_another_file_that_sets_it_is_told_and_stays(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    other = system.config("site.conf", "options dm-mod major=199\n")
    for major in (240, None):
        with pytest.raises(Refused, match=r"site.conf:1 sets the major to 199 already"):
            configure_module(major, places=system.places)
    assert other.read_text() == "options dm-mod major=199\n"
    assert not system.ours.exists()
    assert configure_module(199, places=system.places), "the same twice does no harm"


def test_the_kernel_s_command_line_that_sets_it_is_told(tmp_path: Path) -> None:
    system = System(tmp_path, "available")
    (tmp_path / "proc/cmdline").write_text("dm_mod.major=199\n")
    with pytest.raises(Refused, match=r"the kernel's command line .* sets the major to 199"):
        configure_module(240, places=system.places)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(tmp_path, "available")
    configure_module(240, places=system.places)
    before = system.ours.read_text()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(KernelError, match="No space left"):
        configure_module(241, places=system.places)
    assert system.ours.read_text() == before
    assert os.listdir(system.ours.parent) == [system.ours.name]


def test_modprobe_is_not_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for in fixed places. What it complains of is its last line, without its own name."""
    ours, theirs = tmp_path / "sbin", tmp_path / "anybody"
    for place in (ours, theirs):
        place.mkdir()
        (place / "modprobe").write_text("#!/bin/sh\nexit 0\n")
        (place / "modprobe").chmod(0o755)
    (ours / "modprobe").write_text(
        '#!/bin/sh\necho "first" >&2\necho "modprobe: ERROR: could not $1 $2" >&2\nexit 1\n'
    )
    monkeypatch.setattr(programs, "PLACES", (str(ours), "/usr/bin", "/bin"))
    monkeypatch.setenv("PATH", f"{theirs}:/usr/bin:/bin")
    assert module.run_modprobe(["dm_mod", "major=5"]) == "could not dm_mod major=5"
    (ours / "modprobe").write_text("#!/bin/sh\nexit 0\n")
    assert module.run_modprobe(["dm_mod"]) == ""
    (ours / "modprobe").unlink()
    assert module.run_modprobe(["dm_mod"]) == "modprobe is not installed"
