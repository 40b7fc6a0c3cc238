"""No command grows faster than its work: what it does is counted for some volumes, twice and four times as many.

Lines of vmgr's own code are counted, and calls to the kernel, not time: a loop over all volumes inside of a loop
over all volumes shows with forty of them, on any machine. ``bench/bench_lists.py`` measures time and memory.
"""

from __future__ import annotations

import pytest

from tests.support.counted import Counted, plain, with_snapshots

SIZES = (20, 40, 80)
ALL = "ALL"
"""Stands for every volume of the group, named one by one."""

METADATA = (
    "lvremove -y vg",
    "lvremove -y ALL",
    "lvremove -y -S lv_size>0 vg",
    "lvchange --addtag x vg",
    "lvchange --addtag x ALL",
    "lvchange -pr vg",
    "lvrename vg lv0 new",
    "lvextend -l+1 vg/lv0",
    "lvcreate -an -l1 -n new vg",
    "vgrename vg new",
    "vgremove -f -y vg",
    "vgchange --addtag x vg",
    "vgcfgbackup vg",
)
REPORTS = (
    "lvs vg",
    "lvs -S lv_active=active vg",
    "lvs --segments -o+devices vg",
    "vgs -o+lv_count",
    "pvs -o+lv_name",
    "lvdisplay vg",
    "vgdisplay -v vg",
    "pvdisplay -m",
)
ACTIVATION = (
    "vgchange -an vg",
    "vgchange --refresh vg",
    "lvchange -an -y ALL",
    "lvchange --refresh ALL",
    "vgmknodes vg",
    "vgscan --mknodes",
)


def require_linear(
    monkeypatch, tmp_path, make, command: str, *, active: bool, status: int = 0, before=(), sizes=SIZES
) -> None:
    counts = []
    for number, size in enumerate((4, *sizes)):  # the first run loads modules
        directory = tmp_path / str(size)
        directory.mkdir()
        with monkeypatch.context() as patch:
            machine = Counted(patch, directory, make(size))
            if active:
                machine.run("vgchange", "-ay", "vg")
            for prepare in before:
                prepare(machine, size)
            words: list[str] = []
            for word in command.split():
                words += [f"vg/lv{n}" for n in range(size)] if word == ALL else [word]
            counted = machine.measure(*words, status=status)
            if number:
                counts.append(dict(counted))
    small, middle, large = counts
    for what in ("validations", "plans", "writes") if status == 0 else ("writes",):
        assert small.get(what) == middle.get(what) == large.get(what), f"{what}: {counts}"
    for what in ("lines", "kernel"):
        first, second = middle[what] - small[what], large[what] - middle[what]
        assert second <= 2.06 * first + 8, f"{command}: {what} for {sizes} volumes: {[c[what] for c in counts]}"


@pytest.mark.parametrize("command", [*METADATA, *REPORTS, "vgchange -ay vg", "lvchange -ay ALL"])
def test_work_on_an_inactive_group_grows_as_the_group_does(monkeypatch, tmp_path, command):
    require_linear(monkeypatch, tmp_path, plain, command, active=False)


@pytest.mark.parametrize("command", [*METADATA, *REPORTS, *ACTIVATION])
def test_work_on_an_active_group_grows_as_the_group_does(monkeypatch, tmp_path, command):
    require_linear(monkeypatch, tmp_path, plain, command, active=True)


@pytest.mark.parametrize(
    "command",
    [
        "lvs vg",
        "lvremove -y vg",
        "lvchange --addtag x vg",
        "vgrename vg new",
        "vgchange --refresh vg",
        "vgchange -an vg",
        "lvchange -an -y ALL",
    ],
)
def test_work_on_snapshots_grows_as_their_number_does(monkeypatch, tmp_path, command):
    require_linear(monkeypatch, tmp_path, with_snapshots, command, active=True, sizes=(20, 40, 80))


# -- where some of many cannot be done ------------------------------------------------------------


def open_half(machine: Counted, size: int) -> None:
    for n in range(0, size, 2):
        machine.kernel.hold(f"vg-lv{n}")


def open_one(machine: Counted, size: int) -> None:
    machine.kernel.hold(f"vg-lv{size // 2}")


def protect_half(machine: Counted, size: int) -> None:
    machine.run("lvchange", "-pr", *(f"vg/lv{n}" for n in range(0, size, 2)))


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("lvremove -y vg", open_one),
        ("lvremove -y vg", open_half),
        ("vgchange -an vg", open_one),
        ("vgchange -an vg", open_half),
        ("lvchange -an ALL", open_half),
        ("lvchange -pr vg", protect_half),
    ],
)
def test_those_that_cannot_be_done_cost_no_more(monkeypatch, tmp_path, command, before):
    require_linear(monkeypatch, tmp_path, plain, command, active=True, status=5, before=(before,))


@pytest.mark.parametrize("command", ["lvremove -y vg", "vgchange -an vg"])
def test_all_but_those_in_use_are_done_in_one_change_and_each_of_those_is_named(
    monkeypatch, tmp_path, capsys, command
):
    machine = Counted(monkeypatch, tmp_path, plain(10))
    machine.run("vgchange", "-ay", "vg")
    open_half(machine, 10)
    capsys.readouterr()
    counted = machine.measure(*command.split(), status=5)
    said = capsys.readouterr().err
    for n in range(10):
        assert (f"vg/lv{n} in use" in said) == (n % 2 == 0)
    assert {name for name in machine.nodes.nodes if name != "control"} == {f"vg-lv{n}" for n in range(0, 10, 2)}
    assert counted["plans"] == 2  # one that tells who is in use, one without these
    machine.run("lvs", "--noheadings", "-olv_name", "vg")
    left = capsys.readouterr().out.split()
    assert len(left) == (5 if "remove" in command else 10)


def test_what_a_volume_refuses_does_not_keep_the_others_from_being_changed_in_one_commit(
    monkeypatch, tmp_path, capsys
):
    machine = Counted(monkeypatch, tmp_path, plain(6))
    protect_half(machine, 6)
    capsys.readouterr()
    counted = machine.measure("lvchange", "-pr", "vg", status=5)
    said = capsys.readouterr().err
    assert [f'"vg/lv{n}" is already' in said for n in range(6)] == [True, False] * 3
    assert (counted["validations"], counted["plans"]) == (1, 1)
    machine.run("lvs", "--noheadings", "-olv_permissions", "vg")
    assert set(capsys.readouterr().out.split()) == {"read-only"}


def counts_for_disks(monkeypatch, tmp_path, *words: str, every=slice(None), before=()) -> list[dict[str, int]]:
    """What a command that names ``every`` disk counts, for 8, 16 and 32 of them."""
    counts = []
    for size in (2, 8, 16, 32):  # the first run loads modules
        directory = tmp_path / str(size)
        directory.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr("vmgr.system.usage.users", lambda _: ())
            machine = Counted(patch, directory, plain(4, disks=size + 1))
            disks = list(machine.world.disks)
            for line in before:
                machine.run(*line.split(), *disks[1:])
            counts.append(dict(machine.measure(*words, *disks[every])))
    return counts[1:]


@pytest.mark.parametrize(
    ("command", "every", "before"),
    [
        ("pvchange --addtag x", slice(None), ()),
        ("pvremove -ff -y", slice(None), ()),
        ("pvresize", slice(None), ()),
        ("pvresize", slice(1, None), ("vgreduce vg",)),
        ("pvresize -y --setphysicalvolumesize 6m", slice(None), ()),
        ("vgreduce vg", slice(1, None), ()),
        ("vgextend vg", slice(1, None), ("vgreduce vg",)),
        ("vgcreate new", slice(1, None), ("vgreduce vg",)),
        ("pvs", slice(None), ()),
        ("pvdisplay", slice(None), ()),
        ("pvscan --cache", slice(None), ()),
    ],
)
def test_work_on_physical_volumes_grows_as_their_number_does(monkeypatch, tmp_path, command, every, before):
    counts = counts_for_disks(monkeypatch, tmp_path, *command.split(), every=every, before=before)
    small, middle, large = counts
    for what in ("lines", "kernel", "writes"):
        assert large[what] - middle[what] <= 2.06 * (middle[what] - small[what]) + 8, f"{what}: {counts}"
    assert all(count.get("validations", 1) == 1 for count in counts)


@pytest.mark.parametrize("command", ["pvchange --addtag x", "pvresize"])
def test_physical_volumes_of_a_group_are_changed_in_one_commit(monkeypatch, tmp_path, command):
    counts = counts_for_disks(monkeypatch, tmp_path, *command.split())
    assert [(count["validations"], count["plans"]) for count in counts] == [(1, 1)] * 3


def test_a_physical_volume_that_cannot_be_resized_does_not_keep_the_others(monkeypatch, tmp_path, capsys):
    machine = Counted(monkeypatch, tmp_path, plain(20, disks=3))  # its volumes lie on the first, up to extent 57
    for disk in list(machine.world.disks)[1:]:
        machine.run("pvresize", "-y", "--setphysicalvolumesize", "4m", disk)
    capsys.readouterr()
    counted = machine.measure("pvresize", "-y", "--setphysicalvolumesize", "1536k", *machine.world.disks, status=5)
    said = capsys.readouterr()
    assert "cannot resize /dev/d1 to 32 extents: volumes lie on extents up to 57" in said.err
    assert (counted["validations"], counted["plans"]) == (1, 1)
    machine.run("pvs", "--noheadings", "-opv_name,pv_pe_count")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["/dev/d1", "440"],
        ["/dev/d2", "32"],
        ["/dev/d3", "32"],
    ]


def test_a_physical_volume_that_is_named_twice_is_resized_once(monkeypatch, tmp_path, capsys):
    machine = Counted(monkeypatch, tmp_path, plain(1))
    machine.run("pvchange", "--addtag", "t", "/dev/d1")
    capsys.readouterr()
    counted = machine.measure("pvresize", "/dev/d1", "@t", "/dev/d1")
    said = capsys.readouterr()
    assert (said.out + said.err).count('"/dev/d1" changed') == 1
    assert counted["plans"] == 1


def test_labels_of_devices_in_no_group_ask_nothing_of_the_kernel(monkeypatch, tmp_path):
    counts = counts_for_disks(monkeypatch, tmp_path, "pvresize", every=slice(1, None), before=("vgreduce vg",))
    assert {count["kernel"] for count in counts} == {counts[0]["kernel"]}
