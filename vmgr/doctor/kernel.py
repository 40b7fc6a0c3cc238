"""Subject ``kernel``: whether it has the device mapper, with which interface, and can freeze file systems.

In 2003 an administrator patched and configured a kernel for this. Now the kernel needs ``CONFIG_BLK_DEV_DM``
and, if that is a module, the modules of the running kernel must be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.doctor.abilities import freezing, interface, loading, surroundings
from vmgr.doctor.configure import MODULE, SYMBOL, absent, patch
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding, Repair
from vmgr.doctor.kernelconfig import read_config
from vmgr.doctor.kernelfacts import Facts
from vmgr.doctor.modules import BUILT_IN, find_modules, read_modules
from vmgr.doctor.roots import read

if TYPE_CHECKING:
    from vmgr.doctor.kernelconfig import KernelConfig, KernelTree
    from vmgr.doctor.machine import Machine

SUBJECT = "kernel"


def gather(machine: Machine) -> Facts:
    """Read the facts about the running kernel."""
    from vmgr.core.errors import VmgrError
    from vmgr.doctor.machine import state_of_module

    roots = machine.roots
    directory = find_modules(roots, machine.release)
    module = state_of_module(machine)
    config, complaints = None, []
    places = [f"{roots.proc}/config.gz"]
    if machine.release:
        places += [roots.at(f"/boot/config-{machine.release}"), roots.at(f"/lib/modules/{machine.release}/config")]
        places += [f"{directory}/build/.config"] if directory else []
    for place in places:
        try:
            config = read_config(place)
        except VmgrError as error:
            complaints.append(error.message)
            continue
        if config is not None:
            break
    return Facts(
        True,
        machine.release,
        machine.registered,
        module,
        read_modules(directory) if directory else None,
        config,
        interface=machine.asked.interface or (),
        why_not_asked=machine.asked.why,
        complaints=tuple(complaints),
        outdated=tuple(
            roots.at(f"/etc/{name}")
            for name in ("modules.conf", "conf.modules")
            if "devmap_mknod" in (read(roots.at(f"/etc/{name}")) or "")
        ),
    )


def of_given(config: KernelConfig | None, tree: KernelTree | None) -> Facts:
    """The facts in ``--kernel-config`` and ``--kernel-dir``. If both have a configuration, the first counts."""
    used = config or (tree.config if tree else None)
    return Facts(
        False,
        (tree.version if tree else "") or (used.version if used else ""),
        modules=read_modules(tree.modules) if tree and tree.modules else None,
        config=used,
        tree=tree,
        interface=tree.interface if tree else (),
    )


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about the kernel."""
    found = [presence(facts)]
    found += [
        Finding("kernel.config-unusable", SUBJECT, WARNING, text, "give another with --kernel-config FILE")
        for text in facts.complaints
    ]
    here = found[0].state in (OK, WARNING) and found[0].id != "kernel.unknown"
    if here:
        found += interface(facts)
    if here or facts.tree is not None:
        found += freezing(facts)
    if here and facts.config is not None:
        found += surroundings(facts)
    if facts.module is not None:
        found += loading(facts.module)
    found += [
        Finding(
            "kernel.post-install",
            SUBJECT,
            NOTE,
            f"{place} runs devmap_mknod.sh, which is not needed since Linux 2.6.36: the kernel makes the node",
            f"delete the post-install line in {place}",
        )
        for place in facts.outdated
    ]
    return tuple(found)


# -- is it there ----------------------------------------------------------------------------------


def _say(
    facts: Facts, id: str, state: str, text: str, remedy: str = "", how: str = "", repair: Repair | None = None
) -> Finding:
    known: dict[str, Fact] = {
        "release": facts.release,
        "running": facts.running,
        "config": facts.config.source if facts.config else None,
        "modules": facts.modules.directory if facts.modules else None,
        "how": how or None,
    }
    return Finding(f"kernel.{id}", SUBJECT, state, text, remedy, repair, known)


def presence(facts: Facts) -> Finding:
    """Whether the device mapper is built in, a module, or absent."""
    if facts.registered:
        if facts.module is not None and facts.module.state == "loaded":
            return _say(
                facts, "module-loaded", OK, f"the device mapper of {facts.title} is a loaded module", how="module"
            )
        return _say(facts, "built-in", OK, f"the device mapper is built into {facts.title}", how="built in")
    how = ways(facts)
    if not facts.running:
        return _given_presence(facts, how)
    if facts.registered is None:
        return _say(
            facts,
            "unknown",
            WARNING,
            f"/proc cannot be read, so it is not known what {facts.title} has now",
            "mount -t proc proc /proc",
            how,
        )
    if how == BUILT_IN:
        return _say(
            facts,
            "not-registered",
            PROBLEM,
            f"the device mapper is built into {facts.title}, but /proc does not show it",
            "dmesg | grep device-mapper",
            how,
        )
    if facts.modules is not None and facts.modules.has(MODULE):
        return _say(
            facts,
            "module",
            WARNING,
            f"the device mapper of {facts.title} is a module and not loaded yet; the first command that needs it"
            " loads it",
            f"modprobe {MODULE}",
            "module",
            Repair("load-module", f"load the module {MODULE}", (MODULE,))
            if facts.module is not None and facts.module.state == "available"
            else None,
        )
    if how == "module":
        return _modules_missing(facts)
    if facts.modules is not None and not facts.modules.complete and facts.config is None:
        return _say(
            facts,
            "depmod",
            PROBLEM,
            f"{facts.modules.directory} has no modules.dep, so modprobe finds nothing there",
            f"depmod -a {facts.release}".rstrip(),
        )
    if facts.config is not None or facts.modules is not None:
        return _say(facts, "absent", PROBLEM, *absent(facts))
    return _say(
        facts,
        "absent",
        PROBLEM,
        f"{facts.title} shows no device mapper, and neither its configuration nor its modules were found",
        f"modprobe {MODULE}, if its modules are elsewhere; or give its configuration with --kernel-config FILE",
    )


def ways(facts: Facts) -> str:
    """``built in``, ``module`` or ``""``, from the configuration or else the module metadata."""
    if facts.config is not None:
        return {"y": BUILT_IN, "m": "module"}.get(facts.config.value(SYMBOL), "")
    return facts.modules.has(MODULE) if facts.modules is not None else ""


def _given_presence(facts: Facts, how: str) -> Finding:
    tree = facts.tree
    where = facts.config.source if facts.config else tree.path if tree else ""
    if how == "module" and facts.modules is not None and not facts.modules.has(MODULE):
        return _modules_missing(facts)
    if how:
        as_what = "built into" if how == BUILT_IN else "a module of"
        id = "built-in" if how == BUILT_IN else "configured-module"
        return _say(facts, id, OK, f"the device mapper is {as_what} {facts.title} ({where})", "", how)
    if tree is not None and tree.has_source and not tree.has_mapper:
        return _say(facts, "not-in-source", PROBLEM, *patch(tree))
    if facts.config is None and facts.modules is None and tree is not None:
        return _say(
            facts,
            "not-configured",
            PROBLEM,
            f"{where} has not been configured yet",
            f"make -C {where} menuconfig: Multiple devices driver support, Device mapper support",
        )
    return _say(facts, "absent", PROBLEM, *absent(facts))


def _modules_missing(facts: Facts) -> Finding:
    modules = facts.modules
    if modules is not None and not modules.complete:
        return _say(
            facts,
            "depmod",
            PROBLEM,
            f"{modules.directory} has no modules.dep, so modprobe does not find {MODULE}",
            f"depmod -a {facts.release}",
            "module",
        )
    where = modules.directory if modules else f"/lib/modules/{facts.release}"
    what = "lacks it" if modules else "is not there"
    return _say(
        facts,
        "modules-missing",
        PROBLEM,
        f"the device mapper of {facts.title} is a module, and {where} {what}",
        "install the modules of this very kernel, or boot the kernel that was installed last",
        "module",
    )
