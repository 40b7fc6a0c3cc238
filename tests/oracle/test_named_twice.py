"""A device that is named twice, by one path or by two."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main

pytestmark = requires_lvm2

MIB = 1 << 20


@pytest.fixture
def place(tmp_path, monkeypatch):
    with Lvm2(tmp_path / "lvm") as lvm:
        disks = [lvm.disk(tmp_path / name, 32 * MIB) for name in "abc"]
        lvm.run("version")
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(lvm.dir))
        monkeypatch.setattr("sys.stdin", io.StringIO())
        (tmp_path / "link").symlink_to(disks[0])
        yield lvm, {"A": disks[0], "B": disks[1], "C": disks[2], "LINK": str(tmp_path / "link")}


def vmgr(names: dict[str, str], line: str) -> tuple[int, str]:
    err = io.StringIO()
    with redirect_stderr(err):
        first, *rest = line.split()
        status = main(["vmgr", first, "--driverloaded", "n", *(names.get(word, word) for word in rest)])
    return status, err.getvalue()


@pytest.mark.parametrize("other", ["A", "LINK"])
@pytest.mark.parametrize("line", ["pvcreate -y A", "vgcreate vg A", "vgextend old A", "pvremove -y A"])
def test_it_is_refused_and_nothing_is_written(place, line, other):
    lvm, names = place
    lvm.run("vgcreate", "old", names["B"])
    if line.startswith("pvremove"):
        lvm.run("pvcreate", names["A"])
    before = lvm.run("pvs", "-o", "pv_name,pv_uuid,vg_name,vg_seqno")
    status, err = vmgr(names, f"{line} {other}")
    assert status == 5
    assert "duplicate device name found on input" in err
    assert ("are one device" in err) is (other == "LINK")
    assert lvm.run("pvs", "-o", "pv_name,pv_uuid,vg_name,vg_seqno") == before


@pytest.mark.parametrize(
    "line", ["lvcreate -an -Zn -Wn -l1 -n x vg A A", "lvcreate -an -Zn -Wn -l1 -n x vg A:0-4 A:3-6"]
)
def test_extents_that_are_named_twice_are_refused_as_lvm2_refuses_them(place, line):
    lvm, names = place
    lvm.run("vgcreate", "vg", names["A"], names["B"])
    words = line.replace("A:", names["A"] + ":").split()
    said = lvm.run(*(names.get(word, word) for word in words), status=5)
    assert said == ""
    status, err = vmgr(names, line.replace("A:", names["A"] + ":"))
    assert status == 5
    assert "overlapping PE ranges specified" in err


@pytest.mark.parametrize("line", ["pvresize A LINK", "pvchange --addtag t A A", "vgreduce vg A A"])
def test_where_it_makes_no_difference_it_is_taken_as_lvm2_takes_it(place, line):
    lvm, names = place
    lvm.run("vgcreate", "vg", names["A"], names["B"])
    assert vmgr(names, line)[0] == 0
