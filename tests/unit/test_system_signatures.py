"""Signatures: found by libblkid and by the small table; wiping takes away those bytes and no others."""

from __future__ import annotations

import shutil
import subprocess
from zlib import crc32

import pytest

from vmgr.core.errors import NotFound
from vmgr.system import signatures
from vmgr.system.signatures import Signature, find_signatures, wipe_signature

SIZE = 8 << 20


def put(path, *parts: tuple[int, bytes]) -> str:
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
    return str(path)


SWAP = (4086, b"SWAPSPACE2"), (1024, (1).to_bytes(4, "little") + (1000).to_bytes(4, "little"))


@pytest.fixture(params=["library", "table"])
def use_library(request):
    if request.param == "library" and signatures._load() is None:
        pytest.skip("needs libblkid.so.1")
    return request.param == "library"


def test_an_empty_device_has_none(tmp_path, use_library):
    """Zeros are nothing."""
    assert list(find_signatures(put(tmp_path / "d"), use_library=use_library)) == []


def test_swap_is_found_and_wiped(tmp_path, use_library):
    """At its offset; after wiping, those ten bytes are zero and no other byte has changed."""
    path = put(tmp_path / "d", *SWAP)
    before = (tmp_path / "d").read_bytes()
    (found,) = find_signatures(path, use_library=use_library)
    assert (found.type, found.offset, found.length) == ("swap", 4086, 10)
    wipe_signature(path, found)
    assert list(find_signatures(path, use_library=use_library)) == []
    after = (tmp_path / "d").read_bytes()
    assert [n for n in range(SIZE) if before[n] != after[n]] == list(range(4086, 4096))


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="needs e2fsprogs")
def test_a_real_file_system_is_found(tmp_path, use_library):
    """ext4, at offset 1080, as LVM2's question names it."""
    path = put(tmp_path / "d")
    subprocess.run(["mkfs.ext4", "-qF", "-L", "data", path], check=True)
    (found,) = find_signatures(path, use_library=use_library)
    assert (found.type, found.offset, found.usage) == ("ext4", 1080, "filesystem")
    if use_library:
        assert found.label == "data"


def gpt() -> tuple[tuple[int, bytes], ...]:
    """A GUID partition table with its copy at the end and the table that protects it."""
    last = SIZE // 512 - 1
    entries = bytes(128 * 128)

    def header(at: int, other: int, table: int) -> bytes:
        def fields(crc: int) -> bytes:
            return (
                b"EFI PART" + b"\0\0\1\0" + (92).to_bytes(4, "little") + crc.to_bytes(4, "little") + bytes(4)
                + b"".join(n.to_bytes(8, "little") for n in (at, other, 34, last - 33)) + b"G" * 16
                + table.to_bytes(8, "little") + (128).to_bytes(4, "little") * 2
                + crc32(entries).to_bytes(4, "little")
            )  # fmt: skip

        return fields(crc32(fields(0)))

    guard = b"\0\0\2\0\xee\xff\xff\xff" + (1).to_bytes(4, "little") + last.to_bytes(4, "little")
    return (446, guard), (510, b"\x55\xaa"), (512, header(1, last, 2)), (last * 512, header(last, 1, last - 32))


def test_wiping_goes_on_behind_what_was_wiped(tmp_path):
    """A partition table has a copy at the end and a guard at the start: all are found, one after the other."""
    if signatures._load() is None:
        pytest.skip("needs libblkid.so.1")
    path = put(tmp_path / "d", *gpt())
    found = []
    for signature in find_signatures(path):
        found.append((signature.type, int(signature.offset)))
        wipe_signature(path, signature)
    assert found == [("gpt", 512), ("gpt", SIZE - 512), ("PMBR", 510)]
    assert list(find_signatures(path)) == []


def test_what_is_not_wiped_is_found_once(tmp_path):
    """Looking changes nothing, and does not go round in circles."""
    if signatures._load() is None:
        pytest.skip("needs libblkid.so.1")
    path = put(tmp_path / "d", *gpt(), *SWAP)
    before = (tmp_path / "d").read_bytes()
    kinds = [signature.type for signature in find_signatures(path)]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) >= {"swap", "gpt"}
    assert (tmp_path / "d").read_bytes() == before


def test_types_can_be_ignored(tmp_path, use_library):
    """Labels of physical volumes are somebody else's business."""
    path = put(tmp_path / "d", *SWAP)
    assert list(find_signatures(path, ignore=("swap",), use_library=use_library)) == []


def test_a_missing_device(tmp_path, use_library):
    """An error, not an empty answer."""
    with pytest.raises(NotFound):
        list(find_signatures(str(tmp_path / "none"), use_library=use_library))


def test_without_the_library_the_table_stands_in(tmp_path, monkeypatch):
    """A system without libblkid still asks before it destroys."""
    monkeypatch.setattr(signatures, "_LIBRARY", "libnonesuch.so.9")
    (found,) = find_signatures(put(tmp_path / "d", *SWAP))
    assert isinstance(found, Signature)
    assert found.type == "swap"
