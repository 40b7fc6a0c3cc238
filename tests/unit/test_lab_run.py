"""``vmgr lab`` as a user meets it: streams, status, signals, limits, files, and nothing left behind.

Each test boots a real machine, which takes about a second and a half.
"""

from __future__ import annotations

import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import public
from vmgr.lab import Captured, Disk, LabOptions, capture

ROOT = Path(__file__).parents[2]
MIB = 1 << 20

pytestmark = [
    pytest.mark.skipif(shutil.which("linux.uml") is None, reason="needs the package user-mode-linux"),
    pytest.mark.skipif(os.environ.get("VMGR_LAB") == "1", reason="starts labs, and runs in one"),
]

Lab = Callable[..., "Run"]


class Run:
    """A ``vmgr lab`` that was started, with all its processes known."""

    def __init__(self, argv: tuple[str, ...], prefix: tuple[str, ...] = (), **options: object) -> None:
        program = options.pop("program", (sys.executable, "-m", "vmgr.lab"))
        settings: dict[str, object] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        }
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [*prefix, *program, *argv],  # type: ignore[misc]
            **(settings | options),  # type: ignore[call-overload]
        )

    def until_up(self) -> None:
        """Wait for the first line of output; the command must print one when it runs."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        assert ready, "the command printed nothing"
        os.read(self.process.stdout.fileno(), 4096)

    def end(self, stdin: bytes | None = None) -> Captured:
        """Wait for the end: status as a shell has it, output, errors."""
        out, err = self.process.communicate(stdin, timeout=120)
        code = self.process.returncode
        return Captured(code if code >= 0 else 128 - code, out or b"", err or b"")

    def keeper(self) -> int:
        """The process number of the lab's keeper."""
        return children(self.process.pid)[0]

    def kernel(self) -> int:
        """The process number of the lab's kernel."""
        return children(self.keeper())[0]

    def everything(self) -> list[int]:
        """All processes of the machine."""
        found = [self.keeper()]
        for pid in found:
            found += children(pid)
        return found

    def directory(self) -> Path:
        """The machine's temporary directory on the host."""
        command = Path(f"/proc/{self.kernel()}/cmdline").read_bytes()
        match = re.search(rb"uml_dir=([^\0]*)/", command)
        assert match
        return Path(os.fsdecode(match[1]))


def children(pid: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == pid:
                found.append(int(name))
    return sorted(found)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 20
    while any(map(alive, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Start ``vmgr lab`` with arguments, in ``tmp_path`` unless told otherwise."""
    started: list[Run] = []

    def start(*argv: str, prefix: tuple[str, ...] = (), **options: object) -> Run:
        started.append(Run(argv, prefix, **({"cwd": tmp_path} | options)))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


# -- status and streams ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("no-such-command",), 127),
        (("/etc/passwd",), 126),
    ],
    ids=["exit", "signal", "missing", "not-executable"],
)
def test_the_status_is_the_command_s(lab: Lab, argv: tuple[str, ...], status: int) -> None:
    assert lab("--", *argv).end().status == status


def test_streams_are_apart_and_byte_exact(lab: Lab) -> None:
    """Every byte value goes in and comes out, more of them than any buffer holds, and no kernel noise."""
    data = bytes(range(256)) * 8 + random.Random(1).randbytes(300_000) + b"no newline at the end"
    done = lab("--", "sh", "-c", "tee /dev/stderr", stdin=subprocess.PIPE).end(data)
    assert done == Captured(0, data, data)


def test_output_to_one_place_keeps_its_order(lab: Lab) -> None:
    script = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"
    done = lab("--", "sh", "-c", script, stderr=subprocess.STDOUT).end()
    assert done.stdout.split() == [b"o1", b"e1", b"o2", b"e2", b"o3", b"e3", b"o4", b"e4", b"o5", b"e5"]


def test_output_arrives_while_the_command_runs(lab: Lab) -> None:
    run = lab("--", "sh", "-c", "echo first; read line; echo $line", stdin=subprocess.PIPE)
    run.until_up()
    assert run.end(b"second\n").stdout == b"second\n"


def test_the_command_learns_that_nobody_reads(lab: Lab) -> None:
    """As in ``vmgr lab -- yes | head``."""
    run = lab("--", "yes")
    run.until_up()
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.process.stdout = None
    assert run.end().status == 128 + signal.SIGPIPE


def test_input_that_is_not_read_holds_nothing_up(lab: Lab) -> None:
    assert lab("--", "true", stdin=subprocess.PIPE).end(bytes(MIB)).status == 0


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_stop_it(tmp_path: Path, closed: str) -> None:
    script = f"exec {sys.executable} -m vmgr.lab --share . -- sh -c 'cat >copy; echo x; exit 4' {closed}"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, check=False)
    # The shell's echo to a closed stream does not fail: the command's own streams are always open.
    assert done.returncode == 4
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_process_left_in_the_background_does_not_hold_the_end_up(lab: Lab) -> None:
    done = lab("--", "sh", "-c", "sleep 1000 & echo started").end()
    assert done == Captured(0, b"started\n", b"")


def test_without_a_command_a_shell_reads_its_input(lab: Lab) -> None:
    done = lab(stdin=subprocess.PIPE).end(b"hostname\nexit 3\n")
    assert (done.status, done.stdout) == (3, b"vmgr-lab\n")


def test_without_a_terminal_the_command_has_none(lab: Lab) -> None:
    done = lab("--", "sh", "-c", "tty; test -e /dev/tty && ! true </dev/tty", start_new_session=True).end()
    assert (done.status, done.stdout) == (0, b"not a tty\n")


# -- signals and limits ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_command(lab: Lab, number: signal.Signals) -> None:
    script = f"trap 'echo caught; exit 9' {number.name[3:]}; echo up; while :; do sleep 0.1; done"
    run = lab("--", "sh", "-c", script)
    run.until_up()
    everything, directory = run.everything(), run.directory()
    run.process.send_signal(number)
    done = run.end()
    assert (done.status, done.stdout) == (9, b"caught\n")
    assert gone(everything)
    assert not directory.exists()


def test_a_second_signal_ends_a_command_that_ignores_the_first(lab: Lab, tmp_path: Path) -> None:
    """What was written to a disk is on the image all the same."""
    script = "trap '' INT TERM; printf kept >/dev/ubda; echo up; while :; do sleep 0.1; done"
    run = lab("--disk", "a.img:1M", "--", "sh", "-c", script)
    run.until_up()
    everything = run.everything()
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)  # another one: two of one number may arrive as one
    assert run.end().status in (130, 143)
    assert gone(everything)
    assert (tmp_path / "a.img").read_bytes()[:4] == b"kept"


def test_a_machine_that_hangs_is_killed_after_a_signal(lab: Lab) -> None:
    run = lab("--", "sh", "-c", "echo up; sleep 1000")
    run.until_up()
    everything, directory = run.everything(), run.directory()
    os.kill(run.kernel(), signal.SIGSTOP)
    run.process.terminate()
    done = run.end()
    assert done.status == 143
    assert b"does not answer" in done.stderr
    assert gone(everything)
    assert not directory.exists()


def test_the_time_limit_ends_a_command(lab: Lab) -> None:
    done = lab("--time-limit", "3", "--", "sh", "-c", "trap '' TERM INT; echo up; sleep 1000").end()
    assert done.status == 124
    assert b"time limit" in done.stderr


def test_the_time_limit_ends_a_machine_that_hangs(lab: Lab) -> None:
    run = lab("--time-limit", "4", "--", "sh", "-c", "echo up; sleep 1000")
    run.until_up()
    everything = run.everything()
    os.kill(run.kernel(), signal.SIGSTOP)
    assert run.end().status == 124
    assert gone(everything)


@pytest.mark.parametrize("victim", ["lab", "keeper", "kernel"])
def test_nothing_survives_a_sigkill(lab: Lab, victim: str) -> None:
    run = lab("--", "sh", "-c", "echo up; sleep 1000")
    run.until_up()
    everything, directory = run.everything(), run.directory()
    target = {"lab": run.process.pid, "keeper": run.keeper(), "kernel": run.kernel()}[victim]
    os.kill(target, signal.SIGKILL)
    done = run.end()
    assert done.status == (137 if victim == "lab" else 5)
    assert gone(everything)
    assert not directory.exists()


def test_a_machine_that_cannot_start_shows_its_console(lab: Lab, tmp_path: Path) -> None:
    fake = tmp_path / "linux.uml"
    fake.write_text("#!/bin/sh\necho 'Checking that ptrace can change system call numbers...failed'\nexit 1\n")
    fake.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "VMGR_LAB_KERNEL": str(fake)}
    done = lab("--", "true", env=env).end()
    assert done.status == 5
    assert b"stopped before it was up (status 1)" in done.stderr
    assert b"ptrace can change" in done.stderr
    assert b"Traceback" not in done.stderr


# -- files ----------------------------------------------------------------------------------------


def test_disks_are_block_devices_that_keep_what_is_written(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "b.img").write_bytes(b"old" + bytes(MIB - 3))
    script = "echo $VMGR_LAB_DISKS; cat /sys/block/ubda/size; head -c 3 /dev/ubdb; printf new >/dev/ubda"
    done = lab("--disk", "a.img:3M", "--disk", "b.img:ro", "--", "sh", "-c", script).end()
    assert done == Captured(0, b"/dev/ubda /dev/ubdb\n6144\nold", b"")
    assert (tmp_path / "a.img").read_bytes() == b"new" + bytes(3 * MIB - 3)


def test_a_read_only_disk_cannot_be_written(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(bytes(MIB))
    done = lab("--disk", "a.img:ro", "--", "sh", "-c", "echo x >/dev/ubda").end()
    assert done.status != 0
    assert (tmp_path / "a.img").read_bytes() == bytes(MIB)


def test_file_systems_and_volumes_are_put_away_at_the_end(lab: Lab, tmp_path: Path) -> None:
    """A mounted file system on a suspended volume: the end neither hangs nor loses what was written."""
    script = """
        set -e
        dmsetup create vol --table '0 16384 linear /dev/ubda 0'
        mkfs.ext4 -q /dev/mapper/vol && mount /dev/mapper/vol /mnt
        echo precious >/mnt/file
        dmsetup suspend --nolockfs vol
    """
    assert lab("--disk", "a.img:8M", "--", "sh", "-c", script).end() == Captured(0, b"", b"")
    done = lab(
        "--disk", "a.img", "--", "sh", "-c", "e2fsck -fn /dev/ubda >&2 && mount /dev/ubda /mnt && cat /mnt/file"
    )
    assert done.end().stdout == b"precious\n"


def test_the_current_directory_is_the_caller_s_and_read_only(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("seen")
    done = lab("--", "sh", "-c", "cat file; pwd -P; echo lost >new").end()
    assert done.stdout.decode() == f"seen{tmp_path}\n"
    assert b"Read-only file system" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_shared_directory_is_written_through(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "with blank, comma").mkdir()
    (tmp_path / "other").mkdir()
    script = "echo out >'with blank, comma/file'; echo no >other/file"
    done = lab("--share", "with blank, comma", "--", "sh", "-c", script).end()
    assert (tmp_path / "with blank, comma/file").read_text() == "out\n"
    assert done.status != 0
    assert list((tmp_path / "other").iterdir()) == []


def test_what_the_guest_does_to_etc_and_tmp_is_forgotten(lab: Lab) -> None:
    name = f"vmgr-lab-test-{os.getpid()}"
    done = lab("--", "sh", "-c", f"touch /etc/{name} /tmp/{name} /var/tmp/{name} /mnt/{name} && rm /etc/hostname")
    assert done.end() == Captured(0, b"", b"")
    assert not any(os.path.exists(f"{place}/{name}") for place in ("/etc", "/tmp", "/var/tmp", "/mnt"))
    assert os.path.exists("/etc/hostname")


def test_modules_are_found_by_programs_and_by_the_kernel(lab: Lab) -> None:
    script = "modprobe dm-snapshot && dmsetup create t --table '0 8 zero' && dmsetup targets"
    done = lab("--", "sh", "-c", script).end()
    assert done.status == 0, done.stderr
    assert {b"snapshot", b"zero"} <= {line.split()[0] for line in done.stdout.splitlines()}


def test_environment_and_directory_options(lab: Lab) -> None:
    done = lab("--env", "GREETING=hello you", "--cwd", "/usr", "--", "sh", "-c", "echo $GREETING; pwd").end()
    assert done.stdout == b"hello you\n/usr\n"


def test_verbose_shows_the_console_on_standard_error_only(lab: Lab) -> None:
    done = lab("--verbose", "--", "echo", "x").end()
    assert done.stdout == b"x\n"
    assert b"Linux version" in done.stderr


def test_a_lab_in_a_lab_is_refused(lab: Lab) -> None:
    done = lab("--", sys.executable, "-m", "vmgr.lab", "--", "true").end()
    assert done.status == 3
    assert b"already a lab" in done.stderr


def test_a_directory_that_the_guest_s_own_mounts_hide_is_shown(lab: Lab) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        Path(path, "file").write_text("seen\n")
        os.mkdir(f"{path}/shared")
        done = lab(
            "--share", "shared", "--", "sh", "-c", "cat file; echo x >shared/new; ! echo x >new", cwd=path
        ).end()
        assert (done.status, done.stdout) == (0, b"seen\n")
        assert sorted(os.listdir(path)) == ["file", "shared"]
        assert os.listdir(f"{path}/shared") == ["new"]


@pytest.mark.skipif(not os.path.exists("/lib/systemd/systemd-udevd"), reason="needs the package udev")
def test_udev_makes_the_links_and_completes_the_cookies(lab: Lab) -> None:
    script = (
        "dmsetup create x --table '0 8 zero'; readlink /dev/mapper/x /dev/disk/by-id/dm-name-x; dmsetup udevcookies"
    )
    done = lab("--udev", "--time-limit", "60", "--", "sh", "-c", script).end()
    assert (done.status, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[:2] == [b"../dm-0", b"../../dm-0"]


# -- where it runs --------------------------------------------------------------------------------


@pytest.fixture
def home_of_nobody() -> Iterator[Path]:
    """A directory that nobody can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="vmgr-test-") as path:
        os.chown(path, 65534, 65534)
        yield Path(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="changes to another user")
def test_it_needs_no_privilege(lab: Lab, home_of_nobody: Path) -> None:
    """As nobody, without capabilities: volumes, a file system, and files that belong to nobody."""
    home = home_of_nobody
    script = """
        set -e
        pvcreate -q /dev/ubda && vgcreate -q v /dev/ubda && lvcreate -q -L 8M -n l v
        mkfs.ext4 -q /dev/v/l && mount /dev/v/l /mnt && echo made >/mnt/file && cp /mnt/file copy
    """
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
    options = ("--disk", "a.img:32M", "--share", ".", "--", "sh", "-c", script)
    done = lab(*options, cwd=home, prefix=prefix, program=(*public.program(), "lab")).end()
    assert done.status == 0, done.stderr
    assert (home / "copy").read_text() == "made\n"
    assert (home / "copy").stat().st_uid == 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_small_dev_shm_does_not_stop_it(lab: Lab) -> None:
    mount = 'mount -t tmpfs -o size=16m none /dev/shm && exec "$@"'
    done = lab(
        "--", "sh", "-c", "head -c 50M /dev/zero >/dev/shm/x", prefix=("unshare", "-m", "sh", "-c", mount, "sh")
    )
    assert done.end() == Captured(0, b"", b"")


def test_two_labs_run_at_a_time(lab: Lab) -> None:
    """Each on a CPU of its own, if there are two."""
    first, second = (
        lab(
            "--disk",
            f"{name}.img:1M",
            "--",
            "sh",
            "-c",
            f"echo up; read x; printf {name} >/dev/ubda",
            stdin=subprocess.PIPE,
        )
        for name in ("first", "second")
    )
    first.until_up()
    second.until_up()
    cpus = [os.sched_getaffinity(run.kernel()) for run in (first, second)]
    assert [len(each) for each in cpus] == [1, 1]
    assert first.directory() != second.directory()
    assert [run.end(b"\n").status for run in (first, second)] == [0, 0]


def test_an_image_is_not_given_to_two_labs(lab: Lab) -> None:
    first = lab("--disk", "a.img:1M", "--", "sh", "-c", "echo up; read x", stdin=subprocess.PIPE)
    first.until_up()
    second = lab("--disk", "a.img", "--", "true").end()
    assert second.status == 5
    assert b"in use by another lab" in second.stderr
    assert first.end(b"\n").status == 0


def test_capture_works_in_a_thread(tmp_path: Path) -> None:
    found: list[Captured] = []
    options = LabOptions(
        command=("sh", "-c", "cat; echo err >&2; exit 2"), disks=(Disk.parse(f"{tmp_path}/a.img:1M"),), cwd="/"
    )
    thread = threading.Thread(target=lambda: found.append(capture(options, b"input")))
    thread.start()
    thread.join(120)
    assert found == [Captured(2, b"input", b"err\n")]


# -- the terminal ---------------------------------------------------------------------------------


class Screen:
    """The other end of a terminal: what was printed on it, and keys to type."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def until(self, text: str) -> None:
        end = time.monotonic() + 60
        while text not in self.text:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.text!r}"
            self.text += os.read(self.master, 4096).decode(errors="replace")
        self.text = self.text.partition(text)[2]

    def resize(self, rows: int, columns: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    yield screen
    os.close(screen.slave)
    os.close(screen.master)


def on_screen(lab: Lab, screen: Screen, *argv: str, **env: str) -> Run:
    slave = screen.slave
    # setsid -c makes the terminal the controlling one, as a login does.
    return lab(
        *argv,
        prefix=("setsid", "-c"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SHELL": "/bin/sh", "PS1": "ready> ", **env},
    )


def test_a_shell_on_a_terminal(lab: Lab, screen: Screen) -> None:
    """Size, resizing, Ctrl-C, job's status, and the terminal's modes restored at the end."""
    import termios

    before = termios.tcgetattr(screen.slave)
    screen.resize(40, 111)
    run = on_screen(lab, screen)
    screen.until("ready> ")
    screen.type("stty size; tty\n")
    screen.until("40 111\r\n/dev/pts/0\r\n")
    screen.resize(50, 99)
    os.kill(run.process.pid, signal.SIGWINCH)  # not our session's terminal, so the kernel may not send it
    screen.type("sleep 0.3; stty size\n")
    screen.until("50 99\r\n")
    # The job itself says that it runs: a Ctrl-C between a shell's two commands may be lost on some shells.
    screen.type("sh -c \"echo u''p; exec sleep 1000\"\n")
    screen.until("up\r\n")
    screen.type("\x03")
    screen.until("ready> ")
    screen.type("echo status $?\n")
    screen.until("status 130\r\n")
    screen.type("exit 6\n")
    assert run.process.wait(60) == 6
    assert termios.tcgetattr(screen.slave) == before


def test_ctrl_c_reaches_a_command_on_a_terminal(lab: Lab, screen: Screen) -> None:
    run = on_screen(
        lab, screen, "--", "sh", "-c", "trap 'echo caught; exit 8' INT; echo up; while :; do sleep 0.1; done"
    )
    screen.until("up\r\n")
    screen.type("\x03")
    screen.until("caught\r\n")
    assert run.process.wait(60) == 8


def test_a_terminal_that_vanishes_ends_the_lab(lab: Lab) -> None:
    screen = Screen()
    run = on_screen(lab, screen, "--", "sh", "-c", "echo up; sleep 1000")
    screen.until("up\r\n")
    everything = run.everything()
    os.close(screen.slave)
    os.close(screen.master)
    run.process.wait(60)
    assert gone(everything)
