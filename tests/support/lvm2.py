"""Debian's lvm2 on loop devices, held apart from the machine: what oracle tests and the golden maker use.

Each :class:`Lvm2` has its own LVM_SYSTEM_DIR, locks and backups, sees no devices but its own, and
never talks to a device mapper. Needs root and loop devices.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

CONFIG = """\
devices {{ scan=["/dev"] filter=[{accept}"r|.*|"] global_filter=[{accept}"r|.*|"] use_devicesfile=0 hints="none"
  obtain_device_list_from_udev=0 external_device_info_source="none" md_component_detection=0
  multipath_component_detection=0 pv_min_size=512 {devices} }}
global {{ locking_dir="{dir}/lock" event_activation=0 use_lvmpolld=0 use_lvmlockd=0 {global} }}
activation {{ udev_sync=0 udev_rules=0 monitoring=0 }}
backup {{ backup=1 backup_dir="{dir}/backup" archive=0 archive_dir="{dir}/archive" }}
allocation {{ thin_pool_zero=0 }}
"""

requires_lvm2 = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("lvm") is None or not os.path.exists("/dev/loop-control"),
    reason="needs root, Debian's lvm2 and loop devices",
)


class Lvm2:
    """Run ``lvm`` commands on disk images; a context manager that takes its loop devices down again."""

    def __init__(
        self, directory: Path, *, devices: str = "", global_: str = "", wrapper: Sequence[str] = ()
    ) -> None:
        self.dir = directory
        self.devices: list[str] = []
        self._more = {"devices": devices, "global": global_}
        self._wrapper = list(wrapper)
        self.dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Lvm2:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Detach every loop device."""
        while self.devices:
            subprocess.run(["losetup", "-d", self.devices.pop()], check=False)

    def disk(self, image: Path, size: int = 0) -> str:
        """Attach ``image`` (made sparse with ``size`` bytes if it is not there); gives the loop device."""
        if not image.exists():
            with open(image, "wb") as f:
                f.truncate(size)
        done = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
        self.devices.append(done.stdout.strip())
        return self.devices[-1]

    def run(self, *command: str, status: int = 0) -> str:
        """Run ``lvm command...``; gives its standard output. Another exit status than ``status`` is an error."""
        accept = "".join(f'"a|^{d}$|",' for d in self.devices)
        (self.dir / "lvm.conf").write_text(CONFIG.format(accept=accept, dir=self.dir, **self._more))
        name, *arguments = command
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0"}
        env |= {"LVM_SYSTEM_DIR": str(self.dir), "LVM_SUPPRESS_FD_WARNINGS": "1"}
        done = subprocess.run(
            [*self._wrapper, "lvm", name, "--driverloaded", "n", *arguments],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != status:
            raise AssertionError(
                f"lvm {' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def create(self, vg: str, *options: str) -> None:
        """``lvcreate`` of an inactive volume, unwiped, for there is no device mapper."""
        wipe = () if "-s" in options or "--type" in options else ("-Wn",)
        self.run("lvcreate", "-an", "-y", *(() if "-s" in options else ("-Zn",)), *wipe, *options, vg)
