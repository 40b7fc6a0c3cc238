"""A machine as a directory tree, for examinations: what is there is what a test writes."""

from __future__ import annotations

import os
from pathlib import Path

from vmgr.core.table import LiveDevice
from vmgr.doctor.roots import Roots

NO_MAPPER = """\
Character devices:
  1 mem
 10 misc

Block devices:
  7 loop
259 blkext
"""
MAPPER = NO_MAPPER + "253 device-mapper\n"


class Tree:
    """``Tree(tmp_path)``: by default Linux 6.1.0 with the device mapper as a loaded module, and nothing else."""

    def __init__(self, path: Path, *, registered: bool = True, loaded: bool = True) -> None:
        self.path = path
        self.roots = Roots.below(str(path))
        self.write("proc/sys/kernel/osrelease", "6.1.0\n")
        self.write("proc/devices", MAPPER if registered else NO_MAPPER)
        self.write("proc/misc", " 59 loop-control\n" + ("236 device-mapper\n" if registered else ""))
        self.write("proc/modules", "dm_mod 184320 9 - Live 0x0\n" if registered and loaded else "")
        self.write("proc/locks", "")
        self.write("proc/uptime", "10000.00 9000.00\n")
        self.write("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n")
        self.write("proc/self/uid_map", "         0          0 4294967295\n")
        self.write("proc/self/mountinfo", "")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")
        self.write("proc/sysvipc/sem", "key semid perms nsems uid gid cuid cgid otime ctime\n")
        for folder in ("sys/block", "dev/mapper", "run/udev", "run/lock", "etc"):
            (path / folder).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str | bytes) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    def link(self, name: str, target: str) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
        return str(file)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()

    # -- what a kernel has ------------------------------------------------------------------------

    def modules(self, *names: str, built_in: tuple[str, ...] = (), aliases: str = "") -> None:
        """``/lib/modules/6.1.0`` as depmod leaves it, with modules of these names."""
        base = "lib/modules/6.1.0"
        self.write(f"{base}/modules.dep", "".join(f"kernel/drivers/md/{n}.ko.xz:\n" for n in names))
        self.write(f"{base}/modules.builtin", "".join(f"kernel/drivers/md/{n}.ko\n" for n in built_in))
        self.write(f"{base}/modules.alias", aliases)
        for name in names:
            self.write(f"{base}/kernel/drivers/md/{name}.ko.xz", "")

    def config(self, *lines: str) -> None:
        """``/boot/config-6.1.0``."""
        self.write(
            "boot/config-6.1.0", "# Linux/x86 6.1.0 Kernel Configuration\n" + "".join(f"{x}\n" for x in lines)
        )

    def device(self, name: str, minor: int, *, uuid: str = "", suspended: bool = False) -> LiveDevice:
        """A device in sysfs."""
        base = f"sys/block/dm-{minor}"
        self.write(f"{base}/dm/name", f"{name}\n")
        self.write(f"{base}/dm/uuid", f"{uuid}\n")
        self.write(f"{base}/dm/suspended", f"{int(suspended)}\n")
        self.write(f"{base}/dev", f"253:{minor}\n")
        self.write(f"{base}/ro", "0\n")
        self.link(f"sys/dev/block/253:{minor}", f"../../block/dm-{minor}")
        return LiveDevice(name, uuid, 253, minor, suspended=suspended)

    def process(
        self, pid: int, command: str, *, state: str = "S", started: int = 9000, opens: tuple[str, ...] = ()
    ) -> None:
        """A process that started ``started`` seconds after boot (the machine is up for 10000)."""
        ticks = started * os.sysconf("SC_CLK_TCK")
        self.write(f"proc/{pid}/stat", f"{pid} ({command}) {state} " + "0 " * 18 + f"{ticks} 0\n")
        self.write(f"proc/{pid}/comm", f"{command}\n")
        for number, path in enumerate(opens):
            self.link(f"proc/{pid}/fd/{number}", path)

    def control(self, target: str = "/dev/null") -> None:
        """The control node: a link to ``/dev/null``, which ``/proc`` then gives as the right one."""
        self.link("dev/mapper/control", target)

    def mem_is_misc(self) -> None:
        """Let ``/proc`` say that the control node is 1:3, which is ``/dev/null``: that needs no root to make."""
        text = (self.path / "proc/devices").read_text().replace("  1 mem\n 10 misc", "  1 misc")
        self.write("proc/devices", text)
        self.write("proc/misc", "  3 device-mapper\n")
