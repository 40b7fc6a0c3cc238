"""Programs of the system: found in fixed places, run with nothing of the caller's that could change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgr.dm import programs


def test_the_callers_path_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / "resize2fs"
    planted.write_text("#!/bin/sh\n")
    planted.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find_program("resize2fs") != str(planted)
    assert programs.find_program("sh") in ("/usr/bin/sh", "/bin/sh")
    assert programs.find_program("no-such-program-anywhere") is None


def test_what_is_no_program_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder nor a file that cannot be run."""
    monkeypatch.setattr(programs, "PLACES", (str(tmp_path),))
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("")
    assert programs.find_program("folder") is None
    assert programs.find_program("text") is None


def test_no_variable_that_changes_which_code_runs_is_handed_on() -> None:
    caller = {
        "HOME": "/root", "PATH": "/tmp", "LD_PRELOAD": "/tmp/x.so", "LD_LIBRARY_PATH": "/tmp", "PYTHONPATH": "/tmp",
        "BASH_ENV": "/tmp/x", "ENV": "/tmp/x", "MODPROBE_OPTIONS": "-C /tmp", "LC_ALL": "de_DE.UTF-8", "IFS": "/",
    }  # fmt: skip
    assert programs.environment(caller) == {"HOME": "/root", "PATH": ":".join(programs.PLACES), "LC_ALL": "C"}
