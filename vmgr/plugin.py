"""All that a target plugin needs of vmgr, by one import: ``from vmgr.plugin import TargetInfo, hookimpl``.

``vmgr-plugins(7)`` teaches the contract. Each name is loaded from its module when it is first asked for, so that a
plugin whose volumes are only listed does not load what it takes to make them: best import those names inside of the
hooks that use them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.core.amounts import Percent as Percent
    from vmgr.core.amounts import SizeSpec as SizeSpec
    from vmgr.core.context import Context as Context
    from vmgr.core.errors import DamagedMetadata as DamagedMetadata
    from vmgr.core.errors import InUse as InUse
    from vmgr.core.errors import InvalidSize as InvalidSize
    from vmgr.core.errors import NoSpace as NoSpace
    from vmgr.core.errors import NotFound as NotFound
    from vmgr.core.errors import Refused as Refused
    from vmgr.core.errors import UsageError as UsageError
    from vmgr.core.errors import VmgrError as VmgrError
    from vmgr.core.exchange import Built as Built
    from vmgr.core.exchange import MappedRange as MappedRange
    from vmgr.core.exchange import Need as Need
    from vmgr.core.exchange import Placed as Placed
    from vmgr.core.exchange import Run as Run
    from vmgr.core.exchange import SpaceNeeds as SpaceNeeds
    from vmgr.core.exchange import TargetMessage as TargetMessage
    from vmgr.core.exchange import Violation as Violation
    from vmgr.core.exchange import ZeroRange as ZeroRange
    from vmgr.core.hooks import API_VERSION as API_VERSION
    from vmgr.core.hooks import NOTHING_LIVE as NOTHING_LIVE
    from vmgr.core.hooks import PLAIN_ROLE as PLAIN_ROLE
    from vmgr.core.hooks import Claim as Claim
    from vmgr.core.hooks import ColumnSpec as ColumnSpec
    from vmgr.core.hooks import KernelTarget as KernelTarget
    from vmgr.core.hooks import OptionSpec as OptionSpec
    from vmgr.core.hooks import Pending as Pending
    from vmgr.core.hooks import SettingSpec as SettingSpec
    from vmgr.core.hooks import Status as Status
    from vmgr.core.hooks import StatusOutcome as StatusOutcome
    from vmgr.core.hooks import TargetInfo as TargetInfo
    from vmgr.core.hooks import ToolSpec as ToolSpec
    from vmgr.core.hooks import VolumeFacts as VolumeFacts
    from vmgr.core.hooks import hookimpl as hookimpl
    from vmgr.core.ids import LvName as LvName
    from vmgr.core.ids import Uuid as Uuid
    from vmgr.core.model import LogicalVolume as LogicalVolume
    from vmgr.core.model import LvArea as LvArea
    from vmgr.core.model import PvArea as PvArea
    from vmgr.core.model import Reference as Reference
    from vmgr.core.model import Segment as Segment
    from vmgr.core.model import SegmentBody as SegmentBody
    from vmgr.core.model import VolumeGroup as VolumeGroup
    from vmgr.core.requests import ChangeVolume as ChangeVolume
    from vmgr.core.requests import ConvertVolume as ConvertVolume
    from vmgr.core.requests import CreateVolume as CreateVolume
    from vmgr.core.requests import ExtendVolume as ExtendVolume
    from vmgr.core.requests import FinishVolume as FinishVolume
    from vmgr.core.requests import ReduceVolume as ReduceVolume
    from vmgr.core.requests import RemoveVolumes as RemoveVolumes
    from vmgr.core.requests import RepairVolume as RepairVolume
    from vmgr.core.requests import Stamp as Stamp
    from vmgr.core.requests import option as option
    from vmgr.core.table import DevRef as DevRef
    from vmgr.core.table import DmDevice as DmDevice
    from vmgr.core.table import KernelLine as KernelLine
    from vmgr.core.table import LiveDevice as LiveDevice
    from vmgr.core.table import PvRef as PvRef
    from vmgr.core.table import TargetLine as TargetLine
    from vmgr.core.tabletype import TableType as TableType
    from vmgr.core.units import Bytes as Bytes
    from vmgr.core.units import Extents as Extents
    from vmgr.core.units import Sectors as Sectors

_NAMES = {
    "amounts": (
        "Percent",
        "SizeSpec",
    ),
    "context": ("Context",),
    "errors": (
        "DamagedMetadata",
        "InUse",
        "InvalidSize",
        "NoSpace",
        "NotFound",
        "Refused",
        "UsageError",
        "VmgrError",
    ),
    "exchange": (
        "Built",
        "MappedRange",
        "Need",
        "Placed",
        "Run",
        "SpaceNeeds",
        "TargetMessage",
        "Violation",
        "ZeroRange",
    ),
    "hooks": (
        "API_VERSION",
        "NOTHING_LIVE",
        "PLAIN_ROLE",
        "Claim",
        "ColumnSpec",
        "KernelTarget",
        "OptionSpec",
        "Pending",
        "SettingSpec",
        "Status",
        "StatusOutcome",
        "TargetInfo",
        "ToolSpec",
        "VolumeFacts",
        "hookimpl",
    ),
    "ids": (
        "LvName",
        "Uuid",
    ),
    "model": (
        "LogicalVolume",
        "LvArea",
        "PvArea",
        "Reference",
        "Segment",
        "SegmentBody",
        "VolumeGroup",
    ),
    "requests": (
        "ChangeVolume",
        "ConvertVolume",
        "CreateVolume",
        "ExtendVolume",
        "FinishVolume",
        "ReduceVolume",
        "RemoveVolumes",
        "RepairVolume",
        "Stamp",
        "option",
    ),
    "table": (
        "DevRef",
        "DmDevice",
        "KernelLine",
        "LiveDevice",
        "PvRef",
        "TargetLine",
    ),
    "tabletype": ("TableType",),
    "units": (
        "Bytes",
        "Extents",
        "Sectors",
    ),
}
"""By module of :mod:`vmgr.core`: what a plugin may use of it."""

_PLACES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """A name of the contract, from its module."""
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"vmgr.core.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names of the contract."""
    return sorted(_PLACES)
