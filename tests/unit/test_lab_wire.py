"""Frames survive any cutting of the stream that carries them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.lab import wire

FRAMES = st.lists(st.tuples(st.sampled_from([wire.STDIN, wire.STDOUT, wire.STATUS]), st.binary(max_size=300)))


@given(FRAMES, st.lists(st.integers(1, 50)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    frames: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(wire.frame(*each) for each in frames)
    reader, found = wire.Frames(), []
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == frames


def test_a_length_that_nobody_sends_is_noticed() -> None:
    with pytest.raises(wire.OutOfStep):
        wire.Frames().feed(b"SELinux: this is not a frame")
