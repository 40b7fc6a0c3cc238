"""Times in selections name spans of the calendar."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import UsageError
from vmgr.report.times import parse_time


@pytest.fixture(autouse=True, scope="module")
def berlin() -> Iterator[None]:
    """Local time is an hour or, in summer, two ahead of UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


NOW = int(datetime(2024, 5, 31, 15, 20, 30, tzinfo=timezone(timedelta(hours=2))).timestamp())
"""A Friday."""


def show(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01 00:00:00", "2024-12-31 23:59:59"),
        ("2024-02", "2024-02-01 00:00:00", "2024-02-29 23:59:59"),
        ("202402", "2024-02-01 00:00:00", "2024-02-29 23:59:59"),
        ("2024-12-31", "2024-12-31 00:00:00", "2024-12-31 23:59:59"),
        ("20241231", "2024-12-31 00:00:00", "2024-12-31 23:59:59"),
        ("2024-1-5", "2024-01-05 00:00:00", "2024-01-05 23:59:59"),
        ("2024-05-31 23", "2024-05-31 23:00:00", "2024-05-31 23:59:59"),
        ("2024-05-31 12:30", "2024-05-31 12:30:00", "2024-05-31 12:30:59"),
        ("20240531 1230", "2024-05-31 12:30:00", "2024-05-31 12:30:59"),
        ("2024-05-31 12:30:15", "2024-05-31 12:30:15", "2024-05-31 12:30:15"),
        ("20240531 123015", "2024-05-31 12:30:15", "2024-05-31 12:30:15"),
        ("2024-05-31 12:30 +02:00", "2024-05-31 12:30:00", "2024-05-31 12:30:59"),
        ("2024-05-31 12:30 -0500", "2024-05-31 19:30:00", "2024-05-31 19:30:59"),
        ("2024-05-31 +00", "2024-05-31 02:00:00", "2024-06-01 01:59:59"),
        ("today", "2024-05-31 00:00:00", "2024-05-31 23:59:59"),
        ("yesterday", "2024-05-30 00:00:00", "2024-05-30 23:59:59"),
        ("yesterday noon", "2024-05-30 12:00:00", "2024-05-30 12:00:00"),
        ("Friday", "2024-05-31 00:00:00", "2024-05-31 23:59:59"),
        ("Sat", "2024-05-25 00:00:00", "2024-05-25 23:59:59"),
        ("monday 10:30", "2024-05-27 10:30:00", "2024-05-27 10:30:59"),
        ("3 days ago", "2024-05-28 00:00:00", "2024-05-28 23:59:59"),
        ("3days ago", "2024-05-28 00:00:00", "2024-05-28 23:59:59"),
        ("1 week ago", "2024-05-24 00:00:00", "2024-05-24 23:59:59"),
        ("3 months ago", "2024-02-29 00:00:00", "2024-02-29 23:59:59"),
        ("6 months ago", "2023-11-30 00:00:00", "2023-11-30 23:59:59"),
        ("2 years ago", "2022-05-31 00:00:00", "2022-05-31 23:59:59"),
        ("2 hours ago", "2024-05-31 13:20:30", "2024-05-31 14:20:29"),
        ("90 minutes ago", "2024-05-31 13:50:30", "2024-05-31 13:51:29"),
        ("3 days 2 hours ago", "2024-05-28 13:20:30", "2024-05-28 14:20:29"),
        ("24 Feb 2015", "2015-02-24 00:00:00", "2015-02-24 23:59:59"),
        ("Feb 24", "2024-02-24 00:00:00", "2024-02-24 23:59:59"),
        ("2015 February", "2015-02-01 00:00:00", "2015-02-28 23:59:59"),
        ("March", "2024-03-01 00:00:00", "2024-03-31 23:59:59"),
        ("today 10 am", "2024-05-31 10:00:00", "2024-05-31 10:59:59"),
        ("today 3pm", "2024-05-31 15:00:00", "2024-05-31 15:59:59"),
        ("yesterday 12:15:00", "2024-05-30 12:15:00", "2024-05-30 12:15:00"),
    ],
)
def test_a_time_is_a_span(text: str, first: str, last: str) -> None:
    start, end = parse_time(text, NOW)
    assert (show(start), show(end)) == (first, last)


def test_seconds_since_1970_are_one_second() -> None:
    assert parse_time("@1700000000", None) == (1_700_000_000, 1_700_000_000)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("@", "after @"), ("@-1", "after @"), ("", "cannot"), ("20", "cannot"), ("2024-13-01", "range"),
        ("2024-02-30", "no day 30"), ("2024-05 12:00", "full date"), ("2024-05-31 25", "range"),
        ("2024-05-31 12:61", "range"), ("2024-05-31 12:30:15:10", "cannot"), ("someday", "unknown word 'someday'"),
        ("today 25:00", "range"), ("2 parsecs ago", "cannot"), ("today 3 days ago", "mixes a date"),
        ("noon 2 hours ago", "mixes a time"), ("24", "cannot"), ("am", "cannot"), ("!", "cannot"),
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_time(text, NOW)
    assert what in f"{refused.value.message} {refused.value.hint}"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2030, 12, 31)))
def test_a_day_contains_its_hours_and_these_their_minutes(when: datetime) -> None:
    year = parse_time(f"{when:%Y}", None)
    month = parse_time(f"{when:%Y-%m}", None)
    day = parse_time(f"{when:%Y-%m-%d}", None)
    hour = parse_time(f"{when:%Y-%m-%d %H}", None)
    minute = parse_time(f"{when:%Y-%m-%d %H:%M}", None)
    second = parse_time(f"{when:%Y-%m-%d %H:%M:%S}", None)
    spans = [year, month, day, hour, minute, second]
    for outer, inner in pairwise(spans):
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    assert second[0] == second[1]


@given(st.text("0123456789-: +@aegodmnthsyrTFj", max_size=20))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        first, last = parse_time(text, NOW)
        assert first <= last
