"""The grammar of metadata texts and configuration files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ondisk import raw_strings
from vmgr.core.errors import DamagedMetadata, Refused
from vmgr.ondisk.text import parse, write_key, write_scalar, write_value

scalars = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), raw_strings)
values = scalars | st.lists(scalars).map(tuple)
keys = raw_strings.map(lambda s: s.replace("/", "")).filter(bool)
trees = st.recursive(
    st.dictionaries(keys, values, max_size=3), lambda t: st.dictionaries(keys, values | t, max_size=3), max_leaves=6
)


def write(tree: dict) -> str:
    return "".join(
        f"{write_key(k)} {{\n{write(v)}}}\n" if isinstance(v, dict) else f"{write_key(k)} = {write_value(v)}\n"
        for k, v in tree.items()
    )


@given(trees)
def test_parse_after_write_is_the_identity(tree: dict) -> None:
    """Strings with any character, numbers, arrays and sections come back as they were, in their order."""
    back = parse(write(tree), unique=True)
    assert back == tree
    assert repr(back) == repr(tree)  # the order, and 1 is not 1.0


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Of any text the parser says that it is damaged, or gives a tree that is written and read as the same."""
    try:
        tree = parse(text, unique=True)
    except DamagedMetadata:
        return
    assert parse(write(tree), unique=True) == tree


@given(trees, st.data())
def test_a_text_cut_short_is_noticed(tree: dict, data: st.DataObject) -> None:
    """Half a section is not taken for a whole one."""
    text = f"group {{\n{write(tree)}}}"
    with pytest.raises(DamagedMetadata):
        parse(text[: data.draw(st.integers(6, len(text) - 1))])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("# nothing", {}),
        ("a = 1 # one\n#b = 2\nc=3", {"a": 1, "c": 3}),
        ('a = "# not a comment" b = 1', {"a": "# not a comment", "b": 1}),
        ('a = "say \\"so\\" and \\\\ and \\n"', {"a": 'say "so" and \\ and \\n'}),
        ("a = 'raw \\ \"string\"'", {"a": 'raw \\ "string"'}),
        ('a = "two\nlines"', {"a": "two\nlines"}),
        ("a = []", {"a": ()}),
        ("a = [ ]", {"a": ()}),
        ('a = ["x"]', {"a": ("x",)}),
        ('a = ["x", 1, 2.5,]', {"a": ("x", 1, 2.5)}),
        ('a = ["x" "y"]', {"a": ("x", "y")}),
        ("a = [\n# first\n1, # one\n2\n]", {"a": (1, 2)}),
        ("a = -5 b = +5 c = 017 d = -017 e = 0", {"a": -5, "b": 5, "c": 15, "d": -15, "e": 0}),
        ("a = 0.5 b = .5 c = 5. d = -0.25", {"a": 0.5, "b": 0.5, "c": 5.0, "d": -0.25}),
        ("a=h b=vg0/lv c=[x ]", {"a": "h", "b": "vg0/lv", "c": ("x",)}),
        ("a { } b{c{d=1}}", {"a": {}, "b": {"c": {"d": 1}}}),
        ("a/b/c = 1 a/d = 2", {"a": {"b": {"c": 1}, "d": 2}}),
        ("a/b { c = 1 }", {"a": {"b": {"c": 1}}}),
        ("\"odd # key\" = 1 'other' { x = 2 }", {"odd # key": 1, "other": {"x": 2}}),
        ("0vg+x.y_z-1 { }", {"0vg+x.y_z-1": {}}),
        ("\ta\r\n=\v1\f", {"a": 1}),
        ("creation_time = 99999999999999999999", {"creation_time": 1527120000}),
    ],
)
def test_what_lvm2_reads(text: str, tree: dict) -> None:
    """Each form that LVM2's parser knows gives the value that it gives there."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = ", 2),
        ("a = 1\n\n}", 3),
        ("a {\nb = 1\n", 3),
        ("a = [1,\n2", 2),
        ("a = [1\n2]", 2),
        ("a = [,1]", 1),
        ("a = [1,,2]", 1),
        ("a = [[1]]", 1),
        ("a = 1\nb\nc = 1", 2),
        ("= 1", 1),
        ("a = x=1", 1),
        ('a = 1\nb = "open\n', 2),
        ("a = 'open", 1),
        ("a = 9223372036854775808", 1),
        ("# comment\na = 08", 2),
        ("a = -", 1),
        ("a = .", 1),
        ('"" = 1', 1),
        ("/ = 1", 1),
        ("a = 1\na { }", 2),
        ("a { }\n\na = 1", 3),
        ("a = 1\0", 1),
        ("a {\n" * 200 + "}" * 200, 101),
        ("a/" * 200 + "b = 1", 1),
    ],
)
def test_damage_is_reported_with_its_line(text: str, line: int) -> None:
    """What is not in the grammar is an error that names the line."""
    with pytest.raises(DamagedMetadata, match=f"^line {line}: "):
        parse(text)


def test_twins() -> None:
    """In a configuration the last value counts and sections add up; in metadata neither is allowed."""
    text = "a { x = 1\ny = 1 }\nb = 1\na { x = 2 }\nb = 2\n"
    assert parse(text) == {"a": {"x": 2, "y": 1}, "b": 2}
    with pytest.raises(DamagedMetadata, match="line 4: 'a' is there twice"):
        parse(text, unique=True)
    with pytest.raises(DamagedMetadata, match="line 2: 'b' is there twice"):
        parse("b = 1\nb = 1", unique=True)


@pytest.mark.parametrize("value", ["a\0b", float("inf"), float("nan")])
def test_what_cannot_be_written_is_refused(value: str | float) -> None:
    """A value that would not be read back is not written."""
    with pytest.raises(Refused):
        write_scalar(value)


@pytest.mark.parametrize("key", ["", "a/b", "a\0"])
def test_keys_that_cannot_be_written_are_refused(key: str) -> None:
    """A key that would be read back as another is not written."""
    with pytest.raises(Refused):
        write_key(key)
