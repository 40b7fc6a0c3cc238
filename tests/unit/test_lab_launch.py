"""What is looked for before a machine is started, and what is said when it is not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from vmgr.core.errors import LabError, NotFound, UsageError
from vmgr.core.units import Bytes
from vmgr.lab import launch
from vmgr.lab.command import command
from vmgr.lab.options import LabOptions

MIB = 1 << 20


class Room:
    """A stand-in for os.statvfs: free MiB and mount flags by path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **free: tuple[int, int]) -> None:
        self.free = {name.replace("_", "/"): what for name, what in free.items()}
        monkeypatch.setattr("os.statvfs", self)
        monkeypatch.setattr("os.access", lambda path, mode: path in self.free)
        monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def __call__(self, path: str) -> object:
        if path not in self.free:
            raise FileNotFoundError(path)
        free, flags = self.free[path]

        class Stat:
            f_bavail = free * MIB
            f_frsize = 1
            f_flag = flags

        return Stat


def test_memory_goes_to_dev_shm_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    Room(monkeypatch, _dev_shm=(2000, 0), _tmp=(9000, 0))
    assert launch.room_for(Bytes(1024 * MIB)) == "/dev/shm"


@pytest.mark.parametrize("shm", [(64, 0), (9000, os.ST_NOEXEC)], ids=["small", "noexec"])
def test_a_small_or_noexec_dev_shm_is_passed_over(shm: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    Room(monkeypatch, _dev_shm=shm, _tmp=(9000, 0))
    assert launch.room_for(Bytes(1024 * MIB)) == "/tmp"


def test_no_room_names_each_directory_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    Room(monkeypatch, _dev_shm=(64, 0), _tmp=(100, 0))
    with pytest.raises(LabError) as caught:
        launch.room_for(Bytes(1024 * MIB))
    assert caught.value.details == ("/dev/shm has 64 MiB free", "/tmp has 100 MiB free")
    assert "--mem" in caught.value.hint


def test_a_missing_kernel_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_KERNEL", "no-such-kernel")
    monkeypatch.delenv("VMGR_LAB_KERNEL", raising=False)
    with pytest.raises(LabError) as caught:
        launch.find_kernel()
    assert "user-mode-linux" in caught.value.hint


def test_a_missing_udev_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "UDEV_DAEMONS", ("/no/such/udevd",))
    monkeypatch.setattr(launch, "find_kernel", lambda: "/bin/true")
    with pytest.raises(LabError) as caught:
        launch.start(LabOptions(udev=True), [], ("null", "pipe", "pipe"), (24, 80))
    assert "package udev" in caught.value.hint


@pytest.mark.parametrize("share", ["/", "/etc", "/dev/shm", "/proc"])
def test_directories_that_the_machine_needs_are_not_shared(share: str) -> None:
    with pytest.raises(UsageError):
        launch.shares_of(LabOptions(shares=(share,)))


def test_a_missing_directory_is_not_shared(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        launch.shares_of(LabOptions(shares=(str(tmp_path / "missing"),)))


def test_a_directory_to_start_in_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for cwd in (None, str(gone)):
        with pytest.raises(NotFound):
            launch.directory_of(LabOptions(cwd=cwd))


def test_the_environment_is_the_caller_s_made_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/mine:/usr/bin")
    monkeypatch.setenv("TMPDIR", "/somewhere")
    monkeypatch.setenv("LVM_SYSTEM_DIR", "/my/lvm")
    env = launch.guest_environment(LabOptions(env={"EXTRA": "a=b"}), disks=2)
    path = env["PATH"].split(":")
    assert path[:2] == ["/opt/mine", "/usr/bin"]
    assert {"/usr/sbin", "/sbin", os.path.dirname(sys.executable)} <= set(path)
    assert "TMPDIR" not in env
    assert env["LVM_SYSTEM_DIR"] == "/my/lvm"
    assert env["EXTRA"] == "a=b"
    assert env["VMGR_LAB_DISKS"] == "/dev/ubda /dev/ubdb"


def test_without_udev_lvm2_s_tools_make_their_own_nodes() -> None:
    assert launch.guest_environment(LabOptions(), 0)["DM_DISABLE_UDEV"] == "1"
    assert "DM_DISABLE_UDEV" not in launch.guest_environment(LabOptions(udev=True), 0)


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., LabOptions]:
    """Run the command line with a lab that only notes what it was asked for."""
    seen: list[LabOptions] = []

    def note(options: LabOptions) -> int:
        seen.append(options)
        return 7

    monkeypatch.setattr("vmgr.lab.front.run", note)

    def ask(*argv: str) -> LabOptions:
        result = CliRunner().invoke(command, argv)
        assert result.exit_code == 7, result
        return seen[-1]

    return ask


def test_options_after_the_command_belong_to_the_command(asked: Callable[..., LabOptions]) -> None:
    assert asked("lvs", "-a", "--help").command == ("lvs", "-a", "--help")
    assert asked("--udev", "--", "--odd").command == ("--odd",)


def test_every_option_arrives(asked: Callable[..., LabOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED", "on")
    options = asked(
        *("--disk", "a:1G", "--disk", "b:ro", "--share", "/srv", "--mem", "512M", "--udev"),
        *(
            "--time-limit",
            "2.5",
            "--env",
            "A=1",
            "--env",
            "PASSED",
            "--env",
            "UNSET",
            "--cwd",
            "/",
            "-v",
            "--no-tty",
        ),
    )
    assert [disk.path for disk in options.disks] == ["a", "b"]
    assert options.shares == ("/srv",)
    assert options.memory == 512 * MIB
    assert (options.udev, options.time_limit, options.cwd, options.verbose) == (True, 2.5, "/", True)
    assert options.env == {"A": "1", "PASSED": "on"}
    assert options.tty is False
    assert options.command == ()


@pytest.mark.parametrize(
    "argv",
    [["--mem", "5"], ["--time-limit", "0"], ["--time-limit", "-1"], ["--time-limit", "nan"], ["--env", "=x"]],
)
def test_nonsense_is_a_usage_error(argv: list[str]) -> None:
    result = CliRunner().invoke(command, argv)
    assert isinstance(result.exception, UsageError)
