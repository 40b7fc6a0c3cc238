"""Create, rename and remove in every way that udev can be there: told to keep out, slow, broken, or gone."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.dmsetup import LINK, OURS, THEIRS, Do, Step, agree, run_tool
from tests.support.lab import run, settle, udev_stopped, udevd, until, with_and_without_udev
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import cookies, udev
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.kernel import IoctlKernel

with_udev = pytest.mark.udev
ZERO = [KernelLine(Sectors(0), Sectors(2048), "zero", "")]


@pytest.fixture(autouse=True)
def _no_cookie_left(_machine: None) -> Iterator[None]:
    yield
    left = [hex(cookie.value) for cookie in cookies.cookies()]
    cookies.complete_all()
    assert left == []


def make(dm: DmClient, name: str) -> str:
    dm.create(name)
    dm.load(by_name(name), ZERO)
    device = dm.resume(by_name(name))
    return f"{device.major}:{device.minor}"


def leads_to(path: str) -> str:
    """The number of the block device at ``path``; empty when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    assert stat.S_ISBLK(found.st_mode)
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def entries() -> list[str]:
    return sorted(set(os.listdir("/dev/mapper")) - {"control"})


def life(dm: DmClient, wait: Callable[[], object] = lambda: None) -> None:
    """One device made, renamed and removed, with its node looked at after each; ``wait`` is called before."""
    number = make(dm, "one")
    wait()
    assert (entries(), leads_to("/dev/mapper/one")) == (["one"], number)
    dm.rename(by_name("one"), "two")
    wait()
    assert (entries(), leads_to("/dev/mapper/two")) == (["two"], number)
    dm.remove(by_name("two"), retry=5)
    wait()
    assert entries() == []


class Events:
    """What udev says of device-mapper devices when it is done with them: (action, properties)."""

    def __enter__(self) -> Events:
        import pyudev

        self.context = pyudev.Context()
        self.monitor = pyudev.Monitor.from_netlink(self.context)
        self.monitor.filter_by("block")
        self.monitor.start()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def taken(self) -> list[tuple[str, dict[str, str]]]:
        settle()
        found = []
        while (device := self.monitor.poll(timeout=0.2)) is not None:
            if device.sys_name.startswith("dm-"):
                found.append((device.action, dict(device.properties)))
        return found


# -- udev at work ------------------------------------------------------------------------------------------


@with_udev
def test_each_command_makes_one_event_and_each_link_appears_once() -> None:
    with Events() as events, DmClient.open() as dm:
        make(dm, "one")
        add, change = events.taken()
        assert add[0] == "add"
        assert "DM_COOKIE" not in add[1]
        assert change[0] == "change"
        assert change[1]["DM_UDEV_PRIMARY_SOURCE_FLAG"] == "1"
        assert change[1]["DM_ACTIVATION"] == "1"
        assert change[1]["DM_NAME"] == "one"
        links = change[1]["DEVLINKS"].split()
        assert len(links) == len(set(links))
        assert links.count("/dev/mapper/one") == 1
        dm.rename(by_name("one"), "two")
        (change,) = events.taken()
        assert change[1]["DM_UDEV_PRIMARY_SOURCE_FLAG"] == "1"
        links = change[1]["DEVLINKS"].split()
        assert links.count("/dev/mapper/two") == 1
        assert not [link for link in links if "one" in link]
        dm.remove(by_name("two"))
        taken = events.taken()
        assert {action for action, _ in taken} == {"remove"}
        # The kernel sends a second one, without a cookie, for the disk as such.
        assert len([properties for _, properties in taken if "DM_COOKIE" in properties]) == 1
    assert dm.warnings == []


@with_udev
def test_what_udev_records_is_what_it_records_for_dmsetup() -> None:
    """Flags of every mode in udev's database: the rules heed them now and at every later event."""
    modes = {
        "plain": ["--verifyudev"],
        "no sync": ["--noudevsync", "--verifyudev"],
        "no rules": ["--noudevrules", "--verifyudev"],
        "neither": ["--noudevsync", "--noudevrules", "--verifyudev"],
    }
    seen: dict[str, dict[str, list[str]]] = {}
    for tool in (THEIRS, OURS, LINK):
        seen[tool] = {}
        for mode, words in modes.items():
            assert run_tool(tool, ["create", "one", "--table", "0 8 zero", *words])[0] == 0
            settle()
            node = os.stat("/dev/mapper/one").st_rdev
            text = run(
                "udevadm", "info", "--query=property", f"/dev/block/{os.major(node)}:{os.minor(node)}"
            ).stdout
            # A fallback that dmsetup leaves out when nobody waits is not announced by us in the same words.
            flags = [line for line in text.splitlines() if "FLAG" in line and "FALLBACK" not in line]
            seen[tool][mode] = sorted(flags)
            assert run_tool(tool, ["remove", "one", "--retry"])[0] == 0
            settle()
    assert seen[OURS] == seen[THEIRS]
    assert seen[LINK] == seen[THEIRS]
    assert seen[THEIRS]["plain"] == ["DM_UDEV_PRIMARY_SOURCE_FLAG=1"]


@with_and_without_udev
def test_nodes_are_right_after_every_command(udev: bool) -> None:
    with DmClient.open() as dm:
        life(dm)
    assert dm.warnings == []


@with_and_without_udev
def test_without_waiting_they_are_right_a_moment_later(udev: bool) -> None:
    with DmClient.open(sync=False) as dm:
        life(dm, settle)
        assert cookies.cookies() == ()
    assert dm.warnings == []


@with_udev
def test_without_waiting_nothing_is_waited_for() -> None:
    with DmClient.open(sync=False) as dm, udev_stopped():
        make(dm, "one")
        assert entries() == []
        assert cookies.cookies() == ()
    assert entries() == ["one"]
    dm.remove(by_name("one"), retry=5)
    settle()
    assert entries() == []


@with_and_without_udev
def test_with_the_rules_kept_out_the_nodes_are_ours(udev: bool) -> None:
    def ours() -> None:
        for name in entries():
            found = os.lstat(f"/dev/mapper/{name}")
            assert stat.S_ISBLK(found.st_mode)

    with DmClient.open(rules=False) as dm:
        life(dm, ours)
        life(dm, settle)
    assert dm.warnings == []


@with_udev
def test_rules_kept_out_of_a_device_that_they_had_a_link_for() -> None:
    """The event takes udev's link away; a node is there all the same."""
    with DmClient.open() as dm:
        number = make(dm, "one")
    assert os.path.islink("/dev/mapper/one")
    with DmClient.open(rules=False) as dm:
        dm.rename(by_name("one"), "two")
        settle()
        assert (entries(), leads_to("/dev/mapper/two")) == (["two"], number)
        dm.suspend(by_name("two"))
        dm.resume(by_name("two"))
        settle()
        assert leads_to("/dev/mapper/two") == number
    with DmClient.open() as dm:
        dm.remove(by_name("two"), retry=5)
    settle()
    assert entries() == []


@with_udev
def test_a_lent_cookie_is_neither_waited_for_nor_removed() -> None:
    value = cookies.create()
    with DmClient.open(cookie=value) as dm, udev_stopped():
        make(dm, "one")
        dm.rename(by_name("one"), "two")
        assert entries() == []
        (entry,) = cookies.cookies()
        assert (entry.value, entry.left) == (value, 3)
        dm.create("three")
        with pytest.raises(Exception, match="exist"):
            dm.create("three")
        dm.remove(by_name("three"))
    cookies.release(value)
    assert entries() == ["two"]
    with DmClient.open() as dm:
        dm.remove(by_name("two"), retry=5)


@with_udev
def test_the_environment_says_to_do_without_udev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DM_DISABLE_UDEV", "1")
    with DmClient.open() as dm, udev_stopped():
        life(dm)
    assert dm.warnings == []


@with_and_without_udev
def test_another_device_directory_is_made_as_dmsetup_makes_it(udev: bool) -> None:
    """DM_DEV_DIR; through the command."""
    base = f"/dev/shm/dm-dir-{os.getpid()}"
    os.mkdir(base)
    run("mount", "-t", "tmpfs", "-o", "dev", "tmpfs", base)
    seen = {}
    try:
        for tool in (THEIRS, OURS, LINK):
            found = seen[tool] = list[object]()
            for words in (
                "create one --table '0 8 zero'",
                "create two --table '0 8 zero' -U 1 -G 2 -M 0640",
                "rename one three",
                "remove two --retry",
                "mknodes",
                "remove three --retry",
            ):
                status, _, err = run_tool(tool, Step(words).words, env={"DM_DEV_DIR": base})
                assert status == 0, err
                settle()
                entries = []
                for entry in sorted(os.scandir(f"{base}/mapper"), key=lambda entry: entry.name):
                    status = entry.stat()
                    entries.append((entry.name, status.st_mode, status.st_uid, status.st_gid, status.st_rdev))
                found.append(entries)
    finally:
        run("umount", base)
        os.rmdir(base)
    assert seen[OURS] == seen[THEIRS]
    assert seen[LINK] == seen[THEIRS]


# -- udev that is broken -----------------------------------------------------------------------------------


@with_udev
def test_a_udevd_that_hangs_holds_up_nothing_beyond_the_bound() -> None:
    """Each name is right when its command returns, a warning says why, and udev finds all well when it goes on."""
    dm = DmClient(IoctlKernel(), udev=udev.Udev(timeout=0.3))
    with udev_stopped():
        life(dm)
        assert cookies.cookies() == ()
        number = make(dm, "three")
    assert len([text for text in dm.warnings if "udev is not done" in text]) == 4
    assert (entries(), leads_to("/dev/mapper/three")) == (["three"], number)
    assert os.path.islink("/dev/mapper/three"), "udev can go on with it"
    dm.remove(by_name("three"), retry=5)
    assert entries() == []
    dm.close()


@with_udev
def test_a_removed_semaphore_ends_the_wait_and_the_nodes_are_right() -> None:
    with DmClient.open() as dm, udev_stopped():
        ended: list[str] = []
        thread = threading.Thread(target=lambda: ended.append(make(dm, "one")))
        thread.start()
        until(lambda: any(entry.left == 1 for entry in cookies.cookies()) and dm.look("one"), "the wait")
        # Once with what an administrator does, and once with the system call.
        until(lambda: cookies.complete_all(0).completed, "the removal")
        thread.join(30)
        assert not thread.is_alive()
        assert (entries(), leads_to("/dev/mapper/one")) == (["one"], ended[0])
        assert any("done without it" in text for text in dm.warnings)
    with DmClient.open() as dm:
        dm.remove(by_name("one"), retry=5)
    assert entries() == []


@contextmanager
def masked(name: str) -> Iterator[None]:
    """udev does not have the rules file ``name``."""
    os.makedirs("/etc/udev/rules.d", exist_ok=True)
    os.symlink("/dev/null", f"/etc/udev/rules.d/{name}")
    run("udevadm", "control", "--reload")
    try:
        yield
    finally:
        os.unlink(f"/etc/udev/rules.d/{name}")
        run("udevadm", "control", "--reload")


@with_udev
@pytest.mark.parametrize("name", ["95-dm-notify.rules", "55-dm.rules"])
def test_with_its_rules_masked_udev_is_not_relied_on(name: str) -> None:
    with masked(name):
        assert udev.detect() is None
        state = udev.udev_state()
        assert state.running
        assert not state.usable
        assert state.reasons() == (f"/etc/udev/rules.d/{name} masks udev's rules",)
        with DmClient.open() as dm:
            life(dm)
        assert dm.warnings == []
        settle()
        assert entries() == []
    assert udev.detect() is not None


@with_udev
def test_rules_that_vanish_while_a_client_works_hold_it_up_once() -> None:
    dm = DmClient(IoctlKernel(), udev=udev.Udev(timeout=0.5))
    with masked("95-dm-notify.rules"):
        life(dm)
    assert "udev is not done" in dm.warnings[0]
    dm.close()


@with_udev
def test_a_udevd_that_was_killed_is_not_waited_for() -> None:
    os.kill(udevd(), signal.SIGKILL)
    try:
        until(lambda: not udev.running(), "its end")
        assert os.path.exists("/run/udev/control")
        with DmClient.open() as dm:
            life(dm)
        assert dm.warnings == []
    finally:
        os.unlink("/run/udev/control")
        run("/lib/systemd/systemd-udevd", "--daemon")
        run("udevadm", "trigger", "--action=add", "--subsystem-match=block", "--subsystem-match=misc")
        settle()


@with_udev
def test_a_working_udev_is_seen_as_one() -> None:
    state = udev.udev_state()
    assert state.usable
    assert state.reasons() == ()
    assert state.node_rules.endswith("/55-dm.rules")
    assert state.notify_rules.endswith("/95-dm-notify.rules")


# -- owner, group, mode, and mknodes, beside dmsetup -------------------------------------------------------


def test_owner_group_and_mode_are_as_dmsetup_makes_them() -> None:
    agree(
        "create one --table '0 8 zero' --uid 1 --gid 2 --mode 0640",
        "create two --table '0 8 zero' -U 3",
        "create three --table '0 8 zero' -M 600",
        "create four --table '0 8 zero' -G 0",
        "rename one five",
        "suspend five",
        "resume five",
        Step("create six --table '0 8 zero' -M 9", status=1),
    )


def spoil() -> None:
    """What goes wrong where no udev keeps the directory."""
    with DmClient.open(use_udev=False) as dm:
        minor = {device.name: device.minor for device in dm.devices()}
        major = dm.kernel.block_major()
    os.unlink("/dev/mapper/missing")
    os.unlink("/dev/mapper/wrong")
    os.mknod("/dev/mapper/wrong", stat.S_IFBLK | 0o660, os.makedev(major, minor["missing"]))
    os.mknod("/dev/mapper/stale", stat.S_IFBLK | 0o660, os.makedev(major, 77))
    os.mknod("/dev/mapper/alias", stat.S_IFBLK | 0o660, os.makedev(major, minor["missing"]))
    os.symlink("/dev/mapper/nothing", "/dev/mapper/dangling")


def test_mknodes_leaves_what_dmsetup_leaves() -> None:
    agree(
        "create missing --table '0 8 zero'",
        "create wrong --table '0 8 zero'",
        "create right --table '0 8 zero' -M 600",
        "create bare --notable",
        Do(spoil),
        "mknodes right",
        "mknodes wrong",
        "mknodes stale",
        "mknodes",
        "mknodes nothing-of-that-name",
    )


@with_and_without_udev
def test_mknodes_mends_and_tells(udev: bool) -> None:
    with DmClient.open() as dm:
        number = make(dm, "one")
    os.unlink("/dev/mapper/one")
    os.mknod("/dev/mapper/gone", stat.S_IFBLK | 0o660, os.makedev(int(number.split(":")[0]), 99))
    with open("/dev/mapper/notes", "w") as file:
        file.write("precious")
    try:
        status, _, said = run_tool(OURS, ["mknodes", "--test"])
        assert status == 0
        assert f"would make /dev/mapper/one ({number})" in said
        assert "would remove /dev/mapper/gone" in said
        assert entries() == ["gone", "notes"]
        status, _, said = run_tool(OURS, ["mknodes"])
        assert status == 0
        assert f"made /dev/mapper/one ({number})" in said
        assert "/dev/mapper/notes is a file, which does not belong there" in said
        assert (entries(), leads_to("/dev/mapper/one")) == (["notes", "one"], number)
        assert os.path.islink("/dev/mapper/one") == udev
        with open("/dev/mapper/notes") as file:
            assert file.read() == "precious"
    finally:
        os.unlink("/dev/mapper/notes")
    with DmClient.open() as dm:
        dm.remove(by_name("one"), retry=5)
    settle()
    assert entries() == []


def test_mknodes_makes_nodes_with_the_owner_group_and_mode_that_are_asked_for() -> None:
    """One that is there and right keeps its own. With JSON for a program."""
    with DmClient.open() as dm:
        make(dm, "one")
        number = make(dm, "two")
    os.unlink("/dev/mapper/two")
    status, out, _ = run_tool(OURS, ["mknodes", "-U", "1", "-G", "2", "-M", "0640", "--json"])
    assert status == 0
    assert json.loads(out) == {
        "dry_run": False,
        "done": [
            {
                "kind": "missing",
                "path": "/dev/mapper/two",
                "device": "two",
                "text": "the device two has no node /dev/mapper/two",
                "action": f"make /dev/mapper/two ({number})",
            }
        ],
        "left": [],
    }
    found = os.stat("/dev/mapper/two")
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1, 2, 0o640)
    found = os.stat("/dev/mapper/one")
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o660)


@with_udev
def test_where_udev_makes_the_nodes_its_rules_decide_on_their_owner_and_that_is_said() -> None:
    status, _, said = run_tool(OURS, ["create", "one", "--table", "0 8 zero", "-U", "1"])
    assert status == 0
    assert "udev makes the nodes: its rules decide on their owner, group and mode" in said
    assert os.stat("/dev/mapper/one").st_uid == 0
    os.unlink("/dev/mapper/one")
    assert "its rules decide" in run_tool(OURS, ["mknodes", "-U", "1"])[2]
    assert os.path.islink("/dev/mapper/one")
    assert run_tool(LINK, ["create", "two", "--table", "0 8 zero", "-U", "1"]) == (0, "", "")
    assert run_tool(OURS, ["create", "three", "--table", "0 8 zero", "-U", "1", "--noudevrules"]) == (0, "", "")
    assert os.stat("/dev/mapper/three").st_uid == 1
    for name in ("one", "two", "three"):
        assert run_tool(OURS, ["remove", name, "--retry"])[0] == 0
    settle()
    assert entries() == []


def test_a_file_in_a_device_s_place_is_told_with_a_status() -> None:
    with DmClient.open() as dm:
        make(dm, "one")
        os.unlink("/dev/mapper/one")
        with open("/dev/mapper/one", "w") as file:
            file.write("precious")
        status, _, said = run_tool(OURS, ["mknodes"])
        assert status == 5
        assert "/dev/mapper/one is a file, where the node of one" in said
        assert run_tool(LINK, ["mknodes"])[0] == 0
        with open("/dev/mapper/one") as file:
            assert file.read() == "precious"
        os.unlink("/dev/mapper/one")


def test_a_node_that_is_mounted_or_open_is_not_removed(
    make_disk: Callable[[float], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk = make_disk(4)
    run("mke2fs", "-q", disk)
    number = os.stat(disk).st_rdev
    with DmClient.open() as dm:
        dm.create("one")
        line = KernelLine(Sectors(0), Sectors(8192), "linear", f"{os.major(number)}:{os.minor(number)} 0")
        dm.load(by_name("one"), [line])
        dm.resume(by_name("one"))
        there = tmp_path_factory.mktemp("mounted")
        run("mount", "/dev/mapper/one", str(there))
        try:
            run("dmsetup", "rename", "one", "two")
            os.mknod("/dev/mapper/one", stat.S_IFBLK | 0o660, os.stat("/dev/mapper/two").st_rdev)
            status, _, said = run_tool(OURS, ["mknodes"])
            assert status == 5
            assert f"it stays, for it is mounted on {there}" in said
            assert entries() == ["one", "two"]
        finally:
            run("umount", str(there))
        holder = os.open("/dev/mapper/one", os.O_RDONLY)
        try:
            assert f"open in process {os.getpid()}" in run_tool(OURS, ["mknodes"])[2]
            assert entries() == ["one", "two"]
        finally:
            os.close(holder)
        assert run_tool(OURS, ["mknodes"])[0] == 0
        assert entries() == ["two"]


def test_the_directory_of_before_0_96_04_is_migrated() -> None:
    with DmClient.open() as dm:
        number = make(dm, "one")
    os.mkdir("/dev/device-mapper")
    os.rename("/dev/mapper/one", "/dev/device-mapper/one")
    os.mknod("/dev/device-mapper/control", stat.S_IFCHR | 0o600, os.makedev(10, 63))
    try:
        assert "vmgr dm mknodes --migrate" in run_tool(OURS, ["mknodes", "--test"])[2]
        status, _, said = run_tool(OURS, ["mknodes", "--migrate", "--test"])
        assert status == 0
        assert "would move /dev/device-mapper/one to /dev/mapper/one" in said
        assert entries() == []
        status, _, said = run_tool(OURS, ["mknodes", "--migrate"])
        assert status == 0
        assert "moved /dev/device-mapper/one to /dev/mapper/one" in said
        assert leads_to("/dev/device-mapper/one") == leads_to("/dev/mapper/one") == number
        assert os.readlink("/dev/device-mapper") == "mapper"
        assert "nothing to migrate" in run_tool(OURS, ["mknodes", "--migrate"])[2]
    finally:
        os.unlink("/dev/device-mapper")
