"""Loads kernel modules without starting a process for each."""

from __future__ import annotations

import os

from vmgr.lab.guest import linux

_PLACES = ("/usr/lib/uml/modules", "/lib/modules", "/usr/lib/modules")


class NoModules(Exception):
    """The running kernel's modules were not found."""


class Modules:
    """The module tree of the running kernel, in the package's directory."""

    def __init__(self) -> None:
        release = os.uname().release
        for place in _PLACES:
            self.directory = f"{place}/{release}"
            if os.path.exists(f"{self.directory}/modules.dep"):
                break
        else:
            raise NoModules(f"the modules of the kernel {release} are not in {_PLACES[0]}")
        self._needs: dict[str, list[str]] = {}
        with open(f"{self.directory}/modules.dep") as lines:
            for line in lines:
                path, _, needs = line.partition(":")
                self._needs[path.rsplit("/", 1)[-1].split(".", 1)[0]] = [path, *needs.split()]

    def load(self, name: str) -> None:
        """Load the module ``name`` (the name of its file) and its dependencies.

        A module that is not in modules.dep is assumed to be built into the kernel. Raises OSError.
        """
        for path in reversed(self._needs.get(name, ())):
            linux.load_module(f"{self.directory}/{path}")
