"""What the lines of origins, snapshots and merges say (``drivers/md/dm-snap.c``)."""

from __future__ import annotations

from typing import ClassVar, Self

from attrs import frozen

from vmgr.core.errors import InvalidTable
from vmgr.core.tabletype import TableType, parse_number, split_params
from vmgr.core.units import Sectors

STORES = ("P", "PO", "N")
"""Kinds of exception store: persistent, persistent and able to say that it is full, gone with the device."""

FEATURES = ("discard_zeroes_cow", "discard_passdown_origin")
"""Optional features (since version 1.16)."""


@frozen(repr=False)
class OriginTable(TableType):
    """``snapshot-origin DEVICE``: what is written to it is first saved in its snapshots."""

    target: ClassVar[str] = "snapshot-origin"

    device: str

    @classmethod
    def parse(cls, params: str) -> Self:
        """Exactly a device."""
        (device,) = split_params(params, 1, 1, "DEVICE")
        return cls(device)

    def params(self) -> str:
        """The parameters as the kernel prints them."""
        return self.device

    @property
    def devices(self) -> tuple[str, ...]:
        """The origin's own device."""
        return (self.device,)


@frozen(repr=False)
class SnapshotTable(TableType):
    """``snapshot ORIGIN STORE KIND CHUNK [N FEATURE...]``: ``origin`` as it was, with what changed in ``store``.

    ``kind`` is one of :data:`STORES`. ``chunk`` in sectors is a power of 2; for a persistent store 0 leaves it to
    the kernel, which prints what it chose. ``features`` are of :data:`FEATURES`.
    """

    target: ClassVar[str] = "snapshot"

    origin: str
    store: str
    kind: str
    chunk: Sectors
    features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, params: str) -> Self:
        """Four words and, behind their number, the features."""
        words = split_params(params, 4, None, "ORIGIN STORE P|PO|N CHUNK [N FEATURE...]")
        origin, store, kind, size, *rest = words
        if kind not in STORES:
            raise InvalidTable(f"the kind of store {kind!r} is none of {', '.join(STORES)}")
        chunk = parse_number(size, "the chunk size", bits=31)
        if chunk & (chunk - 1):
            raise InvalidTable(f"the chunk size {chunk} is not a power of 2")
        if not chunk and kind == "N":
            raise InvalidTable("a store that is not persistent needs a chunk size")
        features = rest[1:]
        if rest and parse_number(rest[0], "the number of features") != len(features):
            raise InvalidTable(f"{params!r} announces {rest[0]} features and has {len(features)}")
        for feature in features:
            if feature not in FEATURES:
                raise InvalidTable(f"the feature {feature!r} is none of {', '.join(FEATURES)}")
        return cls(origin, store, kind, Sectors(chunk), tuple(features))

    def params(self) -> str:
        """The parameters as the kernel prints them."""
        words = [self.origin, self.store, self.kind, str(self.chunk)]
        if self.features:
            words += [str(len(self.features)), *self.features]
        return " ".join(words)

    @property
    def devices(self) -> tuple[str, ...]:
        """The origin's own device and the store."""
        return (self.origin, self.store)


@frozen(repr=False)
class MergeTable(SnapshotTable):
    """``snapshot-merge ORIGIN STORE KIND CHUNK``: an origin into which a snapshot goes back."""

    target: ClassVar[str] = "snapshot-merge"
