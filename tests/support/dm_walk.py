"""Random walks through the device mapper's commands, the same ones for two kernels.

Requests name disks and devices by place, not by number, so that a walk means the same on a machine whose
disks have other numbers. What comes back is told in the same words: errno, or the whole reply.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi, wire
from vmgr.dm.failure import DmError
from vmgr.dm.kernel import Kernel
from vmgr.dm.wire import Reply, Request

NAMES = ("a", "b", "c")
UUIDS = ("UUID-a", "UUID-b", "UUID-c")
DISK = 4096
"""Sectors of each disk."""

Make = Callable[[Sequence[int], int], Request]
"""A request, made from the disks' numbers (``abi.dev_number``) and the devices' major number."""


def walk(seed: int, steps: int) -> Iterator[tuple[str, Make]]:
    """``steps`` commands with a few words for each."""
    chance = random.Random(seed)
    for _ in range(steps):
        yield _command(chance)


def _words(dev: int) -> str:
    major, minor = abi.major_minor(dev)
    return f"{major}:{minor}"


def _command(chance: random.Random) -> tuple[str, Make]:
    way = _way(chance)
    flag = chance.random
    kinds: list[tuple[int, Callable[[], tuple[str, Make]]]] = [
        (9, lambda: _create(chance)),
        (9, lambda: _load(chance, way)),
        (6, lambda: _plain(abi.DEV_SUSPEND, way, abi.SKIP_LOCKFS if flag() < 0.2 else 0)),
        (3, lambda: _plain(abi.DEV_SUSPEND, way, abi.SUSPEND | (abi.NOFLUSH if flag() < 0.3 else 0))),
        (2, lambda: _plain(abi.TABLE_CLEAR, way)),
        (2, lambda: _plain(abi.DEV_REMOVE, way, abi.DEFERRED_REMOVE if flag() < 0.3 else 0)),
        (2, lambda: _rename(chance, way)),
        (2, lambda: _plain(abi.DEV_STATUS, way, abi.QUERY_INACTIVE_TABLE if flag() < 0.3 else 0)),
        (3, lambda: _plain(abi.TABLE_STATUS, way, _query(chance))),
        (1, lambda: _plain(abi.TABLE_DEPS, way, abi.QUERY_INACTIVE_TABLE if flag() < 0.3 else 0)),
        (1, lambda: _list(chance)),
        (1, lambda: _message(chance, way)),
        (1, lambda: _geometry(chance, way)),
    ]
    (kind,) = chance.choices([make for _, make in kinds], [weight for weight, _ in kinds])
    return kind()


def _way(chance: random.Random) -> tuple[str, dict[str, object]]:
    """How a device is named; by number only one that a walk asks for itself."""
    pick = chance.random()
    if pick < 0.6:
        name = chance.choice(NAMES)
        return name, {"name": name}
    if pick < 0.8:
        uuid = chance.choice(UUIDS)
        return uuid, {"uuid": uuid}
    minor = chance.randrange(len(NAMES))
    return f"minor {minor}", {"dev": minor}


def _fields(way: dict[str, object], major: int) -> dict[str, object]:
    minor = way.get("dev")
    return way if minor is None else {"dev": abi.dev_number(major, minor)}  # type: ignore[arg-type]


def _plain(command: abi.Command, way: tuple[str, dict[str, object]], flags: int = 0) -> tuple[str, Make]:
    text, fields = way
    said = f"{command.name} {text} {' '.join(abi.flag_names(flags))}"
    return said, lambda _, major: Request(command, flags=flags, **_fields(fields, major))  # type: ignore[arg-type]


def _create(chance: random.Random) -> tuple[str, Make]:
    name = chance.choice((*NAMES, *NAMES, *NAMES, "x/y", ""))
    uuid = chance.choice((*UUIDS, "", ""))
    minor = chance.randrange(len(NAMES)) if chance.random() < 0.5 else None
    if minor is None:
        return f"create {name!r} {uuid}", lambda _, __: Request(abi.DEV_CREATE, name, uuid)
    dev = abi.dev_number(7, minor)
    return f"create {name!r} {uuid} minor {minor}", lambda _, __: Request(
        abi.DEV_CREATE, name, uuid, dev, abi.PERSISTENT_DEV
    )


def _load(chance: random.Random, way: tuple[str, dict[str, object]]) -> tuple[str, Make]:
    text, fields = way
    shape = [_line(chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    flags = abi.READONLY if chance.random() < 0.2 else 0

    def make(disks: Sequence[int], major: int) -> Request:
        lines, start = [], 0
        for length, target, words in shape:
            lines.append(KernelLine(Sectors(start), Sectors(length), target, words(disks, major)))
            start += length
        data = wire.pack_table(lines)
        where = _fields(fields, major)
        return Request(abi.TABLE_LOAD, flags=flags, target_count=len(lines), data=data, **where)  # type: ignore[arg-type]

    return f"load {text} {[(length, target) for length, target, _ in shape]} {flags}", make


Shape = tuple[int, str, Callable[[Sequence[int], int], str]]


def _line(chance: random.Random) -> Shape:
    length = chance.choice((8, 256, 256, 1024, DISK, DISK + 8))
    start = chance.choice((0, 0, 0, 8, 512, DISK - 8))
    place, other = (chance.choice((0, 0, 1, 1, 2, 3, 4)) for _ in range(2))

    def used(which: int, disks: Sequence[int], major: int) -> str:
        """Two disks, and three devices by number."""
        return _words(disks[which] if which < 2 else abi.dev_number(major, which - 2))

    kinds: list[Shape] = [
        (length, "zero", lambda _, __: ""),
        (length, "error", lambda _, __: ""),
        (length, "linear", lambda disks, major: f"{used(place, disks, major)} {start}"),
        (length, "linear", lambda disks, major: f"{used(place, disks, major)} {start}"),
        (
            length,
            "striped",
            lambda disks, major: f"2 128 {used(place, disks, major)} {start} {used(other, disks, major)} 0",
        ),
        (length, "nonsense", lambda _, __: ""),
    ]
    return chance.choice(kinds)


def _rename(chance: random.Random, way: tuple[str, dict[str, object]]) -> tuple[str, Make]:
    name = chance.choice(NAMES)
    if chance.random() < 0.5:
        new = chance.choice(UUIDS)
        return f"setuuid {name} {new}", lambda _, __: Request(
            abi.DEV_RENAME, name, flags=abi.UUID, data=wire.pack_text(new)
        )
    new = chance.choice((*NAMES, "x/y", ""))
    return f"rename {name} {new!r}", lambda _, __: Request(abi.DEV_RENAME, name, data=wire.pack_text(new))


def _query(chance: random.Random) -> int:
    flags = chance.choice((0, abi.STATUS_TABLE, abi.IMA_MEASUREMENT))
    return flags | (abi.QUERY_INACTIVE_TABLE if chance.random() < 0.3 else 0)


def _list(chance: random.Random) -> tuple[str, Make]:
    name, uuid = chance.choice(("", "", "a")), chance.choice(("", "", "UUID-"))
    return f"list {name!r} {uuid!r}", lambda _, __: Request(abi.LIST_DEVICES, name, uuid, flags=abi.UUID)


def _message(chance: random.Random, way: tuple[str, dict[str, object]]) -> tuple[str, Make]:
    text, fields = way
    words = chance.choice(("hello", "@cancel_deferred_remove", "@nonsense", ""))
    data = wire.pack_message(chance.choice((0, 8, DISK * 4)), words)
    return f"message {text} {words}", lambda _, major: Request(
        abi.TARGET_MSG,
        data=data,
        **_fields(fields, major),  # type: ignore[arg-type]
    )


def _geometry(chance: random.Random, way: tuple[str, dict[str, object]]) -> tuple[str, Make]:
    text, fields = way
    data = wire.pack_text(chance.choice(("1 1 1 0", "1 1 1 2", "x")))
    return f"geometry {text}", lambda _, major: Request(
        abi.DEV_SET_GEOMETRY,
        data=data,
        **_fields(fields, major),  # type: ignore[arg-type]
    )


def outcome(kernel: Kernel, request: Request, disks: Sequence[int], major: int) -> object:
    """What came of a request, with the disks' numbers told by place."""
    try:
        reply = kernel.call(request)
    except DmError as e:
        return e.errno_name
    return told(reply, request, disks, major)


def told(reply: Reply, request: Request, disks: Sequence[int], major: int) -> object:
    """A reply as values that two machines can agree on."""
    data: object = reply.data
    if request.command is abi.LIST_DEVICES:
        data = [
            entry._replace(dev=entry.dev - abi.dev_number(major, 0))
            for entry in wire.unpack_names(reply.data, reply.version)
        ]
    elif request.command is abi.TABLE_DEPS:
        data = [_place(dev, disks, major) for dev in wire.unpack_deps(reply.data)]
    elif request.command is abi.TABLE_STATUS and reply.data:
        data = [_placed(str(line), disks, major) for line in wire.unpack_status(reply.data, reply.target_count)]
    dev = reply.dev - abi.dev_number(major, 0) if reply.dev else None
    return reply._replace(version=(0, 0, 0), dev=0, data=b""), dev, data


def _place(dev: int, disks: Sequence[int], major: int) -> str:
    if dev in disks:
        return f"disk {disks.index(dev)}"
    found, minor = abi.major_minor(dev)
    return f"device {minor}" if found == major else f"{found}:{minor}"


def _placed(text: str, disks: Sequence[int], major: int) -> str:
    for dev in abi.numbers_in(text.replace("=", " ").replace(",", " ").replace(";", " ")):
        text = text.replace(_words(dev), _place(dev, disks, major))
    # Versions of targets are the kernel's, not the fake's.
    return " ".join(
        ",".join(part for part in word.split(",") if not part.startswith("target_version="))
        for word in text.split()
    )
