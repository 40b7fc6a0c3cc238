"""Names and UUIDs: what is refused, and mangling as libdevmapper 1.02.185 does it (checked against its source)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import InvalidName
from vmgr.dm.names import Mangling, check_name, check_uuid, default_mangling, mangle, unmangle

TEXTS = st.binary(min_size=1, max_size=30).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
PLAIN = st.text("abcXYZ019#+-.:=@_", min_size=1, max_size=30)


@pytest.mark.parametrize(
    "name", ["a", "n" * 127, "with blank", "vg-lv", "é" * 63, "...", "a\\x20b", "controls", "-"]
)
def test_what_may_be_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "/", "n" * 128, "é" * 64, "a\0b", ".", "..", "control"])
def test_what_may_not_be_a_name(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)


def test_a_uuid_may_be_anything_of_128_bytes() -> None:
    for uuid in ("u", "u" * 128, "a/b", "CRYPT-é", "."):
        check_uuid(uuid)
    for uuid in ("", "u" * 129, "é" * 65, "a\0"):
        with pytest.raises(InvalidName):
            check_uuid(uuid)


@pytest.mark.parametrize(
    ("text", "auto", "hexed"),
    [
        ("plain#+-.:=@_09azAZ", "plain#+-.:=@_09azAZ", "plain#+-.:=@_09azAZ"),
        ("with blank", r"with\x20blank", r"with\x20blank"),
        ("é", r"\xc3\xa9", r"\xc3\xa9"),
        ("a\\b", r"a\x5cb", r"a\x5cb"),
        (r"with\x20blank", r"with\x20blank", r"with\x5cx20blank"),
        (r"\xzz", r"\xzz", r"\x5cxzz"),
        ("\udcff", r"\xff", r"\xff"),
        ("a,~(b", r"a\x2c\x7e\x28b", r"a\x2c\x7e\x28b"),
    ],
)
def test_mangling(text: str, auto: str, hexed: str) -> None:
    """``auto`` leaves what looks mangled; ``hex`` mangles its backslash again."""
    assert mangle(text, "none") == text
    assert mangle(text, "auto") == mangle(text, Mangling.AUTO) == auto
    assert mangle(text, "hex") == hexed


@pytest.mark.parametrize("text", [r"a\x20 b", r" \x20", r"a\x2", "\\x", r"\x5cx20", "é\\x20", r"a\x20\y"])
def test_auto_refuses_what_is_half_mangled_or_mangled_twice(text: str) -> None:
    with pytest.raises(InvalidName):
        mangle(text, "auto")
    assert mangle(text, "none") == text
    assert unmangle(mangle(text, "hex")) == text


@pytest.mark.parametrize("mode", ["auto", "hex"])
def test_the_mangled_form_must_fit(mode: str) -> None:
    """A name has 127 bytes, a UUID 128."""
    assert len(mangle(" " * 31 + "abc", mode)) == 127
    with pytest.raises(InvalidName, match="longer than 127"):
        mangle(" " * 32, mode)
    with pytest.raises(InvalidName, match=r"longer than 127 bytes$"):  # it has nothing to write as \\xNN
        mangle("a" * 128, mode)
    assert len(mangle(" " * 32, mode, limit=128)) == 128


@pytest.mark.parametrize(
    ("kernel", "shown"),
    [("plain", "plain"), (r"with\x20blank", "with blank"), (r"\xc3\xa9", "é"), (r"\xff", "\udcff"),
     (r"\x5cx20", r"\x20"), (r"\xzz", r"\xzz"), ("\\", "\\"), (r"a\x2", r"a\x2"), (r"\x00", r"\x00")],
)  # fmt: skip
def test_unmangling(kernel: str, shown: str) -> None:
    assert unmangle(kernel) == unmangle(kernel, "auto") == unmangle(kernel, "hex") == shown


def test_only_mode_none_takes_a_kernel_s_name_that_is_not_mangled() -> None:
    assert unmangle("with blank") == "with blank"
    for mode in ("auto", "hex"):
        with pytest.raises(InvalidName, match="should be mangled"):
            unmangle("with blank", mode)


@given(text=TEXTS)
def test_hex_survives(text: str) -> None:
    assert unmangle(mangle(text, "hex"), "hex") == text


@given(text=TEXTS)
def test_auto_is_stable(text: str) -> None:
    """What ``auto`` gave it takes again, unchanged, unless that would be mangled twice."""
    try:
        once = mangle(text, "auto")
    except InvalidName:
        return
    if "\\x5cx" not in once:
        assert mangle(once, "auto") == once


@given(text=PLAIN)
def test_plain_names_are_left_alone(text: str) -> None:
    for mode in Mangling:
        assert mangle(text, mode) == unmangle(text, mode) == text


@pytest.mark.parametrize(
    ("value", "mode"),
    [("none", "none"), ("AUTO", "auto"), ("Hex", "hex"), ("", "auto"), ("nonsense", "auto"), (None, "auto")],
)
def test_the_mode_comes_from_the_environment(value: str | None, mode: str) -> None:
    environ = {} if value is None else {"DM_DEFAULT_NAME_MANGLING_MODE": value}
    assert default_mangling(environ) is Mangling(mode)
