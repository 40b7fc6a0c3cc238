"""Looking, on this machine, for what a command that did not end has left of a group: devices, nodes and links.

What it means and what puts it in order is decided in :mod:`vmgr.core.healing`.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from vmgr.core.healing import Remains, find_remains, may_have_remains
from vmgr.core.naming import UUID_PREFIX, split_dm_name
from vmgr.dm.address import by_uuid
from vmgr.dm.failure import NodeError
from vmgr.system.stale_nodes import empty_folders, half_made, not_shown, old_links, stale, without_node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.dm.client import DmClient
    from vmgr.system.stale_nodes import Link


class Healer:
    """A look at one group's devices, whose lock is held. ``tell`` is given a sentence for all that is done.

    ``kept`` says whether the backup of a group of some name is of this group; with True, whether its last archive
    is. A rename takes the backup under the old name away; its links may come after that.
    """

    def __init__(
        self,
        group: VolumeGroup,
        client: DmClient,
        dev_dir: str,
        tell: Callable[[str], None],
        kept: Callable[[str, bool], bool],
    ) -> None:
        self._group = group
        self._kept = kept
        self._client = client
        self._dev_dir = dev_dir
        self._tell = tell
        self._prefix = f"{UUID_PREFIX}{group.id}"
        self._live = client.devices(prefix=self._prefix)

    def repair_nodes(self) -> None:
        """Make the nodes and links of the group's devices agree with the kernel; what fails is told, and no more.

        A node that cannot be made (``/dev`` is read-only, or somebody else's) is no reason not to make a change.
        """
        missing = without_node(self._dev_dir, self._live)
        nodes, links = stale(self._dev_dir, self._group.name, self._live)
        # LVM2 makes the links under the new name and knows nothing of the old ones: a volume may have both.
        links += old_links(self._dev_dir, self._group.name, self._volumes())
        nodes = [name for name in nodes if self._client.info(name=name) is None]
        links = [
            link
            for link in links
            if link[2] in nodes or half_made(link[1]) or self._client.info(name=link[2]) is None
        ]
        if missing or nodes or links:
            self._mend(missing, nodes, links)
        for name in empty_folders(self._dev_dir):
            # Who killed a command between its last link and the directory left it; of no use to anybody.
            ours = not self._live if name == self._group.name else self._was_ours(name)
            if ours:
                with contextlib.suppress(OSError):
                    os.rmdir(f"{self._dev_dir}/{name}")
                    self._tell(f"{self._dev_dir}/{name} was left empty, and is removed")

    def _mend(self, missing: list[str], nodes: list[str], links: list[Link]) -> None:
        try:
            self._client.repair_nodes((*missing, *nodes), links=links)
        except NodeError as error:
            self._tell(f"{error.message}; `vmgr vgmknodes` tries again")
            return
        paths = [f"{self._dev_dir}/mapper/{name}" for name in nodes]
        paths += [f"{self._dev_dir}/{vg}/{lv}" for vg, lv, _ in links]
        for path in paths:
            if not os.path.lexists(path):
                self._tell(f"{path} led to no device any more, and is removed")
        for name in missing:
            self._tell(f"the node of {name} was missing, and is made")

    def _volumes(self) -> set[str]:
        return {lv.name for lv in self._group.lvs if lv.visible}

    def was_called(self, vg: str) -> bool:
        """Whether something of the group still has ``vg`` for the group's name: a device, a node, or its backup.

        Or a link is still to be moved, and the last archive of ``vg`` is of this group. A link that leads nowhere,
        alone, may be of any group that had a volume of that name.
        """
        nodes, _ = stale(self._dev_dir, self._group.name, self._live)
        names = (*nodes, *(device.name for device in self._live))
        if any(split_dm_name(name)[0] == vg for name in names) or self._kept(vg, False):
            return True
        links = old_links(self._dev_dir, self._group.name, self._volumes())
        unfinished = (
            any(link[0] == vg for link in links)
            or vg in empty_folders(self._dev_dir)
            or bool(not_shown(self._dev_dir, self._group, self._live))
        )
        return unfinished and self._was_ours(vg)

    def _was_ours(self, vg: str) -> bool:
        return self._kept(vg, False) or self._kept(vg, True)

    def find(
        self,
        targets: Targets,
        numbers: Mapping[Uuid, str],
        rules: Callable[[Mapping[str, LiveDevice]], DeviceRules],
    ) -> Remains:
        """What of the devices is to be put in order; ``numbers`` are the physical volumes' ``major:minor``."""
        hidden = not_shown(self._dev_dir, self._group, self._live)
        if not may_have_remains(self._group, self._live, hidden):
            return Remains()
        live = {d.uuid: d for d in self._client.devices(prefix=self._prefix, tables=True)}
        waiting = {
            uuid: self._client.table(by_uuid(uuid), inactive=True) for uuid, d in live.items() if d.has_inactive
        }
        return find_remains(self._group, live, waiting, targets, numbers, hidden, rules(live))
