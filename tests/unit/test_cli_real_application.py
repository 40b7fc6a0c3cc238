"""The commands with vmgr's own application behind them, on a machine that has nothing to offer."""

from __future__ import annotations

import os

import pytest

from tests.unit.test_cli_contract import MINIMAL
from vmgr.cli.main import main
from vmgr.cli.registry import COMMANDS, load

SESSIONS = [name for name in sorted(COMMANDS) if load(name).run is not None and name != "plugins"]
BY_NAME = [
    name
    for name in SESSIONS
    if any(word.startswith("vg") for word in MINIMAL[name].split())
    and name not in ("vgcreate", "vgcfgrestore", "lvchange")
]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A system directory of its own, and no device at all."""
    for variable in [key for key in os.environ if key.startswith(("LVM_", "DM_", "VMGR_"))]:
        monkeypatch.delenv(variable)
    system = tmp_path / "etc"
    system.mkdir()
    devices = tmp_path / "dev"
    devices.mkdir()
    (system / "lvm.conf").write_text(
        f'devices {{ dir="{devices}" scan=["{devices}"] use_devicesfile=0 obtain_device_list_from_udev=0 }}\n'
        f'global {{ locking_dir="{tmp_path}/lock" }}\n'
        "activation { udev_sync=0 }\n"
    )
    monkeypatch.setenv("LVM_SYSTEM_DIR", str(system))
    monkeypatch.setenv("DM_DEV_DIR", str(devices))
    return system


def run(name: str, *words: str) -> int:
    return main(["vmgr", name, *words, *MINIMAL[name].split()])


@pytest.mark.parametrize("name", SESSIONS)
def test_a_configuration_that_cannot_be_read_is_named_with_its_line(machine, capsys, name):
    (machine / "lvm.conf").write_text("devices {\n  filter = = 5\n}\n")
    assert run(name) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{machine}/lvm.conf, line 2" in err
    assert "internal error" not in err


@pytest.mark.parametrize("name", SESSIONS)
def test_a_profile_that_does_not_exist_is_named(machine, capsys, name):
    assert run(name, "--commandprofile", "nonesuch") == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert "nonesuch" in err
    assert "internal error" not in err


@pytest.mark.parametrize("name", BY_NAME)
def test_a_group_that_does_not_exist_is_a_failure_that_names_it(machine, capsys, name):
    assert run(name, "-y") == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert 'volume group "vg" not found' in err


@pytest.mark.parametrize("name", ["pvcreate", "pvremove", "pvresize", "pvchange", "vgcreate", "vgextend"])
def test_a_device_that_does_not_exist_is_a_failure_that_names_it(machine, capsys, name):
    assert run(name, "-y") == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert "internal error" not in err
    if name != "vgextend":
        assert "/dev/sdb" in err


@pytest.mark.parametrize(
    "name", ["lvs", "pvs", "vgs", "lvdisplay", "pvdisplay", "vgdisplay", "lvscan", "vgscan", "vgck"]
)
def test_a_machine_without_groups_is_no_failure(machine, capsys, name):
    assert run(name) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["lvs", "pvs", "vgs", "lvdisplay", "vgdisplay"])
def test_what_a_report_is_asked_for_by_name_and_does_not_find_is_a_failure(machine, capsys, name):
    assert main(["vmgr", name, "nonesuch"]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert "nonesuch" in err


@pytest.mark.parametrize("words", [["-o", "nonesuch"], ["-O", "nonesuch"], ["-S", "=="], ["--units", "q"]])
@pytest.mark.parametrize("name", ["lvs", "pvs", "vgs"])
def test_a_report_that_cannot_be_made_is_a_wrong_command_line(machine, capsys, name, words):
    assert main(["vmgr", name, *words]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "internal error" not in err


def test_columns_and_selection_fields_are_listed(machine, capsys):
    for words in (["-o", "help"], ["-S", "help"]):
        assert main(["vmgr", "lvs", *words]) == 0
        assert "lv_name" in capsys.readouterr().out


def test_plugins_are_listed_and_told_about(machine, capsys):
    import json

    assert main(["vmgr", "plugins"]) == 0
    assert "striped" in capsys.readouterr().out
    assert main(["vmgr", "plugins", "snapshot"]) == 0
    assert "--chunksize" in capsys.readouterr().out
    assert main(["vmgr", "plugins", "--reportformat", "json"]) == 0
    names = {plugin["name"] for plugin in json.loads(capsys.readouterr().out)["plugins"]}
    assert names >= {"linear", "snapshot", "striped"}
    assert main(["vmgr", "plugins", "nonesuch"]) == 5
    assert "'nonesuch'" in capsys.readouterr().err
