"""Completion in real shells, of what is really on disks: typed into bash and zsh on a terminal, asked of fish."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2

pytestmark = requires_lvm2

VMGR = Path(sys.executable).parent / "vmgr"
PATIENCE = 60.0
"""Seconds after which a shell that shows nothing has failed."""

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(_VMGR_COMPLETE=bash_source vmgr)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(_VMGR_COMPLETE=zsh_source vmgr)"',
    ),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A machine with the group tank, its volumes home and host, and a tag; the environment that shows it."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "bin").mkdir()
    for name in ("vmgr", "lvs", "lvextend"):
        (folder / "bin" / name).symlink_to(VMGR)
    with Lvm2(folder / "lvm") as lvm:
        lvm.run("vgcreate", "--addtag", "fast", "tank", lvm.disk(folder / "a.img", 96 << 20))
        lvm.create("tank", "-n", "home", "-L", "8m")
        lvm.create("tank", "-n", "hose", "-L", "8m")
        yield {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "LVM_SYSTEM_DIR": str(lvm.dir), "HOME": str(folder),
            "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "> ", "COLUMNS": "200",
        }  # fmt: skip


def needed(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.fail(f"{shell} is missing; `tools/setup test` installs what the tests need", pytrace=False)


class Typed:
    """An interactive shell on a terminal of its own."""

    def __init__(self, argv: list[str], environ: dict[str, str]) -> None:
        self.text = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvpe(argv[0], argv, environ)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self, pattern: str) -> str:
        """What is shown up to ``pattern``, which is looked for after what has been shown before."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                pytest.fail(f"{pattern!r} is not shown, but {self.text!r}", pytrace=False)
            try:
                self.text += os.read(self.fd, 4096).decode("utf-8", "replace")
            except OSError:
                pytest.fail(f"the shell ended: {self.text!r}", pytrace=False)
        shown, self.text = self.text[: found.end()], self.text[found.end() :]
        return shown

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Typed]:
    needed(request.param)
    argv, begin = SHELLS[request.param]
    typed = Typed(argv, environment)
    typed.type(f"{begin}; echo rea''dy\n")
    typed.wait("ready\r?\n")
    yield typed
    typed.close()


COMPLETED = [
    ("vmgr lvext", "vmgr lvextend "),
    ("vmgr vgchange ta", "vmgr vgchange tank "),
    ("vmgr lvextend tank/hom", "vmgr lvextend tank/home "),
    ("vmgr lvextend -L +1g -r tank/hos", "vmgr lvextend -L [+]1g -r tank/hose "),
    ("vmgr lvs /dev/tank/hom", "vmgr lvs /dev/tank/home "),
    ("vmgr lvs @fa", "vmgr lvs @fast"),
    ("vmgr lvs -o +lv_name,lv_kernel_maj", "vmgr lvs -o [+]lv_name,lv_kernel_major "),
    ("vmgr lvs --options=lv_kernel_maj", "vmgr lvs --options=lv_kernel_major "),
    ("vmgr lvs --reportf", "vmgr lvs --reportformat "),
    ("vmgr lvcreate --type stri", "vmgr lvcreate --type striped "),
    ("vmgr lvresize --fsmode noch", "vmgr lvresize --fsmode nochange "),
    ("vmgr dm tabl", "vmgr dm table "),
    ("vmgr doctor kern", "vmgr doctor kernel "),
    ("vmgr vgcfgbackup --file /etc/hostn", "vmgr vgcfgbackup --file /etc/hostname"),
]
"""What is typed before the tabulator key, and what then stands there."""


def test_a_typed_tabulator_completes(shell: Typed) -> None:
    for words, whole in COMPLETED:
        shell.type(words)
        shell.type("\t")
        shell.wait(whole)
        shell.type("\x15")  # kill the line


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("vmgr lvext", {"lvextend"}),
        ("vmgr lvextend tank/", {"tank/home", "tank/hose"}),
        ("vmgr vgchange -ay ", {"tank", "@fast"}),
        ("vmgr lvs @", {"@fast"}),
        ("vmgr lvs -o lv_name,lv_kernel_m", {"lv_name,lv_kernel_major", "lv_name,lv_kernel_minor"}),
        ("vmgr lvcreate --alloc cl", {"cling", "cling_by_tags"}),
        ("vmgr lvs --options=lv_kernel_ma", {"--options=lv_kernel_major"}),
        ("vmgr vgcfgbackup --file /etc/hostn", {"/etc/hostname"}),
    ],
)
def test_fish_completes(words: str, found: set[str], environment: dict[str, str]) -> None:
    needed("fish")
    script = f"_VMGR_COMPLETE=fish_source vmgr | source; complete -C '{words}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == found
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [("lvextend tank/ho", {"tank/home", "tank/hose"}), ("lvs -o lv_kernel_ma", {"lv_kernel_major"})],
)
def test_a_link_is_completed_where_its_own_script_is_loaded(
    words: str, found: set[str], environment: dict[str, str]
) -> None:
    """Scripts for links are not installed: LVM2's own have these names."""
    needed("fish")
    script = f"_VMGR_COMPLETE=fish_source {words.split()[0]} | source; complete -C '{words}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == found


def test_bash_completes_a_link(environment: dict[str, str]) -> None:
    needed("bash")
    text = """eval "$(_VMGR_COMPLETE=bash_source lvextend)"
        complete -p lvextend
        COMP_WORDS=(lvextend tank/ho) COMP_CWORD=1
        _lvextend_completion lvextend
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", text], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split()[-2:] == ["tank/home", "tank/hose"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_installed_is_the_script_that_the_program_prints(shell: str, environment: dict[str, str]) -> None:
    from tools.install import COMPLETIONS, extra_files

    printed = subprocess.run(
        [VMGR], env={**environment, "_VMGR_COMPLETE": f"{shell}_source"}, capture_output=True, text=True, check=True
    ).stdout
    assert dict(extra_files("/usr"))[COMPLETIONS[shell]].decode().split() == printed.split()


def test_completion_is_silent_where_nothing_can_be_read(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "lvm.conf").write_text("devices { broken")
    for directory in (str(tmp_path), "/nowhere"):
        done = subprocess.run(
            [VMGR], capture_output=True, text=True, check=False,
            env={**environment, "LVM_SYSTEM_DIR": directory, "_VMGR_COMPLETE": "bash_complete",
                 "COMP_WORDS": "vmgr lvs xyz", "COMP_CWORD": "2"},
        )  # fmt: skip
        assert (done.stdout.strip(), done.stderr) == ("", "")
