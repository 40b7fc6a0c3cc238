"""Both tools on one machine inside the lab: vmgr in this process, LVM2 as a command, and what the kernel has.

Starting a Python takes most of a second in the guest, so vmgr's command line runs in this interpreter; what it
prints and its status are what a user would get.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support import lab
from vmgr.cli.main import main


@contextmanager
def _captured(stdin: str | None) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.StringIO(stdin or "")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        sys.stdin = before


def vmgr(*words: str, status: int | None = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a vmgr command in this process; ``status`` None accepts any."""
    with _captured(stdin) as (out, err):
        try:
            code = main(["vmgr", *words])
        except SystemExit as error:
            code = int(error.code or 0)
    done = subprocess.CompletedProcess(["vmgr", *words], code, out.getvalue(), err.getvalue())
    if status is not None and code != status:
        pytest.fail(
            f"vmgr {' '.join(words)} ended with status {code}, not {status}\n{done.stdout}{done.stderr}",
            pytrace=False,
        )
    return done


def lvm(*words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of LVM2; ``status`` None accepts any."""
    done = lab.run("lvm", *words, check=False)
    if status is not None and done.returncode != status:
        pytest.fail(
            f"lvm {' '.join(words)} ended with status {done.returncode}, not {status}\n{done.stdout}{done.stderr}",
            pytrace=False,
        )
    return done


class Tool:
    """One of the two, by name: ``tool("lvcreate", ...)``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._run = {"vmgr": vmgr, "lvm": lvm}[name]

    def __call__(self, *words: str, status: int | None = 0) -> str:
        """The output of a command that must succeed, or end with ``status``."""
        return self._run(*words, status=status).stdout

    def __repr__(self) -> str:
        return self.name


def kernel_tables() -> dict[str, list[str]]:
    """Every device's table as dmsetup prints it, device numbers replaced by the names they stand for."""
    names = _names()
    tables: dict[str, list[str]] = {}
    for line in lab.run("dmsetup", "table").stdout.splitlines():
        if line.startswith("No devices"):
            break
        name, _, rest = line.partition(": ")
        words = [f"<{names[word]}>" if word in names else word for word in rest.split()]
        tables.setdefault(name, []).append(" ".join(words))
    return tables


def _names() -> dict[str, str]:
    listed = lab.run("dmsetup", "info", "-c", "--noheadings", "-o", "major,minor,name", check=False).stdout
    found: dict[str, str] = {}
    for line in listed.splitlines():
        parts = line.strip().split(":")
        if len(parts) == 3:
            found[f"{parts[0]}:{parts[1]}"] = parts[2]
    return found


def kernel_uuids() -> dict[str, str]:
    """Every device's UUID, by name."""
    listed = lab.run("dmsetup", "info", "-c", "--noheadings", "-o", "name,uuid", check=False).stdout
    return dict(line.strip().split(":", 1) for line in listed.splitlines() if ":" in line)


def suspended() -> list[str]:
    """Names of devices that are suspended."""
    listed = lab.run("dmsetup", "info", "-c", "--noheadings", "-o", "name,suspended", check=False).stdout
    return [line.split(":")[0] for line in listed.splitlines() if line.strip().endswith("Suspended")]


def check_group(vg: str, disks: Sequence[str]) -> None:
    """LVM2 finds nothing wrong with a group, its labels and its metadata areas."""
    checked = lvm("vgck", vg).stderr + lvm("pvck", *disks).stderr
    assert "WARNING" not in checked, checked
    lvm("pvck", "--dump", "metadata", disks[0])
