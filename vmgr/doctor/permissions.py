"""Subject ``permissions``: whether this process may use the device mapper, and is in a container."""

from __future__ import annotations

import os

from attrs import frozen

from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding
from vmgr.doctor.roots import Roots, read, read_bytes

SUBJECT = "permissions"
_CAP_SYS_ADMIN = 21
_CAP_MKNOD = 27


@frozen
class Facts:
    """``capabilities`` is the effective set as a mask, None if not readable; ``container`` is the kind of
    container.

    ``mapped``: root here is not root outside (a user namespace). ``writable`` is whether the run
    directory can be written to, None if that was not checked because the process is not root.
    """

    uid: int
    capabilities: int | None
    container: str = ""
    mapped: bool = False
    run: str = "/run"
    writable: bool | None = None


def gather(roots: Roots, uid: int | None = None) -> Facts:
    """Read the kernel's data about this process."""
    uid = os.geteuid() if uid is None else uid
    capabilities = None
    for line in (read(f"{roots.proc}/self/status") or "").splitlines():
        key, _, value = line.partition(":")
        if key == "CapEff":
            try:
                capabilities = int(value.strip(), 16)
            except ValueError:
                pass
    words = (read(f"{roots.proc}/self/uid_map") or "").split()
    # In the lab the files are the host's, including those that mark a container.
    return Facts(
        uid,
        capabilities,
        "" if os.environ.get("VMGR_LAB") == "1" and not roots.prefix else _container(roots),
        len(words) >= 3 and words[:3] != ["0", "0", "4294967295"],
        roots.run,
        os.access(roots.run, os.W_OK | os.X_OK) if uid == 0 else None,
    )


def _container(roots: Roots) -> str:
    """The kind of container this is in, from the marks of systemd and others (systemd.io/CONTAINER_INTERFACE)."""
    for place in (f"{roots.run}/systemd/container", f"{roots.run}/host/container-manager"):
        word = (read(place) or "").strip()
        if word:
            return word
    for entry in (read_bytes(f"{roots.proc}/1/environ") or b"").split(b"\0"):
        if entry.startswith(b"container=") and len(entry) > 10:
            return entry[10:].decode("utf-8", "replace")
    if os.path.exists(roots.at("/.dockerenv")):
        return "docker"
    if os.path.exists(f"{roots.run}/.containerenv"):
        return "podman"
    return ""


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about the permissions of this process."""
    found = []
    container = f" in a container ({facts.container})" if facts.container else ""
    known: dict[str, Fact] = {
        "uid": facts.uid,
        "container": facts.container or None,
        "user_namespace": facts.mapped,
    }
    if facts.uid != 0:
        found.append(
            Finding(
                "permissions.not-root",
                SUBJECT,
                WARNING,
                f"you are not root (user {facts.uid}): commands that use the device mapper will be refused, and not"
                " everything could be examined",
                "sudo vmgr doctor",
                facts=known,
            )
        )
    elif facts.capabilities is not None and not facts.capabilities >> _CAP_SYS_ADMIN & 1:
        found.append(
            Finding(
                "permissions.no-admin",
                SUBJECT,
                PROBLEM,
                f"root{container} has no CAP_SYS_ADMIN here: the kernel refuses the device mapper",
                "give the container CAP_SYS_ADMIN (docker run --privileged), or run outside of it"
                if container
                else "run as root with all capabilities",
                facts=known,
            )
        )
    elif facts.mapped:
        found.append(
            Finding(
                "permissions.user-namespace",
                SUBJECT,
                PROBLEM,
                f"root{container} is not the machine's root (user namespace): the device mapper is refused",
                "run outside of the user namespace",
                facts=known,
            )
        )
    else:
        text = "you are root and have CAP_SYS_ADMIN"
        if facts.capabilities is None:
            text = "you are root; the capabilities cannot be read"
        found.append(Finding("permissions.root", SUBJECT, OK, text, facts=known))
    if facts.container:
        found.append(
            Finding(
                "permissions.container",
                SUBJECT,
                NOTE,
                f"this is a container ({facts.container}): devices, modules and udev are the host's",
                facts=known,
            )
        )
    if facts.capabilities is not None and facts.uid == 0 and not facts.capabilities >> _CAP_MKNOD & 1:
        found.append(
            Finding(
                "permissions.no-mknod",
                SUBJECT,
                WARNING,
                "root has no CAP_MKNOD here: nodes cannot be made where udev does not make them",
                "give the container CAP_MKNOD" if container else "run as root with all capabilities",
                facts=known,
            )
        )
    if facts.writable is False:
        found.append(
            Finding(
                "permissions.run-read-only",
                SUBJECT,
                PROBLEM,
                f"{facts.run} cannot be written to: no locks, and no notes for udev",
                f"mount -o remount,rw {facts.run}",
                facts={"path": facts.run},
            )
        )
    return tuple(found)
