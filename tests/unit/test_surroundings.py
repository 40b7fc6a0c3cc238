"""The tests run alike wherever they are started, and one that hangs is ended and named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support import public

ROOT = Path(__file__).resolve().parents[2]


def in_background() -> None:
    """As a shell without job control starts what ends with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)


def run_test(tmp_path: Path, body: str, *, limit: int = 900) -> subprocess.CompletedProcess[str]:
    """Run one test, with the settings of all, from surroundings like cron's in the background."""
    (tmp_path / "conftest.py").write_text(
        f"from tests import conftest\nconftest.TIME_LIMIT = {limit}\nfrom tests.conftest import *\n"
    )
    (tmp_path / "test_it.py").write_text(textwrap.dedent(body))
    options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    options += [f"--rootdir={tmp_path}", "-o", f"pythonpath={ROOT}"]
    return subprocess.run(
        [sys.executable, *options, str(tmp_path)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=in_background,
        check=False,
    )


def test_an_ignored_interrupt_and_a_bare_environment_do_not_matter(tmp_path: Path) -> None:
    done = run_test(
        tmp_path,
        """
        import os, shutil, signal, pytest

        def test_it():
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                signal.sigtimedwait([], 5)
            assert signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL
            assert os.environ["HOME"]
            assert "/usr/sbin" in os.environ["PATH"].split(":")
        """,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_test_that_hangs_is_named(tmp_path: Path) -> None:
    done = run_test(
        tmp_path,
        """
        import threading

        def test_that_hangs():
            threading.Event().wait()

        def test_after_it():
            pass
        """,
        limit=1,
    )
    assert done.returncode == 1
    assert "test_that_hangs did not end within 1 s" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.parametrize("words", [["lvs"], ["lvcreate", "-l1", "tank"], ["dm", "ls"], ["help"]])
def test_vmgr_leaves_an_ignored_interrupt_ignored(words: list[str]) -> None:
    """Whoever started it in the background did not mean it with his Ctrl-C; read when the command is at its end."""
    script = f"""
import atexit, os, signal, sys
at_end = os._exit
def end(status):
    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, file=sys.stderr, flush=True)
    at_end(status)
os._exit = end
from vmgr.cli.main import main
sys.argv = ["vmgr", *{words!r}, *{["--driverloaded", "n"] if words[0] not in ("dm", "help") else []!r}]
main()
"""
    done = subprocess.run(
        public.code(script),
        preexec_fn=in_background,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "True", done.stderr


def test_what_other_users_run_is_readable_wherever_the_checkout_is() -> None:
    place = public.place()
    while place != "/":
        assert os.stat(place).st_mode & 0o005 == 0o005
        place = os.path.dirname(place)
    if os.geteuid() != 0:
        pytest.skip("expected: becomes another user")
    done = subprocess.run(
        [*public.program(), "version"], user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
        check=False, cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
