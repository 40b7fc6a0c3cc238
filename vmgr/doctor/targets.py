"""Subject ``targets``: the device-mapper targets that the kernel has loaded, and those that it could load."""

from __future__ import annotations

from vmgr.doctor.finding import NOTE, OK, Finding
from vmgr.doctor.kernelfacts import Facts as KernelFacts
from vmgr.doctor.roots import dotted

SUBJECT = "targets"


def check(kernel: KernelFacts, targets: dict[str, tuple[int, ...]] | None) -> tuple[Finding, ...]:
    """The findings; ``targets`` are the versions that the kernel (or its source) has, None if not known."""
    found = []
    if targets:
        listed = ", ".join(f"{name} {dotted(version)}" for name, version in sorted(targets.items()))
        where = "loaded" if kernel.running else "in the source"
        found.append(
            Finding(
                "targets.loaded" if kernel.running else "targets.source",
                SUBJECT,
                OK,
                f"{where}: {listed}",
                facts={"targets": {name: dotted(version) for name, version in sorted(targets.items())}},
            )
        )
    elif kernel.running and kernel.registered:
        found.append(
            Finding(
                "targets.unknown",
                SUBJECT,
                NOTE,
                f"the kernel was not asked for its targets: {kernel.why_not_asked or 'no answer'}",
            )
        )
    modules = kernel.modules.target_modules() if kernel.modules is not None else ()
    if modules:
        names = [name.removeprefix("dm-") for name in modules]
        short = ", ".join(name for name in names if name not in (targets or ()))
        found.append(
            Finding(
                "targets.modules",
                SUBJECT,
                OK,
                f"more as modules: {short or 'none'}",
                facts={"modules": modules, "directory": kernel.modules.directory if kernel.modules else None},
            )
        )
    config = kernel.config
    if config is not None and not modules:
        symbols = {
            name: value
            for name, value in sorted(config.symbols.items())
            if name.startswith("DM_") and value in ("y", "m")
        }
        if symbols:
            short = ", ".join(
                name.removeprefix("DM_").lower().replace("_", "-") + ("" if value == "y" else " (module)")
                for name, value in symbols.items()
            )
            found.append(
                Finding(
                    "targets.configured",
                    SUBJECT,
                    OK,
                    f"configured: {short}",
                    facts={"symbols": dict(symbols), "config": config.source},
                )
            )
    return tuple(found)
