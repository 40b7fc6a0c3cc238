"""What the device mapper does, as one suite: it runs on the fake and, in the lab, on the real kernel.

Each test states a fact of the kernel's. Where the two differ, the fake is wrong. A subclass gives
the fixture ``rig``. One module a subject.
"""

from __future__ import annotations

from tests.support.dm_conformance.changing import ChangingConformance
from tests.support.dm_conformance.headers import HeaderConformance
from tests.support.dm_conformance.naming import NamingConformance
from tests.support.dm_conformance.rig import MIB, Rig, line, refused, stack, started, words, zeros
from tests.support.dm_conformance.running import RunningConformance
from tests.support.dm_conformance.tables import TableConformance
from tests.support.dm_conformance.telling import TellingConformance

__all__ = ["MIB", "DmConformance", "Rig", "line", "refused", "stack", "started", "words", "zeros"]


class DmConformance(
    NamingConformance,
    TableConformance,
    RunningConformance,
    ChangingConformance,
    TellingConformance,
    HeaderConformance,
):
    """The suite."""
