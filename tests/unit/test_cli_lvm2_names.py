"""Called by LVM2's names, vmgr talks as LVM2 does; what programs that use LVM2 look for is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_stage import Recorder
from vmgr.cli.main import main
from vmgr.cli.registry import COMMANDS, LVM2_NAMES, LVM2_ONLY
from vmgr.cli.terminal import Terminal, capitalised
from vmgr.core.errors import InUse, NotFound
from vmgr.core.group_requests import Activate
from vmgr.core.subject import Subject
from vmgr.outcome import Outcome
from vmgr.services.appearance import Appearance
from vmgr.system.config import Config, parse


@pytest.fixture
def app(monkeypatch):
    recorder = Recorder(Outcome(done=("It is done.",), notes=("Mind this.", "WARNING: Not zeroed."))).install(
        monkeypatch
    )
    recorder.claims = []
    return recorder


# -- where it is said -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["lvm", "lvremove"], ["/sbin/lvremove"], ["lvremove"]])
def test_results_go_to_standard_output_and_warnings_do_not(app, capsys, words):
    assert main([*words, "vg/lv"]) == 0
    assert capsys.readouterr() == ("  Mind this.\n  It is done.\n", "  WARNING: Not zeroed.\n")


@pytest.mark.parametrize("words", [["vmgr", "lvremove"], ["/usr/bin/vmgr", "lvremove"]])
def test_called_as_vmgr_standard_output_is_for_data(app, capsys, words):
    assert main([*words, "vg/lv"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["  Mind this.", "  WARNING: Not zeroed.", "  It is done."]


def test_errors_go_to_standard_error_with_a_capital(app, capsys):
    app.error = InUse("logical volume vg/lv is in use", hint="unmount it")
    assert main(["lvremove", "vg/lv"]) == 5
    assert capsys.readouterr() == ("", "  Logical volume vg/lv is in use\n  (unmount it)\n")
    assert main(["vmgr", "lvremove", "vg/lv"]) == 5
    assert capsys.readouterr().err.startswith("  logical volume vg/lv is in use\n")


def test_quiet_is_quiet_there_too(app, capsys):
    assert main(["lvremove", "-q", "vg/lv"]) == 0
    assert capsys.readouterr().out == ""


def test_a_document_stays_one_document(app, capsys):
    import json

    assert main(["lvremove", "--reportformat", "json", "vg/lv"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["vmgr"]["done"] == ["It is done."]
    assert err == ""


def test_progress_goes_with_the_results(capsys):
    terminal = Terminal()
    terminal.as_lvm2 = True
    terminal.progress("Wiping ext4 signature on /dev/sdb.")
    terminal.warn("something")
    terminal.detail("unseen")
    assert capsys.readouterr() == ("  Wiping ext4 signature on /dev/sdb.\n", "  WARNING: something\n")


def test_a_closed_standard_output_does_not_make_a_finished_command_fail():
    """Data that are lost are a failure; a remark is not, as in LVM2."""
    script = (
        "import sys; from vmgr.cli.terminal import Terminal; from vmgr.cli.main import _fill_standard_files\n"
        "t = Terminal(); t.as_lvm2 = True; t.closed = _fill_standard_files(); t.done('done'); sys.stdout.flush()"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -c "{script}" >&-'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('volume group "x" not found', 'Volume group "x" not found'),
        ("failed to find logical volume", "Failed to find logical volume"),
        ("lvcreate needs VG", "lvcreate needs VG"),
        ("vmgr has no command pvmove", "vmgr has no command pvmove"),
        ("e2fsck is not installed", "e2fsck is not installed"),
        ("vg/lv is active", "vg/lv is active"),
        ("/dev/sdb: not wiped", "/dev/sdb: not wiped"),
        ("'a' is not one of b", "'a' is not one of b"),
        ("PV /dev/sdb is used by VG vg", "PV /dev/sdb is used by VG vg"),
        ("", ""),
    ],
)
def test_what_begins_with_a_capital(message, shown):
    assert capitalised(message) == shown


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LVM2_ONLY)
def test_a_link_named_after_a_command_that_is_not_there_says_so(capsys, name):
    assert main([f"/sbin/{name}", "-i", "1", "/dev/x"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"  vmgr has no command {name}\n  (use LVM2's own {name})\n")


def test_own_commands_are_not_lvm2_s():
    assert {"doctor", "plugins"} & LVM2_NAMES == set()
    assert not set(COMMANDS) & set(LVM2_ONLY)


# -- versions -------------------------------------------------------------------------------------

LIBBLOCKDEV = r"LVM version:\s+([\d\.]+)"
LVOL = r"LVM version:\s+(\d+)\.(\d+)\.(\d+).*(\d{4}-\d{2}-\d{2})"
"""What libblockdev 2.28 and Ansible's lvol look for in the output of ``lvm version``."""


@pytest.mark.parametrize(
    "words", [["lvm", "version"], ["vgs", "--version"], ["vmgr", "--version"], ["vmgr", "version"]]
)
def test_versions_are_in_the_lines_that_programs_look_for(app, capsys, words):
    from vmgr import __version__

    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "  LVM version:     2.03.16(2) (2022-05-18)"
    assert lines[1] == "  Library version: 1.02.185 (2022-05-18)"
    assert f"  vmgr version:    {__version__}" in lines
    assert re.search(LIBBLOCKDEV, out)[1] == "2.03.16"
    assert re.search(LVOL, out).groups() == ("2", "03", "16", "2022-05-18")
    (line,) = [line for line in lines if "LVM version" in line]  # os-brick 6.1
    assert re.search(r"(\d+)\.(\d+)\.(\d+).*", line.split()[2]).groups() == ("2", "03", "16")
    assert all(re.fullmatch(r"  [A-Za-z]+ version: +\S.*", line) for line in lines)


def test_the_driver_is_not_asked_where_that_is_not_wanted(app, capsys, monkeypatch):
    monkeypatch.setattr("vmgr.cli.version._driver_version", lambda: "4.47.0")
    assert main(["lvm", "version"]) == 0
    assert "  Driver version:  4.47.0\n" in capsys.readouterr().out
    assert main(["lvm", "version", "--driverloaded", "n"]) == 0
    assert "Driver" not in capsys.readouterr().out


def test_segment_types_and_formats_are_listed(capsys):
    assert main(["lvm", "segtypes"]) == 0
    assert {"linear", "striped", "snapshot"} <= set(capsys.readouterr().out.split())
    assert main(["lvm", "formats"]) == 0
    assert capsys.readouterr().out == "  lvm2\n"


# -- devices that appear --------------------------------------------------------------------------

WHOLE = Appearance("/dev/a", vg="vg")
PART = Appearance("/dev/b", vg="half", missing=1)
FREE = Appearance("/dev/c", free=True)
OTHER = Appearance("/dev/d", "excluded: device is rejected by filter config.")


@pytest.fixture
def appearing(app, monkeypatch):
    """An application to which these four devices appear, and that claims each group once."""
    seen: list[str] = []

    def claim(vg: str) -> bool:
        seen.append(vg)
        return seen.count(vg) == 1

    monkeypatch.setattr(app, "appeared", lambda devices: (WHOLE, PART, FREE, OTHER), raising=False)
    monkeypatch.setattr(app, "claim_activation", claim, raising=False)
    return app


def test_pvscan_cache_tells_of_each_device(appearing, capsys):
    assert main(["lvm", "pvscan", "--cache"]) == 0
    out, err = capsys.readouterr()
    assert re.sub(r"\d+", "N", out).splitlines() == [
        "  pvscan[N] PV /dev/a online, VG vg is complete.",
        "  pvscan[N] PV /dev/b online, VG half incomplete (need N).",
        "  pvscan[N] PV /dev/c not used.",
        "  pvscan[N] /dev/d excluded: device is rejected by filter config.",
    ]
    assert err == ""
    assert appearing.calls == []


def test_with_activation_complete_groups_are_activated(appearing, capsys):
    appearing.outcome = Outcome(done=('2 logical volume(s) in volume group "vg" now active',))
    assert main(["lvm", "pvscan", "--cache", "-aay", "/dev/a"]) == 0
    assert appearing.call == ("activate", ((Subject("vg"),), Activate("ay")), {})
    assert capsys.readouterr().out.splitlines()[-1] == '  2 logical volume(s) in volume group "vg" now active'


RULE = "pvscan --cache --listvg --checkcomplete --vgonline --autoactivation event --udevoutput --journal=output"
"""What LVM2's udev rule runs (``69-lvm.rules``)."""


def test_udev_gets_its_variable_and_nothing_else_and_a_group_once(appearing, capsys):
    assert main(["lvm", *RULE.split(), "/dev/a"]) == 0
    assert capsys.readouterr() == ("LVM_VG_NAME_COMPLETE='vg'\nLVM_VG_NAME_INCOMPLETE='half'\n", "")
    assert main(["lvm", *RULE.split(), "/dev/a"]) == 0
    assert capsys.readouterr().out == "LVM_VG_NAME_INCOMPLETE='half'\n"


def test_groups_are_listed(appearing, capsys):
    assert main(["lvm", "pvscan", "--listvg", "/dev/a"]) == 0
    assert capsys.readouterr().out == "  VG vg\n  VG half\n  VG unknown\n"
    assert main(["lvm", "pvscan", "--cache", "--listvg", "--checkcomplete"]) == 0
    assert capsys.readouterr().out == "  VG vg complete\n  VG half incomplete\n  VG unknown\n"


@pytest.mark.parametrize(
    ("word", "enabled", "out", "rule"),
    [
        ("event", "0", "event with event_activation=0", "LVM_EVENT_ACTIVATION=0\n"),
        ("other", "1", "unknown autoactivation value", ""),
    ],
)
def test_events_are_left_alone_where_lvm_conf_says_so(appearing, capsys, word, enabled, out, rule):
    appearing.config = Config([parse(f"global/event_activation={enabled}", "test")], dev_dir="/dev")
    assert main(["lvm", "pvscan", "--cache", "-aay", "--autoactivation", word]) == 0
    assert capsys.readouterr().out.partition("] ")[2] == f"Skip pvscan for {out}.\n"
    assert main(["lvm", "pvscan", "--cache", "--udevoutput", "--autoactivation", word]) == 0
    assert capsys.readouterr().out == rule
    assert main(["lvm", "vgchange", "-ay", "--autoactivation", word, "vg"]) == 0
    assert capsys.readouterr().out == f"  Skip vgchange for {out}.\n"
    assert appearing.calls == []


@pytest.mark.parametrize("mode", ["y", "ay"])
def test_vgchange_runs_for_an_event(app, mode):
    assert main(["lvm", "vgchange", f"-a{mode}", "--autoactivation", "event", "vg"]) == 0
    name, (subjects, order), _ = app.call
    assert (name, subjects, order.mode) == ("activate", (Subject("vg"),), mode)


def test_an_event_deactivates_nothing(app, capsys):
    assert main(["lvm", "vgchange", "-an", "--autoactivation", "event", "vg"]) == 3
    assert app.calls == []


@pytest.mark.parametrize(
    "words", ["-aay", "--listvg", "--checkcomplete", "--udevoutput", "/dev/a", "--cache --major 7"]
)
def test_pvscan_refuses_what_goes_with_cache_only(app, capsys, words):
    assert main(["lvm", "pvscan", *words.split()]) == 3
    assert app.calls == []


def test_a_group_is_claimed_once(tmp_path):
    from vmgr.system.rundir import claim_online, forget_online

    directory = str(tmp_path / "lvm")
    assert [claim_online("vg", directory) for _ in range(3)] == [True, False, False]
    forget_online("vg", directory)
    assert claim_online("vg", directory)
    assert claim_online("other", directory)
    (tmp_path / "file").touch()
    assert claim_online("vg", str(tmp_path / "file" / "no"))


# -- as a process ---------------------------------------------------------------------------------


def test_a_link_captures_results_as_lvm2_does(tmp_path):
    """``x=$(lvcreate ...)`` is not empty."""
    link = tmp_path / "vgs"
    vmgr = shutil.which("vmgr", path=str(Path(sys.executable).parent))
    assert vmgr
    link.symlink_to(vmgr)
    words = [link, "--nolocking", "--devices", "/dev/null", "none"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert '  Volume group "none" not found\n' in done.stderr


def test_not_found_is_said_in_lvm2_s_words():
    from tests.support.groups import a_group

    with pytest.raises(NotFound, match='failed to find logical volume "vg/none"'):
        a_group(5).volume("none")
