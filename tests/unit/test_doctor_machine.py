"""What `vmgr doctor` says of a machine around the kernel, on trees that a test lays out. No root, no kernel."""

from __future__ import annotations

import os
import shlex
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.doctor_tree import Tree
from vmgr.core.errors import ConfigError
from vmgr.core.table import LiveDevice
from vmgr.dm.module import ModuleState, Setting
from vmgr.dm.udev import UdevState
from vmgr.doctor import control, cookies, devices, locks, lvm2, major, nodes, permissions, udev
from vmgr.doctor.examine import SUBJECTS, Question, examine
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING
from vmgr.doctor.machine import look
from vmgr.doctor.processes import Process, process
from vmgr.system.config import Config
from vmgr.system.config import parse as parse_config


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def by_id(findings):
    return {finding.id: finding for finding in findings}


# -- the control node -----------------------------------------------------------------------------


def control_of(tree):
    (found,) = control.check(control.gather(look(tree.roots)))
    return found


def test_a_missing_control_node_comes_with_the_command_that_makes_it(tree):
    found = control_of(tree)
    path = f"{tree.roots.dev}/mapper/control"
    assert (found.id, found.state) == ("control.missing", PROBLEM)
    assert found.remedy == f"mkdir -p {tree.roots.dev}/mapper && mknod -m 600 {path} c 10 236"
    assert found.repair.kind == "control"


def test_a_control_node_with_other_numbers_is_wrong(tree):
    tree.control()
    found = control_of(tree)
    assert (found.id, found.state) == ("control.wrong-numbers", PROBLEM)
    assert "1:3" in found.text
    assert "10:236" in found.text


def test_the_minor_comes_from_proc_misc(tree):
    tree.write("proc/misc", "63 device-mapper\n")
    assert control_of(tree).remedy.endswith("c 10 63")


def test_a_control_node_that_everybody_may_open_is_a_problem(tree):
    tree.mem_is_misc()
    tree.control()
    found = control_of(tree)
    assert (found.id, found.state) == ("control.open-to-all", PROBLEM)
    assert found.remedy.startswith("chmod 600 ")


def test_a_file_in_its_place_is_not_for_fix_to_remove(tree):
    tree.write("dev/mapper/control", "somebody's")
    found = control_of(tree)
    assert (found.id, found.repair) == ("control.not-a-node", None)
    assert found.remedy.startswith("mv ")


def test_without_a_device_mapper_the_node_is_not_missed(tmp_path):
    found = control_of(Tree(tmp_path, registered=False))
    assert (found.id, found.state, found.repair) == ("control.not-yet", NOTE, None)


# -- the major ------------------------------------------------------------------------------------


def majors(state, now, *settings, taken=None):
    module = ModuleState(state, "6.1.0", "", now, (), (), settings)
    return by_id(major.check(major.Facts(module, taken or {})))


IN_FILE = Setting("/etc/modprobe.d/a.conf", 3, "major", "240")
AT_BOOT = Setting("/proc/cmdline", 0, "major", "240")


def test_the_major_is_right_when_nothing_asks_for_another():
    assert majors("loaded", 253)["major.right"].state == OK
    assert "a.conf:3" in majors("loaded", 240, IN_FILE)["major.right"].text


def test_configuration_that_asks_for_another_major_is_a_problem():
    found = majors("loaded", 253, IN_FILE)["major.differs"]
    assert (found.state, found.facts["major"]) == (PROBLEM, 253)
    assert "modprobe dm-mod major=240" in found.remedy


def test_a_major_that_another_driver_has_cannot_be_had():
    found = majors("available", None, IN_FILE, taken={240: "nvme"})["major.taken"]
    assert found.state == PROBLEM
    assert "nvme" in found.text
    assert "nvme" in majors("loaded", 253, IN_FILE, taken={240: "nvme"})["major.differs"].text


def test_nobody_reads_modprobe_d_for_what_is_built_in():
    found = majors("built-in", 253, IN_FILE)
    assert found["major.unheard"].state == PROBLEM
    assert "dm_mod.major=240" in found["major.unheard"].remedy
    assert found["major.right"].state == OK
    assert "major.unheard" not in majors("built-in", 240, AT_BOOT)


def test_two_lines_that_say_different_things_are_told_and_the_last_counts():
    other = Setting("/etc/modprobe.d/b.conf", 1, "major", "241")
    found = majors("loaded", 241, IN_FILE, other)
    assert found["major.contradiction"].state == WARNING
    assert found["major.right"].state == OK


@pytest.mark.parametrize("value", ["many", "512", "-1", ""])
def test_a_major_that_is_no_number_or_too_large_is_named(value):
    found = majors("loaded", 253, Setting("/etc/modprobe.d/a.conf", 3, "major", value))
    assert found["major.unusable"].state == PROBLEM
    assert found["major.right"].state == OK


def test_modprobe_d_of_the_tree_is_read(tree):
    tree.write("etc/modprobe.d/dm.conf", "options dm-mod major=240\n")
    found = by_id(major.check(major.gather(look(tree.roots))))
    assert found["major.differs"].facts["major"] == 253


# -- udev -----------------------------------------------------------------------------------------

UDEV = UdevState(
    True, "/lib/udev/rules.d/55-dm.rules", "/lib/udev/rules.d/95-dm-notify.rules", (), "", True, False, False
)


def udev_of(lvm_rules="/lib/udev/rules.d/56-lvm.rules", **changes):
    return by_id(udev.check(udev.Facts(UDEV._replace(**changes), lvm_rules)))


def test_a_running_udev_with_all_rules_is_right():
    assert {f.state for f in udev_of().values()} == {OK}


def test_no_udev_is_no_problem_because_vmgr_makes_nodes():
    found = udev_of(running=False)
    assert (found["udev.not-running"].state, list(found)) == (NOTE, ["udev.not-running"])


@pytest.mark.parametrize(("field", "id"), [("node_rules", "names"), ("notify_rules", "notify")])
def test_missing_and_masked_rules_are_told_apart(field, id):
    assert udev_of(**{field: ""})[f"udev.{id}-missing"].state == PROBLEM
    name = "55-dm.rules" if id == "names" else "95-dm-notify.rules"
    found = udev_of(**{field: "", "masked": (f"/etc/udev/rules.d/{name}",)})[f"udev.{id}-masked"]
    assert (found.state, found.remedy) == (PROBLEM, f"rm /etc/udev/rules.d/{name}")


def test_a_notify_rule_whose_program_is_gone_is_a_problem():
    assert udev_of(broken="/sbin/dmsetup")["udev.notify-broken"].state == PROBLEM


def test_missing_rules_of_lvm2_are_worth_a_note():
    assert udev_of(lvm_rules="")["udev.lvm-missing"].state == NOTE


def test_rules_are_found_and_masks_seen_in_a_tree(tree):
    control = f"{tree.roots.run}/udev/control"
    tree.write("run/udev/control", "")
    tree.write("proc/net/unix", f"Num RefCount Protocol Flags Type St Inode Path\n0: 2 0 1 5 1 1 {control}\n")
    for name in ("55-dm.rules", "95-dm-notify.rules", "56-lvm.rules"):
        tree.write(f"usr/lib/udev/rules.d/{name}", "# a rule\n")
    tree.link("etc/udev/rules.d/56-lvm.rules", "/dev/null")
    found = by_id(udev.check(udev.gather(tree.roots, {})))
    assert found["udev.rules"].state == OK
    assert found["udev.lvm-masked"].remedy == f"rm {tree.path}/etc/udev/rules.d/56-lvm.rules"


def test_a_shell_that_disables_udev_is_told():
    assert udev_of(disabled=True)["udev.disabled"].remedy == "unset DM_DISABLE_UDEV"


# -- cookies --------------------------------------------------------------------------------------


def cookie(**changes):
    facts = {"value": 0xD4D1234, "semid": 7, "age": 4000, "count": 1, **changes}
    (found,) = cookies.check(cookies.Facts(True, (cookies.Found(**facts),)))
    return found


def test_an_old_cookie_of_nobody_is_left_over_and_can_be_repaired():
    found = cookie()
    assert (found.id, found.state) == ("cookies.left-over", PROBLEM)
    assert found.repair.arguments == (0xD4D1234, 7)


def test_a_young_cookie_is_in_use():
    found = cookie(age=cookies.OLD - 1)
    assert (found.id, found.state, found.repair) == ("cookies.in-use", NOTE, None)


@pytest.mark.parametrize("waiting", [True, False])
def test_an_old_cookie_of_a_living_process_is_never_removed(waiting):
    found = cookie(owner="process 12 (lvcreate)", waiting=waiting)
    assert (found.id, found.state, found.repair) == ("cookies.waited-for", PROBLEM, None)
    assert "process 12 (lvcreate)" in found.text
    assert "udevcomplete 0xd4d1234" in found.remedy


def test_what_may_not_be_read_is_not_judged():
    found = cookie(count=None)
    assert (found.id, found.state, found.repair) == ("cookies.unknown", WARNING, None)


def test_a_kernel_without_semaphores_has_no_cookies(tree):
    tree.remove("proc/sysvipc/sem")
    (found,) = cookies.check(cookies.gather(tree.roots))
    assert found.id == "cookies.no-semaphores"


def test_without_proc_nothing_is_claimed_of_cookies(tree):
    tree.remove("proc/sysvipc/sem")
    tree.remove("proc/devices")
    (found,) = cookies.check(cookies.gather(tree.roots))
    assert (found.id, found.state) == ("cookies.unreadable", WARNING)


def test_semaphores_of_others_are_no_cookies(tree):
    tree.write(
        "proc/sysvipc/sem",
        "key semid perms nsems uid gid cuid cgid otime ctime\n 1095 3 600 1 0 0 0 0 1 1\n",
    )
    (found,) = cookies.check(cookies.gather(tree.roots))
    assert found.id == "cookies.none"


# -- devices --------------------------------------------------------------------------------------


def devices_of(*live, **facts):
    return devices.check(devices.Facts(live, True, True, **facts))


def test_running_devices_are_counted():
    (found,) = devices_of(LiveDevice("a", "", 253, 0), LiveDevice("b", "", 253, 1))
    assert (found.id, found.text) == ("devices.running", "2 devices, all running")


def test_a_suspended_device_is_named_with_who_waits_and_never_resumed_by_fix():
    waiting = {"vg-lv": (Process(31, "cp", "D"),)}
    at_work = (Process(9, "lvconvert"),)
    (found,) = devices_of(
        LiveDevice("vg-lv", "LVM-x", 253, 0, suspended=True), waiting=waiting, at_work=at_work, heard={"vg-lv": 300}
    )
    assert (found.id, found.state, found.repair) == ("devices.suspended", PROBLEM, None)
    assert found.remedy == "vmgr dm resume vg-lv"
    for words in ("process 31 (cp)", "process 9 (lvconvert)", "5 min ago"):
        assert words in found.text


def test_a_suspended_device_with_a_new_table_leaves_the_choice_to_a_person():
    (found,) = devices_of(LiveDevice("a", "", 253, 0, suspended=True, has_inactive=True))
    assert "vmgr dm table --inactive a" in found.remedy
    assert "vmgr dm clear a" in found.remedy
    assert shlex.split(found.remedy, comments=True) == ["vmgr", "dm", "table", "--inactive", "a"]  # changes nothing


@pytest.mark.parametrize("name", ["-a", "a\\x20b", "a;b", "a'b"])
def test_a_remedy_names_a_device_as_a_shell_takes_it(name):
    """Whatever the name, the remedy that is pasted is one command with that name."""
    for device in (
        LiveDevice(name, "", 253, 0, suspended=True),
        LiveDevice(name, "", 253, 0, has_live=False),
        LiveDevice(name, "", 253, 0, has_inactive=True),
    ):
        (found,) = devices_of(device)
        words = shlex.split(found.remedy, comments=True)
        assert words[:2] == ["vmgr", "dm"]
        assert words[-1] == name
        assert ("--" in words) == name.startswith("-")


def test_a_device_without_a_table_is_left_by_a_command_that_did_not_finish():
    (found,) = devices_of(LiveDevice("a", "", 253, 0, suspended=True, has_live=False))
    assert (found.id, found.state) == ("devices.no-table", WARNING)


def test_a_table_that_waits_on_a_running_device_is_told():
    (found,) = devices_of(LiveDevice("a", "", 253, 0, has_inactive=True))
    assert (found.id, found.state) == ("devices.table-waits", WARNING)


def test_sysfs_tells_of_suspended_devices_where_the_kernel_may_not_be_asked(tree):
    tree.device("vg-lv", 3, uuid="LVM-x", suspended=True)
    tree.write("proc/self/mountinfo", "30 1 253:3 / /srv/my\\040data rw - ext4 /dev/mapper/vg-lv rw\n")
    tree.process(50, "cp", state="D", opens=("/srv/my data/file",))
    tree.process(51, "sleeper", state="S", opens=("/srv/my data/file",))
    tree.process(52, "lvm", opens=(f"{tree.roots.dev}/mapper/control",))
    tree.write("run/udev/data/b253:3", "")
    os.utime(tree.path / "run/udev/data/b253:3", (1000, 1000))
    (found,) = devices.check(devices.gather(look(tree.roots), now=1600))
    assert found.facts["waiting"] == ("process 50 (cp)",)
    assert found.facts["at_work"] == ("process 52 (lvm)",)
    assert found.facts["udev_silent"] == 600


def test_a_device_that_is_about_to_go_is_worth_a_note():
    (found,) = devices_of(LiveDevice("a", "", 253, 0, deferred_remove=True, open_count=1))
    assert (found.id, found.state) == ("devices.leaving", NOTE)


def test_a_process_may_have_any_name(tree):
    tree.process(60, "a) (b", state="D")
    assert str(process(tree.roots, 60)) == "process 60 (a) (b)"
    assert (process(tree.roots, 60).state, process(tree.roots, 60).age) == ("D", 1000)
    assert process(tree.roots, 61).state == ""


# -- nodes ----------------------------------------------------------------------------------------


def nodes_of(tree, **how):
    return nodes.check(nodes.gather(look(tree.roots)), **how)


def test_a_device_without_a_node_is_named_and_the_command_makes_it(tree):
    tree.device("vg-lv", 3)
    (found,) = nodes_of(tree)
    assert (found.id, found.state, found.remedy) == ("nodes.missing", PROBLEM, "vmgr dm mknodes vg-lv")


def test_in_a_container_whose_kernel_may_not_be_asked_missing_nodes_are_the_hosts(tree):
    tree.device("vg-lv", 3)
    (found,) = nodes_of(tree, container=True)
    assert (found.id, found.state) == ("nodes.container", NOTE)


def test_a_link_to_a_device_that_is_gone_is_stale(tree):
    tree.link("dev/mapper/old", "../dm-9")
    tree.link("dev/vg/lv", "../dm-9")
    found = by_id(nodes_of(tree))
    assert found["nodes.stale"].facts["path"].endswith("/mapper/old")
    assert found["nodes.stale-link"].facts["path"].endswith("/vg/lv")


def test_a_file_in_place_of_the_directory_is_told_and_not_taken_away(tree):
    shutil.rmtree(tree.path / "dev/mapper")
    tree.write("dev/mapper", "somebody's")
    found = control_of(tree)
    assert (found.id, found.state, found.repair) == ("control.no-directory", PROBLEM, None)
    assert found.text == f"{tree.path}/dev/mapper is not a directory"
    assert found.remedy.startswith(f"mv {tree.path}/dev/mapper /root/ && mkdir -p {tree.path}/dev/mapper && mknod")


def test_what_is_no_node_is_told_and_not_removed(tree):
    tree.write("dev/mapper/notes", "somebody's")
    (found,) = nodes_of(tree)
    assert (found.id, found.repair) == ("nodes.foreign", None)
    assert shlex.split(found.remedy, comments=True) == ["mv", str(tree.path / "dev/mapper/notes"), "/root/"]


def test_the_directory_of_before_0_96_04_is_recognised(tree):
    (tree.path / "dev/device-mapper").mkdir()
    found = by_id(nodes_of(tree))["nodes.old-directory"]
    assert (found.state, found.remedy) == (PROBLEM, "vmgr dm mknodes --migrate")


def test_nothing_is_called_stale_where_no_device_can_be_seen(tree):
    tree.link("dev/mapper/vg-lv", "../dm-9")
    (tree.path / "sys/block").rmdir()
    (found,) = nodes_of(tree)
    assert (found.id, found.state) == ("nodes.unknown", WARNING)


def test_nothing_is_mended_by_one_who_does_not_see_all_devices(tree, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tree.link("dev/mapper/old", "../dm-9")
    (found,) = nodes_of(tree)
    assert (found.id, found.repair) == ("nodes.stale", None)


# -- locks ----------------------------------------------------------------------------------------


def lock_tree(tree, *names):
    directory = tree.path / "run/lock/lvm"
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("")
    return Config([parse_config('global { locking_dir = "/run/lock/lvm" }', "x")])


def held(tree, name, pid, *, mode="WRITE", waits=()):
    status = os.stat(tree.path / "run/lock/lvm" / name)
    where = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    lines = [f"1: FLOCK  ADVISORY  {mode} {pid} {where} 0 EOF"]
    lines += [f"1: -> FLOCK  ADVISORY  WRITE {other} {where} 0 EOF" for other in waits]
    tree.write("proc/locks", "".join(f"{line}\n" for line in lines))


def locks_of(tree, config, uid=0):
    return by_id(locks.check(locks.gather(tree.roots, config, uid)))


def test_a_held_lock_names_its_process_and_who_waits(tree):
    config = lock_tree(tree, "V_vg")
    tree.process(77, "lvconvert")
    held(tree, "V_vg", 77, waits=(78, 79))
    found = locks_of(tree, config)["locks.held"]
    assert found.state == NOTE
    assert found.text == "the group vg is locked by process 77 (lvconvert); 2 commands wait for it"


def test_a_stopped_holder_is_a_problem_with_the_command_that_continues_it(tree):
    config = lock_tree(tree, "P_global")
    tree.process(77, "vgs", state="T")
    held(tree, "P_global", 77)
    found = locks_of(tree, config)["locks.stopped"]
    assert (found.state, found.remedy) == (PROBLEM, "kill -CONT 77")


def test_a_lock_of_hours_is_a_problem_if_somebody_waits(tree):
    config = lock_tree(tree, "V_vg")
    tree.process(77, "pvmove", started=1000)
    held(tree, "V_vg", 77)
    assert locks_of(tree, config)["locks.long"].state == WARNING
    held(tree, "V_vg", 77, waits=(78,))
    assert locks_of(tree, config)["locks.long"].state == PROBLEM


def test_files_that_nobody_has_locked_do_no_harm(tree):
    config = lock_tree(tree, "V_vg", "P_global", "P_global:aux")
    found = locks_of(tree, config)["locks.left-over"]
    assert (found.state, len(found.facts["files"])) == (NOTE, 2)


def test_a_lock_directory_that_cannot_be_made_is_a_problem_for_root(tree):
    config = lock_tree(tree)
    (tree.path / "run/lock/lvm").rmdir()
    (tree.path / "run/lock").rmdir()
    tree.write("run/lock", "a file")
    found = locks_of(tree, config)["locks.directory"]
    assert (found.state, found.remedy.split()[1]) == (PROBLEM, f"{tree.path}/run/lock")
    assert "locks.directory" not in locks_of(tree, config, uid=1000)


def test_unreadable_locks_are_said_to_be_unknown(tree):
    config = lock_tree(tree, "V_vg")
    tree.remove("proc/locks")
    assert locks_of(tree, config)["locks.unknown"].state == WARNING


# -- permissions ----------------------------------------------------------------------------------


def permissions_of(tree, uid=0):
    return by_id(permissions.check(permissions.gather(tree.roots, uid)))


def test_root_with_all_capabilities_is_right(tree):
    assert permissions_of(tree)["permissions.root"].state == OK


def test_others_are_told_to_use_sudo(tree):
    found = permissions_of(tree, 1000)["permissions.not-root"]
    assert (found.state, found.remedy) == (WARNING, "sudo vmgr doctor")


def test_root_without_cap_sys_admin_is_a_problem(tree):
    tree.write("proc/self/status", "CapEff:\t00000000a80425fb\n")
    tree.write("run/systemd/container", "docker\n")
    found = permissions_of(tree)
    assert "--privileged" in found["permissions.no-admin"].remedy
    assert found["permissions.container"].state == NOTE


def test_root_of_a_user_namespace_is_not_root(tree):
    tree.write("proc/self/uid_map", "         0     100000      65536\n")
    assert permissions_of(tree)["permissions.user-namespace"].state == PROBLEM


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("run/systemd/container", "podman\n", "podman"),
        ("proc/1/environ", "PATH=/bin\0container=lxc\0", "lxc"),
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
    ],
)
def test_containers_are_recognised_by_any_of_their_marks(tree, name, text, word):
    tree.write(name, text)
    assert f"({word})" in permissions_of(tree)["permissions.container"].text


# -- LVM2 -----------------------------------------------------------------------------------------


def test_deprecated_kinds_of_locking_and_lvmlockd_are_told(tree):
    config = Config([parse_config("global { locking_type = 3 use_lvmlockd = 1 }", "x")], system_dir="/nowhere")
    found = by_id(lvm2.check(lvm2.gather(tree.roots, config, None)))
    assert "locks are files" in found["lvm2.locking-type"].text
    assert found["lvm2.lvmlockd"].state == WARNING
    assert found["lvm2.not-installed"].state == NOTE


def test_a_configuration_that_does_not_parse_is_a_problem(tree):
    error = ConfigError("/etc/lvm/lvm.conf, line 3: no", hint="correct that line")
    found = by_id(lvm2.check(lvm2.gather(tree.roots, None, error)))["lvm2.config"]
    assert (found.state, found.remedy) == (PROBLEM, "correct that line")


def test_the_devices_file_in_force_is_named(tree):
    folder = tree.path / "lvm"
    tree.write("lvm/devices/system.devices", "VERSION=1.1.1\nIDTYPE=sys_wwid IDNAME=a DEVNAME=/dev/sda PVID=b\n")
    config = Config([parse_config("devices { use_devicesfile = 1 }", "x")], system_dir=str(folder))
    found = by_id(lvm2.check(lvm2.gather(tree.roots, config, None)))["lvm2.devices-file-ok"]
    assert found.text.endswith("limits the devices that are used to 1")


def test_lvm2s_version_is_read_from_its_program_which_is_not_run(tree):
    path = tree.write("sbin/lvm", b"\x7fELF\0" + b"x" * 100 + b"\x002.03.16(2) (2022-05-18)\0")
    os.chmod(path, 0o755)
    found = by_id(lvm2.check(lvm2.gather(tree.roots, Config(), None)))["lvm2.installed"]
    assert found.facts["version"] == "2.03.16(2)"


# -- the whole ------------------------------------------------------------------------------------


def test_every_subject_says_something_and_its_ids_begin_with_its_name(tree):
    found = examine(Question(roots=tree.roots, environ={"LVM_SYSTEM_DIR": ""}, uid=0))
    assert {f.subject for f in found} == {*SUBJECTS}
    for finding in found:
        assert finding.id.startswith(f"{finding.subject}.")
        assert finding.state != PROBLEM or finding.remedy


def test_only_what_is_asked_for_is_examined(tree):
    found = examine(Question(roots=tree.roots, subjects=("control", "major"), environ={}))
    assert {f.subject for f in found} == {"control", "major"}


def test_an_empty_machine_is_examined_without_a_failure(tmp_path):
    from vmgr.doctor.roots import Roots

    found = examine(
        Question(roots=Roots.below(str(tmp_path / "nothing")), environ={"LVM_SYSTEM_DIR": ""}, uid=1000)
    )
    assert {f.state for f in found} >= {WARNING}
    assert not [f for f in found if f.id.endswith(".failed")]


FILES = (
    "proc/devices", "proc/misc", "proc/modules", "proc/locks", "proc/uptime", "proc/cmdline", "proc/swaps",
    "proc/self/status", "proc/self/uid_map", "proc/self/mountinfo", "proc/sys/kernel/osrelease",
    "proc/40/stat", "proc/1/environ", "proc/config.gz", "proc/net/unix", "sys/block/dm-0/dm/name",
    "sys/block/dm-0/dev", "sys/block/dm-0/dm/suspended", "sys/dev/block/253:0/inflight", "run/udev/control",
    "run/systemd/container", "etc/modprobe.d/x.conf", "etc/modules.conf", "lib/modules/6.1.0/modules.dep",
    "lib/modules/6.1.0/modules.alias", "lib/modules/6.1.0/modules.builtin", "sbin/lvm", "run/lock/lvm/V_x",
    "usr/lib/udev/rules.d/55-dm.rules", "usr/lib/udev/rules.d/95-dm-notify.rules", "boot/config-6.1.0",
)  # fmt: skip
GARBLE = st.sampled_from(
    (
        b"",
        b"\xff\xfe\0",
        b"(",
        b") ) (",
        b"0 0 x\n" * 3,
        b"1: FLOCK A WRITE x y:z 0\n",
        b"options dm_mod major=\n",
        b":",
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(st.sampled_from(FILES), GARBLE | st.binary(max_size=60), min_size=1, max_size=8))
def test_files_with_anything_in_them_do_no_more_than_change_what_is_found(tmp_path_factory, data):
    tree = Tree(tmp_path_factory.mktemp("machine"))
    tree.device("vg-lv", 0, suspended=True)
    tree.process(40, "x", state="D", opens=("/dev/null",))
    tree.modules("dm-mod")
    for name, content in data.items():
        tree.write(name, content)
    for finding in examine(Question(roots=tree.roots, environ={"LVM_SYSTEM_DIR": ""}, uid=0)):
        assert finding.text
        finding.as_json()


def test_an_examination_changes_nothing(tree):
    tree.device("vg-lv", 3, suspended=True)
    tree.link("dev/mapper/old", "../dm-9")
    (tree.path / "dev/device-mapper").mkdir()

    def listing():
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_ino) for p in tree.path.rglob("*"))

    before = listing()
    examine(Question(roots=tree.roots, environ={"LVM_SYSTEM_DIR": ""}, uid=0, now=time.time()))
    assert listing() == before


def test_a_subject_that_cannot_be_looked_at_does_not_hide_the_others(tree, monkeypatch):
    def fails(machine):
        raise OSError(5, "Input/output error", "/dev/mapper")

    monkeypatch.setattr(nodes, "gather", fails)
    found = by_id(examine(Question(roots=tree.roots, subjects=("nodes", "control"), environ={})))
    assert found["nodes.failed"].state == WARNING
    assert "control.missing" in found
