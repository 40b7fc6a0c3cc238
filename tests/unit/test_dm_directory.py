"""The device directory: compared with the kernel, repaired, moved from its old place; all in a test directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.dm_conformance import zeros
from vmgr.dm import directory
from vmgr.dm.client import DmClient
from vmgr.dm.directory import NodeProblem, examine, repair
from vmgr.dm.migration import migrate, plan_migration
from vmgr.dm.nodes import Nodes
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

MAJOR = 254


def can_make_nodes() -> bool:
    path = f"/dev/shm/vmgr-directory-{os.getpid()}"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 255))
    except OSError:
        return False
    os.unlink(path)
    return True


pytestmark = pytest.mark.skipif(not can_make_nodes(), reason="expected: device nodes are made by root only")


class Machine:
    """A fake kernel, and a device directory, ``/proc`` and ``/run`` in files."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.dev = base / "dev"
        self.mapper = self.dev / "mapper"
        self.proc = base / "proc"
        self.run = base / "run"
        for path in (self.mapper, self.proc / "self", self.run):
            path.mkdir(parents=True)
        (self.proc / "devices").write_text(
            f"Character devices:\n 10 misc\n\nBlock devices:\n  8 sd\n{MAJOR} device-mapper\n"
        )
        (self.proc / "misc").write_text("236 device-mapper\n")
        (self.proc / "self/mountinfo").write_text("")
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")
        os.mknod(self.mapper / "control", stat.S_IFCHR | 0o600, os.makedev(10, 236))
        self.client = DmClient(FakeKernel(major=MAJOR), nodes=FakeNodes())
        self.nodes = Nodes(str(self.dev), uid=os.getuid(), gid=os.getgid())

    def device(self, name: str, uuid: str = "", *, table: bool = True) -> int:
        """Make a device; its minor."""
        device = self.client.create(name, uuid)
        if table:
            self.client.load(device, zeros(2048))
            self.client.resume(device)
        return device.minor

    def node(self, name: str, minor: int, *, major: int = MAJOR, where: str = "mapper", mode: int = 0o660) -> Path:
        path = self.dev / where / name
        path.parent.mkdir(exist_ok=True)
        os.mknod(path, stat.S_IFBLK, os.makedev(major, minor))
        path.chmod(mode)
        return path

    def examine(self, *names: str, tableless: bool = False) -> list[tuple[str, str, bool]]:
        found = examine(
            self.client,
            dev_dir=str(self.dev),
            names=names,
            tableless=tableless,
            proc=str(self.proc),
            run=str(self.run),
        )
        return [(problem.kind, os.path.relpath(problem.path, self.dev), problem.safe) for problem in found]

    def repair(self, *names: str, dry: bool = False) -> directory.RepairResult:
        return repair(
            self.client,
            dev_dir=str(self.dev),
            names=names,
            nodes=self.nodes,
            dry=dry,
            proc=str(self.proc),
            run=str(self.run),
        )

    def migrate(self, *, dry: bool = False) -> list[str]:
        migration = migrate(self.client, dev_dir=str(self.dev), nodes=self.nodes, dry=dry, proc=str(self.proc))
        return [step.kind for step in migration.steps]

    def leads_to(self, path: str) -> tuple[int, int]:
        found = os.stat(self.dev / path)
        assert stat.S_ISBLK(found.st_mode)
        return os.major(found.st_rdev), os.minor(found.st_rdev)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def texts(problems: tuple[NodeProblem, ...]) -> str:
    return "\n".join(problem.text for problem in problems)


# -- examined and repaired ------------------------------------------------------------------------------


def test_a_directory_that_says_what_the_kernel_says_has_no_problem(machine: Machine) -> None:
    machine.node("a", machine.device("a"))
    (machine.dev / "dm-1").touch()
    machine.device("no-table", table=False)
    assert machine.examine() == []
    assert machine.repair() == directory.RepairResult((), ())


def test_a_missing_node_is_made_with_owner_group_and_mode(machine: Machine) -> None:
    minor = machine.device("a")
    machine.nodes = Nodes(str(machine.dev), uid=os.getuid(), gid=os.getgid(), mode=0o640)
    assert machine.examine() == [("missing", "mapper/a", True)]
    assert [problem.action for problem in machine.repair().done] == [f"make {machine.mapper}/a ({MAJOR}:{minor})"]
    assert machine.leads_to("mapper/a") == (MAJOR, minor)
    assert stat.S_IMODE(os.stat(machine.mapper / "a").st_mode) == 0o640
    assert machine.examine() == []


def test_a_device_without_a_table_has_a_node_only_if_that_is_wanted(machine: Machine) -> None:
    machine.device("a", table=False)
    assert machine.examine() == []
    assert machine.examine(tableless=True) == [("missing", "mapper/a", True)]


@pytest.mark.parametrize("link", [False, True])
def test_a_node_with_the_right_name_and_wrong_numbers_is_repaired(machine: Machine, link: bool) -> None:
    minor = machine.device("a")
    if link:
        machine.node("dm-7", 7, where=".")
        (machine.mapper / "a").symlink_to("../dm-7")
    else:
        machine.node("a", 7)
    assert machine.examine() == [("wrong", "mapper/a", True)]
    machine.repair()
    assert machine.leads_to("mapper/a") == (MAJOR, minor)
    assert machine.examine() == []


def test_a_dry_run_changes_nothing_and_tells_the_same(machine: Machine) -> None:
    machine.device("a")
    machine.node("b", 7)
    before = sorted(os.listdir(machine.mapper))
    would = machine.repair(dry=True)
    assert sorted(os.listdir(machine.mapper)) == before
    assert machine.repair() == would


def test_nodes_and_links_without_a_device_are_removed(machine: Machine) -> None:
    """Also where the number is another device's by now, and where the driver's major has changed."""
    minor = machine.device("a")
    machine.node("a", minor)
    machine.node("renamed", minor)
    machine.node("gone", 7)
    machine.node("old-major", 7, major=199)
    (machine.mapper / "dangling").symlink_to("../dm-9")
    stale = ["dangling", "gone", "old-major", "renamed"]
    assert machine.examine() == [("stale", f"mapper/{name}", True) for name in stale]
    machine.repair()
    assert sorted(os.listdir(machine.mapper)) == ["a", "control"]


def test_what_is_no_node_is_told_and_stays(machine: Machine) -> None:
    machine.device("a")
    (machine.mapper / "a").write_text("precious")
    (machine.mapper / "b").write_text("precious")
    (machine.mapper / "c").mkdir()
    machine.node("disk", 1, major=8)
    (machine.mapper / "elsewhere").symlink_to("/srv/x")
    (machine.mapper / "alias").symlink_to("disk")
    expected = {("foreign", f"mapper/{name}", False) for name in ("a", "b", "c", "disk", "elsewhere", "alias")}
    assert set(machine.examine()) == expected
    result = machine.repair()
    assert result.done == ()
    assert "b is a file, which does not belong there" in texts(result.left)
    assert (machine.mapper / "a").read_text() == (machine.mapper / "b").read_text() == "precious"
    assert set(machine.examine()) == expected


@pytest.mark.parametrize("user", ["mount", "swap", "process"])
def test_a_node_in_use_under_its_name_is_told_and_stays(machine: Machine, user: str) -> None:
    machine.device("a")
    wrong, stale = machine.node("a", 7), machine.node("b", 8)
    for number, path in enumerate((wrong, stale)):
        if user == "mount":
            with open(machine.proc / "self/mountinfo", "a") as f:
                f.write(f"30 1 254:7 / /mnt\\040{number} rw - ext4 {path} rw\n")
        elif user == "swap":
            with open(machine.proc / "swaps", "a") as f:
                f.write(f"{path}   partition 1 0 -2\n")
        else:
            (machine.proc / f"{number + 40}/fd").mkdir(parents=True)
            (machine.proc / f"{number + 40}/comm").write_text("dd\n")
            (machine.proc / f"{number + 40}/fd/3").symlink_to(path)
    assert machine.examine() == [("wrong", "mapper/a", False), ("stale", "mapper/b", False)]
    result = machine.repair()
    assert result.done == ()
    words = {"mount": "mounted on /mnt 1", "swap": "in use as swap", "process": "open in process 41 (dd)"}
    assert words[user] in result.left[1].text
    assert machine.leads_to("mapper/a") == (MAJOR, 7)
    assert machine.leads_to("mapper/b") == (MAJOR, 8)


def test_a_link_that_udev_s_database_knows_is_udev_s(machine: Machine) -> None:
    """A site's rule may give a device a second name."""
    machine.node("dm-0", machine.device("a"), where=".")
    (machine.mapper / "a").symlink_to("../dm-0")
    (machine.mapper / "alias").symlink_to("../dm-0")
    assert machine.examine() == [("stale", "mapper/alias", True)]
    (machine.run / r"udev/links/mapper\x2falias/b254:0").mkdir(parents=True)
    assert machine.examine() == []


def test_a_device_that_is_made_meanwhile_keeps_its_node(machine: Machine) -> None:
    machine.node("b", 0)
    found = machine.examine()
    assert found == [("stale", "mapper/b", True)]
    real = machine.client.names
    machine.device("b")
    machine.client.names = lambda: ()  # type: ignore[method-assign]
    assert machine.examine() == []
    machine.client.names = real  # type: ignore[method-assign]
    assert machine.examine() == []


def test_a_device_that_is_made_after_the_look_keeps_its_node(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel is asked again before anything is removed, and before a node is made."""
    machine.node("b", 0)
    machine.device("gone")
    found = examine(machine.client, dev_dir=str(machine.dev), proc=str(machine.proc), run=str(machine.run))
    assert [(problem.kind, problem.name) for problem in found] == [("missing", "gone"), ("stale", "b")]
    monkeypatch.setattr(directory, "examine", lambda *_, **__: found)
    machine.client.remove("gone")
    machine.device("b")
    assert machine.repair() == ((), ())
    assert sorted(os.listdir(machine.mapper)) == ["b", "control"]


def test_a_node_that_another_program_is_making_is_left_alone(machine: Machine) -> None:
    path = machine.node(f"a.{4711}~", 7)
    assert machine.examine() == [("stale", f"mapper/{path.name}", True)], "its maker is gone"
    (machine.proc / "4711").mkdir()
    assert machine.examine() == []


def test_links_in_groups_directories_are_examined(machine: Machine) -> None:
    minor = machine.device("my--vg-lv", "LVM-" + "x" * 64)
    machine.node("my--vg-lv", minor)
    other = machine.device("other")
    machine.node("other", other)
    group = machine.dev / "my-vg"
    group.mkdir()
    (group / "lv").symlink_to("../mapper/other")
    (group / "gone").symlink_to("../dm-9")
    (group / "gone2").symlink_to(f"{machine.dev}/mapper/my--vg-gone2")
    (group / "alias").symlink_to("../mapper/asm1")
    (group / "mine").symlink_to("/no/such/file")
    (machine.dev / "pts").mkdir()
    (machine.dev / "pts" / "x").symlink_to("../dm-9")
    assert machine.examine() == [
        ("stale-link", "my-vg/gone", True),
        ("stale-link", "my-vg/gone2", True),
        ("wrong-link", "my-vg/lv", True),
    ]
    machine.repair()
    assert sorted(os.listdir(group)) == ["alias", "lv", "mine"], "an alias for a device that is away is not ours"
    assert machine.leads_to("my-vg/lv") == (MAJOR, minor)
    assert machine.examine() == []


def test_a_group_s_directory_goes_with_its_last_stale_link(machine: Machine) -> None:
    (machine.dev / "vg").mkdir()
    (machine.dev / "vg" / "lv").symlink_to("../dm-9")
    machine.repair()
    assert not (machine.dev / "vg").exists()


def test_one_device_can_be_examined_alone(machine: Machine) -> None:
    machine.device("a")
    machine.device("b")
    machine.node("c", 9)
    assert machine.examine("a") == [("missing", "mapper/a", True)]
    assert machine.examine("c", "d") == [("stale", "mapper/c", True)]
    machine.repair("c")
    assert os.listdir(machine.mapper) == ["control"]


def test_a_node_that_everybody_may_open_is_told(machine: Machine) -> None:
    machine.node("a", machine.device("a"), mode=0o664)
    assert machine.examine() == [("open-to-all", "mapper/a", False)]


@pytest.mark.parametrize("what", ["missing", "numbers", "file", "mode"])
def test_the_control_node_is_examined_and_repaired(machine: Machine, what: str) -> None:
    control = machine.mapper / "control"
    if what == "mode":
        control.chmod(0o666)
    else:
        control.unlink()
        if what == "numbers":
            os.mknod(control, stat.S_IFCHR | 0o600, os.makedev(10, 99))
        elif what == "file":
            control.touch()
    assert machine.examine() == [("control", "mapper/control", True)]
    machine.repair()
    found = os.stat(control)
    assert stat.S_ISCHR(found.st_mode)
    assert (found.st_rdev, stat.S_IMODE(found.st_mode)) == (os.makedev(10, 236), 0o600)
    assert machine.examine() == []


def test_beside_udev_a_link_to_the_kernel_s_node_is_made(machine: Machine) -> None:
    """udev would not replace a node by its own link."""
    minor = machine.device("a")
    machine.node(f"dm-{minor}", minor, where=".")
    machine.nodes.beside_udev = True
    machine.repair()
    assert os.readlink(machine.mapper / "a") == f"../dm-{minor}"
    os.unlink(machine.mapper / "a")
    os.unlink(machine.dev / f"dm-{minor}")
    machine.repair()
    assert stat.S_ISBLK(os.lstat(machine.mapper / "a").st_mode), "without the kernel's node, a node"


# -- the directory of before 0.96.04 -------------------------------------------------------------------


@pytest.fixture
def old(machine: Machine) -> Path:
    """The directory of 2003: control node, two devices' nodes, one of them wrong, one without a device."""
    path = machine.dev / "device-mapper"
    path.mkdir()
    os.mknod(path / "control", stat.S_IFCHR | 0o600, os.makedev(10, 63))
    machine.node("a", machine.device("a"), where="device-mapper", mode=0o600)
    machine.device("b")
    machine.node("b", 99, where="device-mapper")
    machine.node("gone", 7, where="device-mapper")
    return path


def test_the_old_directory_is_recognised(machine: Machine, old: Path) -> None:
    assert ("old-directory", "device-mapper", False) in machine.examine()


def test_the_old_directory_becomes_a_link(machine: Machine, old: Path) -> None:
    os.unlink(machine.mapper / "control")
    assert machine.migrate() == ["control", "move", "make", "drop", "drop", "drop", "close"]
    assert os.readlink(old) == "mapper"
    assert sorted(os.listdir(machine.mapper)) == ["a", "b", "control"]
    assert machine.leads_to("device-mapper/a") == (MAJOR, 0)
    assert stat.S_IMODE(os.stat(machine.mapper / "a").st_mode) == 0o600, "a moved node keeps its mode"
    assert machine.leads_to("mapper/b") == (MAJOR, 1)
    assert os.stat(machine.mapper / "control").st_rdev == os.makedev(10, 236)
    assert machine.examine() == []
    assert machine.migrate() == []


def test_a_dry_migration_changes_nothing(machine: Machine, old: Path) -> None:
    before = sorted(os.listdir(old))
    assert machine.migrate(dry=True) == ["move", "make", "drop", "drop", "drop", "close"]
    assert sorted(os.listdir(old)) == before
    assert os.listdir(machine.mapper) == ["control"]


def test_files_of_others_in_the_old_directory_stay_and_old_paths_go_on_to_work(machine: Machine, old: Path) -> None:
    (old / "notes").write_text("precious")
    machine.node("disk", 1, major=8, where="device-mapper")
    machine.migrate()
    plan = plan_migration(machine.client, dev_dir=str(machine.dev), proc=str(machine.proc))
    assert plan.steps == ()
    assert any("notes is not the device mapper's" in text for text in plan.left)
    assert (old / "notes").read_text() == "precious"
    assert sorted(os.listdir(old)) == ["a", "b", "control", "disk", "notes"]
    assert machine.leads_to("device-mapper/b") == (MAJOR, 1)
    assert os.readlink(old / "a") == "../mapper/a"
    (old / "notes").unlink()
    (old / "disk").unlink()
    machine.migrate()
    assert os.readlink(old) == "mapper", "when they are gone, it is finished"
    assert machine.leads_to("device-mapper/a") == (MAJOR, 0)


def test_a_node_in_the_new_place_is_kept(machine: Machine, old: Path) -> None:
    machine.node("a", 0, mode=0o640)
    machine.migrate()
    assert stat.S_IMODE(os.stat(machine.mapper / "a").st_mode) == 0o640


def test_a_file_in_the_new_place_stops_the_move_of_that_node_only(machine: Machine, old: Path) -> None:
    (machine.mapper / "a").write_text("precious")
    machine.migrate()
    assert (machine.mapper / "a").read_text() == "precious"
    assert machine.leads_to("device-mapper/a") == (MAJOR, 0)
    assert machine.leads_to("mapper/b") == (MAJOR, 1)


def test_a_node_without_device_that_is_in_use_stays(machine: Machine, old: Path) -> None:
    (machine.proc / "swaps").write_text(f"Filename\n{old}/gone partition 1 0 -2\n")
    machine.migrate()
    assert (old / "gone").exists()


def test_a_mounted_old_directory_is_left_alone(
    machine: Machine, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(old))
    assert machine.migrate() == []
    assert sorted(os.listdir(old)) == ["a", "b", "control", "gone"]


@pytest.mark.parametrize("kind", ["absent", "link", "other link", "file"])
def test_there_may_be_nothing_to_migrate(machine: Machine, kind: str) -> None:
    path = machine.dev / "device-mapper"
    if kind == "link":
        path.symlink_to("mapper")
    elif kind == "other link":
        path.symlink_to("/srv")
    elif kind == "file":
        path.touch()
    plan = plan_migration(machine.client, dev_dir=str(machine.dev), proc=str(machine.proc))
    assert plan.steps == ()
    assert len(plan.left) == 1
    assert machine.migrate() == []
    assert os.path.lexists(path) == (kind != "absent")
