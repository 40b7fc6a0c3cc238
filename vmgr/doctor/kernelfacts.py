"""The facts about a kernel on which the findings are based."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from vmgr.dm.module import ModuleState
    from vmgr.doctor.kernelconfig import KernelConfig, KernelTree
    from vmgr.doctor.modules import ModuleTree


@frozen
class Facts:
    """The facts about one kernel. ``running`` is False for one given by its configuration or its tree.

    ``registered``: see :class:`vmgr.doctor.machine.Machine`. ``module`` is the state of the module,
    None for a kernel that does not run. ``complaints`` describe configurations that could not be used;
    ``outdated`` are files that still run devmap_mknod.sh.
    """

    running: bool
    release: str
    registered: bool | None = None
    module: ModuleState | None = None
    modules: ModuleTree | None = None
    config: KernelConfig | None = None
    tree: KernelTree | None = None
    interface: tuple[int, ...] = ()
    why_not_asked: str = ""
    complaints: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The kernel in words."""
        return f"Linux {self.release}" if self.release else "this kernel" if self.running else "that kernel"

    @property
    def modular(self) -> bool:
        """Whether the kernel supports modules, as far as is known."""
        return self.config is None or self.config.value("MODULES") != "n" or not self.config.knows("MODULES")
