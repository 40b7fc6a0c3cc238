"""What plugins may know of this machine when they change something: looked up when they ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from vmgr.core.context import Machine
from vmgr.dm.programs import find_program
from vmgr.system.rules import plugin_settings

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup
    from vmgr.session.survey import Survey

Found = TypeVar("Found")


def machine_for(session: Survey, group: VolumeGroup) -> Machine:
    """What is known beside the live devices, for a change of ``group``."""
    return Machine(
        settings=plugin_settings(session.config, session.targets.settings()),
        missing=frozenset(pv.id for pv in group.pvs if pv.missing or not pv.device),
        versions=_Versions(session),
        tools=_Tools(session),
    )


class _Asked(Mapping[str, Found]):
    """A mapping that is made when it is first asked."""

    def __init__(self, session: Survey) -> None:
        self._session = session

    @cached_property
    def _found(self) -> Mapping[str, Found]:
        return self._look()

    def _look(self) -> Mapping[str, Found]:
        raise NotImplementedError

    def __getitem__(self, key: str) -> Found:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _Versions(_Asked[tuple[int, int, int]]):
    """The versions of the kernel's targets that plugins use, by name; their modules are loaded for that."""

    def _look(self) -> Mapping[str, tuple[int, int, int]]:
        client = self._session.client()
        if client is None:
            return {}
        names = {target.name for info in self._session.targets.infos() for target in info.kernel_targets}
        found = {name: client.target_version(name) for name in sorted(names)}
        return {name: version for name, version in found.items() if version is not None}


class _Tools(_Asked[str]):
    """The paths of the programs that plugins declared and that are installed, by name."""

    def _look(self) -> Mapping[str, str]:
        found = {}
        for spec in self._session.targets.tools():
            said = self._session.config.raw(spec.setting) if spec.setting else None
            path = said if isinstance(said, str) and said.startswith("/") else find_program(spec.name)
            if path:
                found[spec.name] = path
        return found
