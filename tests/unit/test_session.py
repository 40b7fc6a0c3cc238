"""What a session says of the devices, and what it keeps to itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.machine import World, group
from vmgr.core.errors import DeviceError, KernelError, NotPermitted
from vmgr.outcome import RunOptions
from vmgr.session import Session
from vmgr.system.scan import Scan
from vmgr.testing.machine import layout

SIZE = 8 << 20


class Listener:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.details: list[str] = []

    def ask(self, question: str) -> bool:
        raise AssertionError(question)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, message: str) -> None:
        raise AssertionError(message)

    def detail(self, message: str, level: int = 1) -> None:
        self.details.append(message)


class Unwilling:
    """A reader to which one disk says no."""

    def __init__(self, reader, path, error) -> None:
        self._reader, self._path, self._error = reader, path, error

    def read_many(self, wants):
        answers = self._reader.read_many(wants)
        return [
            self._error if want[0].path == self._path else answer
            for want, answer in zip(wants, answers, strict=True)
        ]

    def close(self) -> None:
        pass


def said(monkeypatch, error, uid: int) -> Listener:
    """What is said when the third disk, which is no physical volume, answers with ``error``."""
    world = World(3)
    world.label(layout(1, SIZE), layout(2, SIZE))
    world.write(group())
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    listener = Listener()
    session = Session(RunOptions(), listener, world.scan()._targets)
    session._config = world.config
    devices = world.scan().devices
    session._scan = Scan(
        world.config, session.targets, devices=devices, reader=Unwilling(world.reader, "/dev/d3", error)
    )
    for _ in range(2):
        assert [view.group.name for view in session.view().groups] == ["vg"]
    return listener


def test_a_device_that_may_not_be_opened_is_a_detail_for_root(monkeypatch):
    listener = said(monkeypatch, NotPermitted("cannot open /dev/d3: Operation not permitted"), 0)
    assert listener.warnings == []
    assert listener.details == ["cannot open /dev/d3: Operation not permitted"]


def test_another_user_is_told_once_that_devices_stay_unseen(monkeypatch):
    listener = said(monkeypatch, NotPermitted("cannot open /dev/d3: Permission denied"), 1000)
    (warning,) = listener.warnings
    assert "not root" in warning


def test_a_device_that_fails_is_a_warning(monkeypatch):
    listener = said(monkeypatch, DeviceError("/dev/d3: read failed"), 0)
    assert listener.warnings == ["WARNING: /dev/d3: read failed"]


@pytest.mark.parametrize("closed", [(0,), (1, 2), (0, 1, 2)])
def test_no_file_takes_the_place_of_a_standard_file_that_is_missing(closed, tmp_path):
    code = (
        "import os, sys; import vmgr.cli.main as m\n"
        f"[os.close(fd) for fd in {closed}]\n"
        "m._fill_standard_files()\n"
        f"above = os.open({str(tmp_path)!r}, os.O_RDONLY) > 2\n"
        f"null = all(os.path.samestat(os.fstat(fd), os.stat('/dev/null')) for fd in {closed})\n"
        "os._exit(0 if above and null else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("told", [True, False])
def test_without_the_control_node_active_volumes_are_not_taken_for_inactive(told, tmp_path, monkeypatch):
    """The kernel has a device of the group and cannot be asked: a change would free what is being written to."""
    from vmgr.core.change import Change
    from vmgr.system import devices

    world = World()
    world.label(layout(1, SIZE), layout(2, SIZE))
    world.write(group(lvs=1))
    view = world.view().group("vg")
    one = view.group
    monkeypatch.setattr("vmgr.system.metadata.MetadataStore.check", lambda *_: None)
    folder = tmp_path / "block" / "dm-0" / "dm"
    folder.mkdir(parents=True)
    (folder / "uuid").write_text(f"LVM-{one.id}{one.lvs[0].id}\n")
    monkeypatch.setattr(devices, "SYSFS", str(tmp_path))
    session = Session(RunOptions(test=True, use_kernel=not told), Listener(), World().scan()._targets)
    session._config = World().config
    session._no_client = KernelError("cannot open the control node")
    change = Change(one, one.without_lv(one.lvs[0].id))
    if told:
        assert session.carry_out(change, view).plans
        return
    with pytest.raises(KernelError, match="cannot open the control node"):
        session.carry_out(change, view)


def test_a_test_run_leaves_hints_alone(tmp_path):
    """They stay true when nothing is changed."""
    from vmgr.system.config import Config

    config = Config(system_dir=str(tmp_path))
    for test in (True, False):
        session = Session(RunOptions(test=test))
        session._config = config
        assert (session.locks._hints is None) is test
