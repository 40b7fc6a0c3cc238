"""Control characters are made visible, layout and letters are left."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.escapes import escape_controls

TEXT = st.text(st.characters(max_codepoint=0xDFFF))


@given(TEXT)
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    """Neither as a character nor as a byte of what is no UTF-8."""
    shown = escape_controls(text)
    assert all(ord(c) >= 0x20 or c in "\t\n" for c in shown)
    assert not any(0x7F <= ord(c) < 0xA0 or 0xDC80 <= ord(c) < 0xDCA0 for c in shown)


@given(TEXT)
def test_json_means_the_same_afterwards(text: str) -> None:
    assert json.loads(escape_controls(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs"))))
def test_text_without_control_characters_stays(text: str) -> None:
    assert escape_controls(f"\t{text}\n") == f"\t{text}\n"


def test_what_is_shown() -> None:
    assert escape_controls("a\x1b[31mb\x9b\r") == r"a\u001b[31mb\u009b\u000d"
