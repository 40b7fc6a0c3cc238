"""`vmgr doctor` as a command: what it prints where, what it returns, and what --fix does and leaves alone."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.doctor_tree import Tree
from vmgr.cli import doctor
from vmgr.cli.dm.registry import SUBCOMMANDS, load
from vmgr.cli.main import main
from vmgr.core.errors import KernelError
from vmgr.doctor import examine, repair
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding, Repair
from vmgr.doctor.repair import fix, repairs

FINE = Finding("control.right", "control", OK, "it is right", facts={"numbers": "10:236", "mode": None})
BROKEN = Finding("nodes.stale", "nodes", PROBLEM, "x is stale", "rm x", Repair("nodes", "remove x", ("x",)))
DUE = Finding("devices.suspended", "devices", PROBLEM, "y is suspended", "vmgr dm resume y")
ODD = Finding("lvm2.config-ignored", "lvm2", WARNING, "z is ignored", "correct z")


@pytest.fixture
def findings(monkeypatch):
    """What the examination finds; a test may change the list."""
    found = [FINE]
    monkeypatch.setattr(examine, "examine", lambda question, reader=None: tuple(found))
    monkeypatch.setattr(repair, "examine", lambda question: tuple(found))
    return found


def run(*words):
    return main(["vmgr", "doctor", *words])


def test_the_subjects_of_the_command_line_are_those_of_the_examination():
    assert tuple(examine.SUBJECTS) == doctor.SUBJECTS


def test_all_well_is_status_0_and_said_on_standard_error(findings, capsys):
    assert run() == 0
    out, err = capsys.readouterr()
    assert out == "  control      ok       it is right\n"
    assert err == "  Everything is as it should be.\n"


def test_a_problem_is_status_5_a_warning_is_not(findings, capsys):
    findings.append(ODD)
    assert run() == 0
    findings.append(DUE)
    assert run() == 5
    assert capsys.readouterr().err.endswith("  1 problem, 1 warning.\n")


def test_the_remedy_and_what_fix_can_do_follow_the_text(findings, capsys):
    findings[:] = [BROKEN]
    assert run() == 5
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "  nodes        PROBLEM  x is stale",
        "                        -> rm x",
        "                           or vmgr doctor --fix nodes",
    ]
    assert err == "  1 problem, no warnings; vmgr doctor --fix repairs it.\n"


def test_the_summary_counts_what_fix_repairs(findings, capsys):
    for more, said in ((BROKEN, "repairs it."), (BROKEN, "repairs them."), (DUE, "repairs 2 of them.")):
        findings.append(more)
        assert run() == 5
        assert capsys.readouterr().err.rstrip().endswith(f"vmgr doctor --fix {said}")


def test_a_path_that_is_no_text_is_printed_and_json_stays_json(findings, capfdbinary):
    findings.append(Finding("nodes.foreign", "nodes", PROBLEM, "/dev/mapper/\udcff is a file"))
    assert run() == 5
    assert b"/dev/mapper/\xff is a file" in capfdbinary.readouterr().out
    assert run("--json") == 5
    value = json.loads(capfdbinary.readouterr().out)
    assert value["findings"][-1]["text"] == "/dev/mapper/\udcff is a file"


def test_quiet_shows_only_problems(findings, capsys):
    findings += [BROKEN, ODD]
    assert run("-q") == 5
    out, err = capsys.readouterr()
    assert out.startswith("  nodes        PROBLEM")
    assert "lvm2" not in out
    assert err == ""


def test_verbose_adds_the_facts(findings, capsys):
    assert run("-v") == 0
    assert "numbers: 10:236\n" in capsys.readouterr().out


def test_json_has_every_field_of_every_finding(findings, capsys):
    findings += [BROKEN]
    assert run("--json") == 5
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert err == ""
    assert value["state"] == "problem"
    assert value["counts"] == {"ok": 1, "note": 0, "warning": 0, "problem": 1}
    assert value["fixes"] == []
    assert value["findings"][1] == {
        "id": "nodes.stale",
        "subject": "nodes",
        "state": "problem",
        "text": "x is stale",
        "remedy": "rm x",
        "fixable": True,
        "facts": {},
    }


def test_test_mode_says_what_fix_would_do_and_does_nothing(findings, capsys, monkeypatch):
    monkeypatch.setattr(repair, "_run", lambda *_: pytest.fail("something was repaired"))
    findings += [BROKEN]
    assert run("--fix", "--test") == 5
    out, err = capsys.readouterr()
    assert "--fix would remove x" in out
    assert err.endswith("Nothing was changed.\n")
    assert run("--test", "--json") == 5
    (planned,) = json.loads(capsys.readouterr().out)["fixes"]
    assert planned == {"kind": "nodes", "does": "remove x", "done": False, "error": None}


def test_fix_says_each_repair_and_reports_what_is_left(findings, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    findings += [BROKEN, DUE]

    def run_batch(question, batch):
        findings.remove(BROKEN)
        return [repair.Done(one) for one in batch]

    monkeypatch.setattr(repair, "_run", run_batch)
    assert run("--fix") == 5
    out, err = capsys.readouterr()
    assert "stale" not in out
    assert "vmgr dm resume y" in out
    assert err == "  Fixing: remove x.\n  1 problem, no warnings left.\n"


def test_a_repair_that_fails_is_told_tried_once_and_fails_the_command(findings, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    findings += [BROKEN]
    monkeypatch.setattr(repair, "_run", lambda q, batch: [repair.Done(batch[0], KernelError("no", hint="why"))])
    assert run("--fix") == 5
    err = capsys.readouterr().err
    assert err.count("Fixing") == 1
    assert err.endswith("  no\n  (why)\n")


def test_only_root_may_fix(findings, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    findings += [BROKEN]
    assert run("--fix") == 5
    assert "only root can" in capsys.readouterr().err


def test_repairs_are_done_in_the_order_in_which_they_help_each_other():
    kinds = ["cookie", "nodes", "control", "load-module", "migrate"]
    found = [Finding(f"x.{k}", "x", PROBLEM, "", "", Repair(k, k)) for k in [*kinds, "nodes"]]
    assert [one.kind for one in repairs(found)] == ["load-module", "control", "nodes", "migrate", "cookie"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["knodes"], "no subject is called 'knodes'"),
        (["--kernel-config", "/proc/config.gz", "nodes"], "cannot be examined for nodes"),
        (["--kernel-dir", "/", "--fix"], "not a kernel that is given"),
    ],
)
def test_a_wrong_command_line_is_status_3(words, says, capsys):
    assert run(*words) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err


def test_a_configuration_that_is_not_there_is_status_5(tmp_path, capsys):
    assert run("--kernel-config", str(tmp_path / "none")) == 5
    assert "there is no kernel configuration" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--kernel-config", "--kernelconfig", "--kernel-c"])
def test_hyphens_in_options_do_not_count(option, tmp_path, capsys):
    (tmp_path / "config").write_text("CONFIG_MD=y\nCONFIG_BLK_DEV_DM=y\n")
    assert run(option, str(tmp_path / "config"), "kernel") == 0
    assert "built into" in capsys.readouterr().out


def test_texts_are_wrapped_to_a_terminal_and_remedies_never():
    long = Finding("x.y", "kernel", NOTE, "word " * 30, "command " * 30)
    lines = doctor.text_of([long], width=70).splitlines()
    assert all(len(line) <= 70 for line in lines[:-1])
    assert lines[-1].count("command") == 30
    assert len(doctor.text_of([long]).splitlines()) == 2


def test_every_subcommand_that_a_remedy_names_exists_and_has_its_options():
    named = set()
    for path in Path(examine.__file__).parent.glob("*.py"):
        named |= set(re.findall(r"\bvmgr dm ([a-z_]+)(?: --([a-z]+))?", path.read_text()))
    assert ("mknodes", "migrate") in named
    for subcommand, option in named:
        assert subcommand in SUBCOMMANDS
        if option:
            assert option in {o.name for o in load(subcommand).options}


# -- repairs on a tree ----------------------------------------------------------------------------


def test_fix_removes_stale_links_and_leaves_what_is_not_the_device_mappers(tmp_path, monkeypatch):
    tree = Tree(tmp_path, registered=False)
    tree.link("dev/mapper/old", "../dm-9")
    tree.link("dev/vg/lv", "../dm-9")
    tree.write("dev/mapper/notes", "somebody's")
    said: list[str] = []
    result = fix(examine.Question(roots=tree.roots, subjects=("nodes",), environ={}), said.append)
    # The control node is made by the way, where one may make nodes.
    assert {*os.listdir(tree.path / "dev/mapper")} - {"control"} == {"notes"}
    assert not (tree.path / "dev/vg").exists()
    assert [f.id for f in result.left] == ["nodes.foreign"]
    assert said[:2] == [f"remove {tree.path}/dev/mapper/old", f"remove {tree.path}/dev/vg/lv"]
    assert all(one.error is None for one in result.done)


def test_fix_leaves_nodes_alone_where_the_kernel_cannot_be_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tree = Tree(tmp_path)
    tree.link("dev/mapper/old", "../dm-9")
    result = fix(examine.Question(roots=tree.roots, subjects=("nodes",), environ={}))
    assert os.listdir(tree.path / "dev/mapper") == ["old"]
    assert "cannot be queried" in result.done[0].error.message
