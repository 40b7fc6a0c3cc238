"""Device nodes in memory, for tests and dry runs."""

from __future__ import annotations

from vmgr.dm.nodes import Nodes


class FakeNodes(Nodes):
    """Nodes and links in memory: ``nodes`` maps a name to (major, minor), ``links`` (group, volume) to a name."""

    def __init__(self) -> None:
        super().__init__("/dev")
        self.nodes: dict[str, tuple[int, int]] = {}
        self.links: dict[tuple[str, str], str] = {}

    def prepare(self) -> None:
        """Nothing to look up."""

    def right(self, name: str, major: int, minor: int) -> bool:
        """Whether the node has these numbers."""
        return self.nodes.get(name) == (major, minor)

    def add(self, name: str, major: int, minor: int) -> bool:
        """Make the node."""
        changed = not self.right(name, major, minor)
        self.nodes[name] = (major, minor)
        return changed

    def has(self, name: str) -> bool:
        """Whether there is a node."""
        return name in self.nodes

    def move(self, old: str, new: str, major: int, minor: int) -> bool:
        """Give a node another name."""
        if not self.right(old, major, minor) or self.right(new, major, minor):
            return False
        self.nodes[new] = self.nodes.pop(old)
        return True

    def remove(self, name: str) -> bool:
        """Remove the node."""
        return self.nodes.pop(name, None) is not None

    def link_right(self, group: str, volume: str, major: int, minor: int) -> bool:
        """Whether the link leads to a node with these numbers."""
        name = self.links.get((group, volume))
        return name is not None and self.right(name, major, minor)

    def link(self, group: str, volume: str, name: str) -> bool:
        """Make the link."""
        changed = self.links.get((group, volume)) != name
        self.links[group, volume] = name
        return changed

    def unlink(self, group: str, volume: str, name: str, major: int, minor: int) -> bool:
        """Remove the link."""
        if self.links.get((group, volume)) != name:
            return False
        del self.links[group, volume]
        return True
