"""Information about a kernel module without loading it: its file, its parameters, whether it is built in.

Reads the tree below ``/lib/modules/RELEASE`` (``modules.dep``, ``modules.builtin``, ``modules.builtin.modinfo``)
and the section ``.modinfo`` of a module's file, as modinfo(8) does. In names of modules, ``-`` and ``_`` are
the same.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_COMPRESSED = re.compile(r"\.ko(\.(gz|xz|zst))?$")


class Parameter(NamedTuple):
    """One parameter that a module takes."""

    name: str
    kind: str
    """The kernel's word for its type: ``uint``, ``bool``, ...; empty if not known."""
    text: str
    """What it is for, in the words of the module's author."""


def canonical(name: str) -> str:
    """A module's name as the kernel shows it."""
    return name.replace("-", "_")


def module_file(tree: str, name: str) -> str:
    """The path of the module's file, as ``modules.dep`` has it; empty when there is none."""
    for line in _lines(os.path.join(tree, "modules.dep")):
        path = line.partition(":")[0]
        if _name_of(path) == canonical(name):
            return os.path.join(tree, path)
    return ""


def is_built_in(tree: str, name: str) -> bool:
    """Whether ``modules.builtin`` lists the module."""
    return any(_name_of(line) == canonical(name) for line in _lines(os.path.join(tree, "modules.builtin")))


def parameters(tree: str, name: str) -> tuple[Parameter, ...]:
    """The parameters that the module takes, by name; none if they cannot be read."""
    entries: list[str] = []
    path = module_file(tree, name)
    if path:
        entries = _entries(_section(_read_module(path)))
    else:
        prefix = f"{canonical(name)}."
        text = _read(os.path.join(tree, "modules.builtin.modinfo"))
        entries = [entry[len(prefix) :] for entry in _entries(text) if entry.startswith(prefix)]
    texts: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for entry in entries:
        key, _, value = entry.partition("=")
        word, _, rest = value.partition(":")
        if key == "parm":
            texts[word] = rest
        elif key == "parmtype":
            kinds[word] = rest
    return tuple(Parameter(word, kinds.get(word, ""), texts.get(word, "")) for word in sorted({*texts, *kinds}))


def _name_of(path: str) -> str:
    return canonical(_COMPRESSED.sub("", path.strip().rsplit("/", 1)[-1]))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def _lines(path: str) -> list[str]:
    return _read(path).decode("utf-8", "replace").splitlines()


def _entries(data: bytes) -> list[str]:
    return [entry.decode("utf-8", "replace") for entry in data.split(b"\0") if entry]


def _read_module(path: str) -> bytes:
    """The module's file, unpacked; empty when it cannot be read."""
    data = _read(path)
    if path.endswith(".gz"):
        import gzip
        import zlib

        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return b""
    if path.endswith(".xz"):
        import lzma

        try:
            return lzma.decompress(data)
        except lzma.LZMAError:
            return b""
    if path.endswith(".zst"):
        import subprocess

        from vmgr.dm.programs import environment, find_program

        zstd = find_program("zstd")
        if zstd is None:
            return b""
        try:
            done = subprocess.run(
                [zstd, "-dcq"], input=data, capture_output=True, timeout=30, env=environment(), check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return b""
        return done.stdout if done.returncode == 0 else b""
    return data


def _section(elf: bytes, wanted: bytes = b".modinfo") -> bytes:
    """The contents of a section of an ELF file; empty when there is none, or no ELF file. Source: elf(5)."""
    import struct

    if elf[:4] != b"\x7fELF" or len(elf) < 64:
        return b""
    wide, order = elf[4] == 2, "<" if elf[5] == 1 else ">"
    try:
        if wide:
            (offset,) = struct.unpack_from(order + "Q", elf, 0x28)
            size, count, names = struct.unpack_from(order + "3H", elf, 0x3A)
        else:
            (offset,) = struct.unpack_from(order + "I", elf, 0x20)
            size, count, names = struct.unpack_from(order + "3H", elf, 0x2E)

        def header(index: int) -> tuple[int, int, int]:
            """Name (an offset), offset and size of the section ``index``."""
            at = offset + index * size
            (name,) = struct.unpack_from(order + "I", elf, at)
            place, length = struct.unpack_from(order + ("2Q" if wide else "2I"), elf, at + (0x18 if wide else 0x10))
            return name, place, length

        _, names_at, names_size = header(names)
        table = elf[names_at : names_at + names_size]
        for index in range(count):
            name, place, length = header(index)
            if table[name : table.find(b"\0", name)] == wanted:
                return elf[place : place + length]
    except struct.error:
        pass  # the file is truncated
    return b""
