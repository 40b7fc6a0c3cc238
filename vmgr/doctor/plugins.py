"""Subject ``plugins``: whether each installed target plugin works, and whether the kernel has what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.doctor.configure import MODULE, enable
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding
from vmgr.doctor.kernel import presence
from vmgr.doctor.kernelfacts import Facts as KernelFacts
from vmgr.doctor.modules import BUILT_IN
from vmgr.doctor.roots import dotted

if TYPE_CHECKING:
    from vmgr.core.hooks import KernelTarget, TargetInfo

SUBJECT = "plugins"

HAVE = "loaded"
OLD = "too old"
WAITS = "to be loaded"
ABSENT = "absent"
UNKNOWN = "unknown"


@frozen
class Plugin:
    """One entry point of the group ``vmgr.targets``. ``info`` is None if it cannot be used; ``why`` says why."""

    name: str
    distribution: str
    info: TargetInfo | None
    why: str = ""
    hint: str = ""


def gather() -> tuple[Plugin, ...]:
    """All installed plugins, beginning with those that cannot be used."""
    from vmgr.registry import find_plugins, load_targets

    found = find_plugins()
    if not found:
        return ()
    targets = load_targets(lambda _: None)
    targets.table_types()  # two plugins may have one for the same lines
    distributions = {name: distribution for name, _, distribution in found}
    entries = targets.entry_points()
    return (
        *(Plugin(error.plugin, error.source, None, error.message, error.hint) for error in targets.left_out.errors),
        *(Plugin(entries[i.name], distributions.get(entries[i.name], ""), i) for i in targets.infos()),
    )


def check(
    plugins: tuple[Plugin, ...], kernel: KernelFacts, targets: dict[str, tuple[int, ...]] | None
) -> tuple[Finding, ...]:
    """The findings; ``targets`` are the versions that the kernel (or its source) has, None if not known."""
    if not plugins:
        return (
            Finding(
                "plugins.none",
                SUBJECT,
                PROBLEM,
                "no target plugin is installed, not even vmgr's own",
                "install the package, rather than running from a bare checkout: pip install vmgr",
            ),
        )
    found = [_broken(plugin) for plugin in plugins if plugin.info is None]
    usable = [plugin.info for plugin in plugins if plugin.info is not None]
    if usable and targets is None and presence(kernel).state == PROBLEM:
        names = sorted(info.name for info in usable)
        text = f"{_and(names)} can do nothing without a device mapper (see kernel)"
        return (
            *found,
            Finding("plugins.no-device-mapper", SUBJECT, WARNING, text, facts={"plugins": tuple(names)}),
        )
    if usable and targets is None and presence(kernel).id == "kernel.unknown":
        text = "what plugins need of the kernel was not compared (see kernel)"
        return (*found, Finding("plugins.kernel-unknown", SUBJECT, NOTE, text))
    return (*found, *(_needs(info, kernel, targets) for info in usable))


def _broken(plugin: Plugin) -> Finding:
    return Finding(
        "plugins.unusable",
        SUBJECT,
        PROBLEM,
        plugin.why,
        plugin.hint,
        facts={"plugin": plugin.name or None, "distribution": plugin.distribution or None, "why": plugin.why},
    )


def _needs(info: TargetInfo, kernel: KernelFacts, targets: dict[str, tuple[int, ...]] | None) -> Finding:
    """The finding for the worst state of one plugin's targets."""
    states = {need: state_of(need, kernel, targets) for need in info.kernel_targets}
    facts: dict[str, Fact] = {
        "plugin": info.name,
        "needs": {need.name: dotted(need.version) for need in info.kernel_targets},
        "states": {need.name: state for need, state in states.items()},
        "has": {n.name: dotted(targets[n.name]) for n in info.kernel_targets if targets and n.name in targets},
    }

    def having(state: str) -> list[KernelTarget]:
        return [need for need, found in states.items() if found == state]

    if having(ABSENT):
        names, remedy = _listed(having(ABSENT)), _install(having(ABSENT), kernel)
        text = f"{info.name} needs the target {names}, which {kernel.title} lacks"
        return Finding("plugins.target-missing", SUBJECT, PROBLEM, text, remedy, facts=facts)
    if having(OLD):
        assert targets is not None
        old = [f"{n.name} {dotted(n.version)} (the kernel has {dotted(targets[n.name])})" for n in having(OLD)]
        return Finding(
            "plugins.target-old",
            SUBJECT,
            PROBLEM,
            f"{info.name} needs the target {', '.join(old)}",
            "use a newer kernel",
            facts=facts,
        )
    if having(UNKNOWN):
        return Finding(
            "plugins.target-unknown",
            SUBJECT,
            NOTE if kernel.running else WARNING,
            f"{info.name} needs the target {_listed(having(UNKNOWN))}: whether the kernel has that is not known",
            "run as root, so that the kernel can be asked" if kernel.registered else "",
            facts=facts,
        )
    if having(WAITS):
        modules = sorted({_module(need, kernel)[0] for need in having(WAITS)})
        particular = [need for need in having(WAITS) if need.version > (1, 0, 0)]
        least = f"; it must have {_listed(particular)} or newer" if particular else ""
        return Finding(
            "plugins.target-module",
            SUBJECT,
            OK,
            f"{info.name}: {_and(modules)} will be loaded when needed{least}",
            facts=facts,
        )
    return Finding(
        "plugins.met", SUBJECT, OK, f"{info.name}: the kernel has the target {_listed(list(states))}", facts=facts
    )


def state_of(need: KernelTarget, kernel: KernelFacts, targets: dict[str, tuple[int, ...]] | None) -> str:
    """The state of one target, from the kernel's own list, else its modules, else its configuration."""
    if targets is not None and need.name in targets:
        return HAVE if targets[need.name] >= need.version else OLD
    if presence(kernel).state == PROBLEM:
        return ABSENT
    module, how = _module(need, kernel)
    if how and targets is None and (how == BUILT_IN or (module == MODULE and kernel.registered)):
        return HAVE
    if how:
        # Built in, but not in the kernel's list: then the kernel certainly lacks it.
        return ABSENT if how == BUILT_IN else WAITS
    config = kernel.config
    if config is not None:
        value = config.value(need.config or f"DM_{need.name.upper().replace('-', '_')}")
        if value == "y":
            return HAVE if targets is None else ABSENT
        if value == "m":
            return WAITS if kernel.modules is None else ABSENT
        return ABSENT
    if targets is not None and kernel.modules is not None and kernel.modules.complete:
        return ABSENT
    return UNKNOWN


def _module(need: KernelTarget, kernel: KernelFacts) -> tuple[str, str]:
    """The module with a target, and how the kernel has that module."""
    if kernel.modules is not None:
        return kernel.modules.provider(need.name, need.module)
    config = kernel.config
    if config is not None and config.value(need.config or f"DM_{need.name.upper().replace('-', '_')}") == "m":
        return need.module or f"dm-{need.name}", "module"
    return "", ""


def _install(needs: list[KernelTarget], kernel: KernelFacts) -> str:
    symbols = sorted({need.config or f"DM_{need.name.upper().replace('-', '_')}" for need in needs})
    return enable(kernel, *symbols)


def _listed(needs: list[KernelTarget]) -> str:
    return _and([f"{n.name} {dotted(n.version)}" if n.version > (1, 0, 0) else n.name for n in needs])


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
