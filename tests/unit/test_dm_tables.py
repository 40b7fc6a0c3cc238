"""Tables as text: what dmsetup's two formats may say, what is refused and where, and what is never lost."""

from __future__ import annotations

from contextlib import suppress

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from vmgr.core.errors import EXIT_BAD_COMMAND_LINE, InvalidTable
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import wire
from vmgr.dm.tables import (
    LARGEST_TABLE,
    ConciseDevice,
    check_table,
    format_concise,
    format_table,
    hide_keys,
    parse_concise,
    parse_table,
)


def line(start: int, length: int, target: str, params: str = "") -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


BLANK = " \t\v\f\r"
WORD = st.text(st.characters(blacklist_categories=(), blacklist_characters="\0\n#" + BLANK), min_size=1)
PARAMS = st.lists(WORD, max_size=5).map(" ".join)
TARGET = st.from_regex(r"[a-z][a-z0-9_-]{0,14}", fullmatch=True)
LENGTHS = st.lists(st.tuples(st.integers(1, 1 << 40), TARGET, PARAMS), max_size=5)
NAME = st.text(st.characters(blacklist_categories=(), blacklist_characters="\0"), min_size=1, max_size=20)


@st.composite
def tables(draw: st.DrawFn) -> tuple[KernelLine, ...]:
    """A table without gaps."""
    at, lines = 0, []
    for length, target, params in draw(LENGTHS):
        lines.append(line(at, length, target, params))
        at += length
    return tuple(lines)


DEVICES = st.lists(
    st.builds(
        ConciseDevice,
        NAME,
        st.one_of(st.just(""), NAME),
        st.one_of(st.none(), st.integers(0, (1 << 20) - 1)),
        st.booleans(),
        tables(),
    ),
    max_size=4,
).map(tuple)


# -- a table --------------------------------------------------------------------------------------


def test_a_line_is_start_length_target_and_parameters() -> None:
    assert parse_table("0 8 zero\n8 16 linear 8:0 2048\n") == (
        line(0, 8, "zero"),
        line(8, 16, "linear", "8:0 2048"),
    )


def test_comments_blank_lines_and_leading_blanks_are_skipped() -> None:
    text = "# a comment\n\n   \t\n  0 8 zero  # what follows is one, too\n\t8\v8\fzero\r\n  # 0 8 zero"
    assert parse_table(text) == (line(0, 8, "zero"), line(8, 8, "zero"))


def test_blanks_between_parameters_are_kept_as_they_are() -> None:
    assert parse_table("0 8 thing a  b\t c  ") == (line(0, 8, "thing", "a  b\t c"),)


def test_python_s_own_blanks_are_not_the_kernel_s() -> None:
    """A no-break space or a unit separator is part of a word; a line ends at a newline only."""
    assert parse_table("0 8 thing a\xa0b\x1cc\u2028d") == (line(0, 8, "thing", "a\xa0b\x1cc\u2028d"),)


def test_no_line_at_all_is_no_table() -> None:
    assert parse_table("\n# nothing\n") == ()


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("0 8 zero\nfoo\n", 2, "'foo' has no length"),
        ("\n\n0 8\n", 3, "'0 8' has no target"),
        ("0 -8 zero", 1, "the length '-8' is not a number"),
        ("0x0 8 zero", 1, "the start '0x0' is not a number"),
        ("0 8zero x", 1, "the length '8zero' is not a number"),
        ("0 ٨ zero", 1, "is not a number"),
        ("0 8 abcdefghijklmnop", 1, "longer than 15 bytes"),
        ("0 8 zero\0", 1, "NUL"),
        ("# c\n0 8 zero\n16 8 zero", 3, "leaves a gap after the line before it, which ends at 8"),
        ("0 8 zero\n\n4 8 zero", 3, "overlaps the line before it, which ends at 8"),
        ("8 8 zero", 1, "is not where a table begins"),
        ("8 8 zero\n0 8 zero", 1, "is not where a table begins"),
        ("0 0 zero", 1, "a length of 0 sectors"),
        (f"0 {LARGEST_TABLE + 1} zero", 1, "more than a device can have"),
        ("0 99999999999999999999999 zero", 1, "more than a device can have"),
    ],
)
def test_a_refusal_names_the_line_and_what_is_wrong(text: str, number: int, said: str) -> None:
    with pytest.raises(InvalidTable, match=f"^line {number} of table.txt: ") as caught:
        parse_table(text, source="table.txt")
    assert said in caught.value.message
    assert caught.value.line == number
    assert caught.value.exit_code == EXIT_BAD_COMMAND_LINE


def test_the_first_mistake_is_the_one_that_is_told() -> None:
    """So that a stream of many megabytes that is no table is refused by its first lines."""
    with pytest.raises(InvalidTable) as caught:
        parse_table("0 8 zero\n0 8 zero\nnonsense")
    assert caught.value.line == 2


def test_the_largest_table_is_the_kernel_s() -> None:
    assert parse_table(f"0 {LARGEST_TABLE} zero")[0].length == LARGEST_TABLE


def test_a_table_to_load_has_lines() -> None:
    with pytest.raises(InvalidTable, match="has no lines"):
        check_table(())


@given(tables())
def test_a_printed_table_is_read_back_the_same(table: tuple[KernelLine, ...]) -> None:
    assert parse_table(format_table(table)) == table


@pytest.mark.parametrize("params", ["a#b", "a\nb", "a\0b"])
def test_what_the_text_cannot_hold_is_not_written(params: str) -> None:
    with pytest.raises(InvalidTable, match="thing at sector 0"):
        format_table([line(0, 8, "thing", params)])
    with pytest.raises(InvalidTable, match="thing at sector 0"):
        format_concise([ConciseDevice("a", lines=(line(0, 8, "thing", params),))])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidTable):
        table = parse_table(text)
        assert parse_table("\n".join(map(str, table))) == table
    with suppress(InvalidTable):
        devices = parse_concise(text)
        assert parse_concise(format_concise(devices)) == devices


# -- the concise format -----------------------------------------------------------------------------


def test_a_device_is_five_fields_and_more_lines_of_its_table() -> None:
    assert parse_concise("a,UU,5,ro,0 8 zero,8 8 error;b,,,,0 8 zero") == (
        ConciseDevice("a", "UU", 5, True, (line(0, 8, "zero"), line(8, 8, "error"))),
        ConciseDevice("b", lines=(line(0, 8, "zero"),)),
    )


def test_a_backslash_takes_the_meaning_from_what_follows() -> None:
    (device,) = parse_concise(r"a\,b\;c\\d,x\,y,,,0 8 thing \,\;\\\z")
    assert (device.name, device.uuid, device.lines) == (r"a,b;c\d", "x,y", (line(0, 8, "thing", r",;\z"),))


def test_blanks_after_separators_are_skipped() -> None:
    text = "\na,\n  UU, 5 ,\trw,  0 8 zero,\n  8 8 zero\n;\n b, , , ro, 0 8 zero\n;\n"
    with pytest.raises(InvalidTable, match="'5 '"):
        parse_concise(text)
    first, second = parse_concise(text.replace("5 ", "5"))
    assert first == ConciseDevice("a", "UU", 5, False, (line(0, 8, "zero"), line(8, 8, "zero")))
    assert second == ConciseDevice("b", "", None, True, (line(0, 8, "zero"),))


def test_escaped_blanks_are_kept() -> None:
    assert parse_concise(r"\ a,  \ u,,,")[0] == ConciseDevice(" a", " u")


@pytest.mark.parametrize("text", ["", "\n", " \t\n"])
def test_nothing_is_no_device(text: str) -> None:
    assert parse_concise(text) == ()


@pytest.mark.parametrize("text", ["a,,,rw", "a,,,rw\n", "a,,,,", "a,,,,;", "a,,,rw,#"])
def test_a_device_may_have_no_table(text: str) -> None:
    assert parse_concise(text) == (ConciseDevice("a"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,,,xx,0 8 zero", "device 1 ('a'): the flags 'xx' are neither"),
        ("a,,,0 8 zero", "the flags '0 8 zero' are neither"),
        ("a,,", "device 1 ('a') has 3 of the 5 comma-separated fields"),
        ("a,,,,0 8 zero;;", "device 2 ('') has 1 of the 5"),
        (";", "device 1 ('') has 1 of the 5"),
        (",,,,0 8 zero", "device 1 has no name"),
        ("a,,x,,0 8 zero", "the minor number 'x' is not"),
        ("a,,1048576,,0 8 zero", "the minor number '1048576' is not"),
        ("a,,,,0 8 zero\\", "ends with a backslash"),
        ("a,,,,0 8 zero;b,,,,0 8 zero,16 8 zero", "line 2 of the table of device 2 ('b'): sector 16 leaves a gap"),
        ("a,,,,foo", "line 1 of the table of device 1 ('a'): 'foo' has no length"),
    ],
)
def test_a_refused_device_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidTable) as caught:
        parse_concise(text)
    assert said in caught.value.message


def test_it_is_written_as_dmsetup_writes_it() -> None:
    devices = (
        ConciseDevice("a,b", "U;U", 3, True, (line(0, 8, "zero"), line(8, 8, "thing", "x,\\"))),
        ConciseDevice("bare", minor=0),
    )
    assert format_concise(devices) == r"a\,b,U\;U,3,ro,0 8 zero,8 8 thing x\,\\;bare,,0,rw"


@given(DEVICES)
def test_written_devices_are_read_back_the_same(devices: tuple[ConciseDevice, ...]) -> None:
    assert parse_concise(format_concise(devices)) == devices
    assert parse_concise(format_concise(devices) + "\n") == devices


def test_a_device_without_a_name_is_not_written() -> None:
    with pytest.raises(InvalidTable, match="without a name"):
        format_concise([ConciseDevice("")])


# -- keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "params", "shown"),
    [
        ("crypt", "aes-xts-plain64 0123abcd 0 8:0 0", "aes-xts-plain64 00000000 0 8:0 0"),
        ("crypt", "aes-xts-plain64 :32:logon:vol 0 8:0 0", "aes-xts-plain64 :32:logon:vol 0 8:0 0"),
        (
            "crypt",
            "capi:cbc(aes)-plain - 0 8:0 0 1 same_cpu_crypt",
            "capi:cbc(aes)-plain 0 0 8:0 0 1 same_cpu_crypt",
        ),
        ("crypt", "cipher", "cipher"),
        (
            "integrity",
            "8:0 0 32 J 2 internal_hash:hmac(sha256):ab12 journal_mac:crc32c",
            "8:0 0 32 J 2 internal_hash:hmac(sha256):0000 journal_mac:crc32c",
        ),
        (
            "integrity",
            "8:0 0 4 J 2 journal_crypt:ctr(aes):aa:b journal_mac:x:cc",
            "8:0 0 4 J 2 journal_crypt:ctr(aes):0000 journal_mac:x:00",
        ),
        ("integrity", "8:0 0 4 J 0", "8:0 0 4 J 0"),
        ("linear", "8:0 internal_hash:x:ab", "8:0 internal_hash:x:ab"),
    ],
)
def test_keys_are_shown_as_zeros(target: str, params: str, shown: str) -> None:
    given = line(0, 8, target, params)
    assert hide_keys(given) == evolve(given, params=shown)


def as_printed(text: str) -> str:
    """``text`` as it comes from the kernel: bytes, of which those that are no UTF-8 are escaped."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


@given(st.sampled_from(["crypt", "integrity", "linear"]), PARAMS.map(as_printed))
@example("crypt", as_printed("aes \ud800"))
def test_hiding_keys_changes_no_length_and_twice_is_once(target: str, params: str) -> None:
    hidden = hide_keys(line(0, 8, target, params))
    length = len(params.encode("utf-8", "surrogateescape"))
    assert len(hidden.params.encode("utf-8", "surrogateescape")) == length
    assert hide_keys(hidden) == hidden


# -- towards the kernel -------------------------------------------------------------------------------


@given(st.lists(st.text("ab\\ ß/0", max_size=20).map(str.strip), max_size=3))
def test_a_backslash_is_doubled_for_the_kernel_and_only_there(params: list[str]) -> None:
    """``dm_split_args`` takes one as the beginning of an escape; secret tables are sent alike."""
    table = tuple(line(number, 1, "thing", text) for number, text in enumerate(params))
    data = wire.pack_table(table)
    assert data.count(b"\\") == 2 * sum(text.count("\\") for text in params)
    assert wire.unpack_table(data, len(table)) == table
    assert wire.pack_secret_table(table) == data
