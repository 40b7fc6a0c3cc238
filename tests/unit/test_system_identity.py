"""Who this host is: system IDs from every source, stamps, the top of a text."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from vmgr.system import identity
from vmgr.system.config import Config, parse


def config(text: str) -> Config:
    return Config([parse(text, "test")], system_dir="")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("host.example", "host.example"), ("--_a b/c", "abc"), ("ä+x", "x"), ("", ""), ("x" * 200, "x" * 128)],
)
def test_a_system_id_has_only_characters_that_lvm2_keeps(given, kept):
    """Letters, digits and . _ - +, the first one a letter or digit."""
    assert identity.clean(given) == kept


def test_each_source(tmp_path, monkeypatch):
    """none, lvmlocal, uname, machineid, file."""
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "id").write_text("# comment\n\n  my host # more\n")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "node.example", "6", "1", "x86_64")))
    etc = f'global/etc="{tmp_path}" '
    answers = {
        'global/system_id_source="none"': "",
        'global/system_id_source="lvmlocal" local/system_id="abc"': "abc",
        'global/system_id_source="uname"': "node.example",
        etc + 'global/system_id_source="machineid"': "0123456789abcdef0123456789abcdef",
        f'global {{ system_id_source="file" system_id_file="{tmp_path}/id" }}': "myhost",
    }
    assert {text: identity.system_id(config(text)) for text in answers} == answers


@pytest.mark.parametrize(
    "text",
    [
        'global/system_id_source="lvmlocal"',
        'global/system_id_source="lvmlocal" local/system_id="localhost.localdomain"',
        'global/system_id_source="file"',
        'global/system_id_source="magic"',
    ],
)
def test_a_source_that_gives_nothing_is_warned_of(text):
    """The host has no system ID then, and groups that have one are foreign."""
    one = config(text)
    assert identity.system_id(one) == ""
    assert len(one.warnings) == 1
    assert identity.local_system_ids(one) == frozenset()


def test_extra_system_ids_count_only_beside_an_own_one():
    """As LVM2 has it."""
    extra = 'local/extra_system_ids=["b", "c"]'
    assert identity.local_system_ids(config(extra)) == frozenset()
    text = f'global/system_id_source="lvmlocal" local/system_id="a" {extra}'
    assert identity.local_system_ids(config(text)) == {"a", "b", "c"}


def test_the_application_id_is_systemds():
    """Derived from the machine's ID as systemd derives it, so that LVM2 built with it agrees."""
    tool = shutil.which("systemd-id128")
    if tool is None or not os.path.exists("/etc/machine-id"):
        pytest.skip("expected: needs systemd-id128 and /etc/machine-id")
    asked = [tool, "machine-id", "--app-specific=f64406832c2140e8ac5422d1089aae03"]
    theirs = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if not theirs:
        pytest.skip("expected: this machine has no machine ID yet")
    assert identity.system_id(config('global/system_id_source="appmachineid"')) == theirs


def test_stamps_differ():
    """Two changes never share UUIDs."""
    assert identity.make_stamp().uuid(0) != identity.make_stamp().uuid(0)


def test_the_top_of_a_text():
    """Description, host, time and system, as uname(2) gives them."""
    stamp = identity.make_stamp()
    header = identity.text_header("Write from x.", config(""), stamp)
    assert (header.description, header.host, header.time) == ("Write from x.", os.uname().nodename, stamp.time)
    assert header.system.split()[1] == os.uname().nodename
    assert header.program.startswith("vmgr ")
