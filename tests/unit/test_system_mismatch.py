"""A volume that runs on another device than its physical volumes is told of; the ordinary case costs nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.counted import Counted, plain
from vmgr.system.mismatch import listed as REAL

TOLD = "Device mismatch detected for vg/lv0 which is accessing {} instead of {}"


def sysfs(machine: Counted, directory: Path, moved: dict[str, str]) -> None:
    """What sysfs says of the machine's devices; ``moved`` puts devices, by name, on another disk (``7:2``)."""
    for major, minor in machine.numbers.values():
        (directory / f"dev/block/{major}:{minor}/holders").mkdir(parents=True)
        block = directory / f"class/block/disk{minor}"
        block.mkdir(parents=True)
        (block / "dev").write_text(f"{major}:{minor}\n")
    client = machine._client
    for device in client.devices(tables=True):
        below = {word for line in device.table or () for word in re.findall(r"\b7:\d+", line.params)}
        slaves = directory / f"dev/block/{device.major}:{device.minor}/slaves"
        slaves.mkdir(parents=True)
        for number in (moved[device.name],) if device.name in moved else below:
            (directory / f"dev/block/{number}/holders/dm-{device.minor}").mkdir()
            (slaves / f"disk{number[2:]}").mkdir()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    machine = Counted(monkeypatch, tmp_path, plain(6))
    monkeypatch.setattr("vmgr.system.mismatch.SYSFS", str(tmp_path / "sys"))
    monkeypatch.setattr("vmgr.system.mismatch.listed", REAL)
    machine.run("vgchange", "-ay", "vg")
    return machine


def said(machine: Counted, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    machine.run(*words, status=status)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("lvs", "vg"), ("lvs",), ("lvchange", "--addtag", "x", "vg/lv1"), ("vgchange", "-ay")]
)
def test_another_physical_volume_of_the_group_is_told(machine, capsys, tmp_path, words) -> None:
    sysfs(machine, tmp_path / "sys", {"vg-lv0": "7:2"})
    first, second = machine.numbers
    assert said(machine, capsys, *words).count(TOLD.format(second, first)) == 1


@pytest.mark.parametrize("words", [("lvs", "vg"), ("lvs",), ("lvchange", "--addtag", "x", "vg/lv1")])
def test_nothing_is_told_of_volumes_on_their_own(machine, capsys, tmp_path, words, monkeypatch) -> None:
    """And of each physical volume one listing is read, of no volume any."""
    sysfs(machine, tmp_path / "sys", {})
    listed: list[str] = []
    real = __import__("os").listdir

    def listdir(path: str = ".") -> list[str]:
        if str(path).startswith(str(tmp_path / "sys")):
            listed.append(path)
        return real(path)

    monkeypatch.setattr("vmgr.system.mismatch.os.listdir", listdir)
    assert "mismatch" not in said(machine, capsys, *words)
    assert len(listed) <= 2
    assert all(path.endswith("/holders") for path in listed)


def test_a_table_that_is_older_than_the_metadata_is_no_mismatch(machine, capsys, tmp_path) -> None:
    """Volumes that were extended onto a second disk, and not loaded anew, run on one of their own."""
    machine.run("lvextend", "-l+1", "vg/lv0", next(reversed(machine.numbers)))
    sysfs(machine, tmp_path / "sys", {"vg-lv0": "7:1"})
    assert "mismatch" not in said(machine, capsys, "lvs", "vg")
