"""Remedies for a kernel that lacks something: commands and settings of the kernel's own configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.doctor.roots import version_of

if TYPE_CHECKING:
    from vmgr.doctor.kernelconfig import KernelTree
    from vmgr.doctor.kernelfacts import Facts

SYMBOL = "BLK_DEV_DM"
MODULE = "dm-mod"


def patch(tree: KernelTree) -> tuple[str, str]:
    """The text and the remedy for a source tree without a device mapper."""
    version = f"Linux {tree.version}" if tree.version else "the kernel"
    if version_of(tree.version)[:2] < (2, 5):
        return (
            f"the source of {version} in {tree.path} has no device mapper: before Linux 2.5.45 it is a patch",
            f"in the device mapper's source: ./configure --with-kernel-dir={tree.path} && make apply-patches",
        )
    return (
        f"the source of {version} in {tree.path} lacks drivers/md/dm.c",
        "get the complete source of that kernel",
    )


def absent(facts: Facts) -> tuple[str, str]:
    """The text and the remedy for a kernel without a device mapper."""
    config = facts.config
    if config is None:
        where = facts.modules.directory if facts.modules else ""
        return (
            f"{facts.title} has no device mapper: {MODULE} is neither in {where} nor built in",
            f"install a kernel with CONFIG_{SYMBOL}; until then, `vmgr lab` brings its own",
        )
    missing = [symbol for symbol in ("BLOCK", "MD") if config.knows(symbol) and config.value(symbol) == "n"]
    off = f"CONFIG_{missing[0] if missing else SYMBOL} is not set in {config.source}"
    return f"{facts.title} has no device mapper: {off}", enable(facts, SYMBOL)


def enable(facts: Facts, *symbols: str) -> str:
    """The command that sets ``symbols`` in a tree's configuration, or a remedy in words if there is no tree."""
    letter = "m" if facts.modular else "y"
    lacks = not facts.registered if facts.config is None else facts.config.value("MD") == "n"
    wanted = ["MD", *symbols] if lacks else list(symbols)
    tree = facts.tree
    if tree is not None and tree.has_tool:
        switches = " ".join(f"-{'e' if s == 'MD' or letter == 'y' else letter} {s}" for s in wanted)
        return f"cd {tree.path} && scripts/config {switches} && make olddefconfig"
    settings = ", ".join(f"CONFIG_{s}={'y' if s == 'MD' else letter}" for s in wanted)
    if tree is not None and tree.has_source:
        return f"make -C {tree.path} menuconfig: set {settings}"
    until = "; until then, `vmgr lab` brings its own" if facts.running else ""
    return f"build or install a kernel with {settings}{until}"
