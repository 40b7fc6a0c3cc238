"""Starts the lab's kernel, and makes sure that nothing of it outlives the lab.

It is a separate process, started as ``python -I -S -B keeper.py``, because only another process can
clean up after a SIGKILL. It imports the standard library only. User Mode Linux runs each guest process as
a traced process of the host, and these do not all die with the kernel's own process. So the
keeper makes itself the reaper of all its descendants and stays until none is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import runpy
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _claim_cpu() -> None:
    """Bind this process, and so the guest, to one CPU that no other lab has claimed.

    The kernel and its traced processes switch at every system call, and a
    switch to another CPU takes twice the time. The claim is an abstract socket, which disappears with
    its process.
    """
    allowed = sorted(os.sched_getaffinity(0))
    start = os.getpid() % len(allowed)
    chosen = allowed[start]
    for cpu in allowed[start:] + allowed[:start]:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0vmgr-lab-cpu-{cpu}")
        except OSError:
            claim.close()
            continue
        chosen = cpu
        _claims.append(claim)
        break
    try:
        os.sched_setaffinity(0, {chosen})
    except OSError:
        pass


_claims: list[socket.socket] = []


def _start(config: dict[str, Any]) -> int:
    """Start the kernel in a process group of its own, and return its process ID."""
    keeper = os.getpid()
    xstate = runpy.run_path(f"{os.path.dirname(os.path.realpath(__file__))}/xstate.py")
    env = {**config["env"], **xstate["preload"](config["directory"])}
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(125)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(config["console"], 1)
        os.dup2(config["console"], 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execve(config["argv"][0], config["argv"], env)
    except OSError as error:
        os.write(2, f"{config['argv'][0]}: {error.strerror}\n".encode())
    os._exit(126)


def _children() -> list[int]:
    """Every process whose parent is this one."""
    mine = str(os.getpid())
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as source:
                    fields = source.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[1].decode() == mine:
                found.append(int(name))
    return found


def _end(pid: int) -> int:
    """Kill and reap all that is left of the guest. Return the wait status of the kernel's process."""
    status = 0
    while True:
        for target in [-pid, *_children()]:
            try:
                os.kill(target, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        try:
            while True:
                ended, raw = os.waitpid(-1, os.WNOHANG)
                if ended == pid:
                    status = raw
                if ended == 0:
                    break
        except ChildProcessError:
            return status
        time.sleep(0.002)


def main() -> None:
    """Read the configuration (JSON) from the socket ``argv[1]``, then run one guest to its end.

    The guest's process ID goes back through the socket, in case the keeper is killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    lifeline = int(sys.argv[1])
    with os.fdopen(os.dup(lifeline), "rb") as source:
        config = json.loads(source.readline())
    status = 0
    try:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        _claim_cpu()
        os.set_inheritable(lifeline, False)
        pid = _start(config)
        os.write(lifeline, b"%d\n" % pid)
        os.close(config["link"])
        os.close(config["console"])
        poll = select.poll()
        poll.register(os.pidfd_open(pid), select.POLLIN)
        poll.register(lifeline, select.POLLIN)  # end of file: the caller has ended, or is done
        poll.poll()
        status = _end(pid)
    finally:
        shutil.rmtree(config["directory"], ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
