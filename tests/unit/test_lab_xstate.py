"""On a processor with more register state than User Mode Linux knows, a shorter buffer is enough."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgr.lab import xstate

SIZE = xstate.state_size()

pytestmark = pytest.mark.skipif(SIZE == 0, reason="expected: this processor's state cannot be asked for by ptrace")

# Sets the first bytes of a stopped child's registers, as User Mode Linux does, and reads one word of it.
TRACER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
pid = os.fork()
if pid == 0:
    libc.ptrace(0, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(7)
os.waitpid(pid, 0)
short = int(sys.argv[1])
buffer = ctypes.create_string_buffer(short)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), short)
address = ctypes.addressof(vector)
assert libc.ptrace(0x4204, pid, 0x202, address) == 0
print(libc.ptrace(0x4205, pid, 0x202, address) and ctypes.get_errno())
print(libc.ptrace(2, pid, ctypes.addressof(buffer), None) == 0)  # zero in the child, which forked before
print(libc.ptrace(2, pid, 8, None), ctypes.get_errno())  # nothing is mapped there
libc.ptrace(7, pid, None, None)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def traced(short: int, env: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", TRACER, str(short)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""  # the loader complains there about an object that it cannot use
    return done.stdout.split("\n")[:-1]


def test_a_buffer_that_is_too_short_is_made_longer(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(xstate.shared_object(SIZE))
    short = SIZE - 64
    assert traced(short, {})[0] == str(errno.EFAULT)
    done = traced(short, {"LD_PRELOAD": str(tmp_path / "x.so")})
    assert [done[0], done[-1]] == ["0", "7"]


def test_every_other_request_is_the_kernels_own(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(xstate.shared_object(SIZE))
    plain = traced(SIZE, {})
    assert plain[0] == "0"
    assert traced(SIZE, {"LD_PRELOAD": str(tmp_path / "x.so")}) == plain


def test_the_kernel_gets_it_only_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xstate, "state_size", lambda: xstate.KNOWN)
    assert xstate.preload(str(tmp_path)) == {}
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(xstate, "state_size", lambda: 11008)
    assert xstate.preload(str(tmp_path)) == {"LD_PRELOAD": f"{tmp_path}/xstate.so"}
    assert (tmp_path / "xstate.so").read_bytes()[:4] == b"\x7fELF"
