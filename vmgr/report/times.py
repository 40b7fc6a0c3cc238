"""Times as selections name them: ``2024-05-31``, ``2024-05-31 12:30 +02:00``, ``@1717151400``, ``3 days ago``.

Each text names a span, such as a day from its first to its last second. The words and their
meaning are LVM2's (``lvmreport(7)``; ``libdm/libdm-report.c`` and ``lib/report/report.c``). Where LVM2's
arithmetic is wrong, at a change of daylight saving time or the end of a month, this module follows the calendar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Span = tuple[int, int]
    """First and last second, since 1970."""

_ISO = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?|(\d{2})(\d{2})?)?"
    r"(?:\s+(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?|(\d{2})(\d{2})?)?)?"
    r"\s*(?:([+-])(\d{2}):?(\d{2})?)?",
    re.ASCII,
).fullmatch

_TOKEN = re.compile(r"\s*(?:(\d+):(\d+)(?::(\d+))?|([+-])(\d{1,2}):?(\d{2})|(\d+)|([A-Za-z]+))\s*", re.ASCII)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_UNITS = {
    "second": "second", "sec": "second", "s": "second", "minute": "minute", "min": "minute", "m": "minute",
    "hour": "hour", "hr": "hour", "h": "hour", "day": "day", "week": "week", "month": "month", "year": "year",
    "yr": "year",
}  # fmt: skip
_CLOCK = {"hour": 3600, "minute": 60, "second": 1}
_HINT = "write it like '2024-05-31 12:30', 'yesterday' or '3 days ago'; see lvmreport(7)"


def parse_time(text: str, now: int | None) -> Span:
    """The span that ``text`` names. ``now`` is the present time, for relative words.

    Raises :class:`UsageError`.
    """
    text = text.strip()
    if text.startswith("@"):
        if not (text[1:].isascii() and text[1:].isdigit()):
            raise UsageError(f"cannot parse time {text!r}", hint="after @ comes a number of seconds since 1970")
        return int(text[1:]), int(text[1:])
    match = _ISO(text)
    if match:
        return _iso(text, match)
    if now is None:
        raise UsageError(f"cannot tell what {text!r} means without a clock", hint="give a date and time")
    return _Words(text, now).span()


def _mktime(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Local calendar time to seconds; numbers beyond their range carry over, as in C's ``mktime``."""
    import time

    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))


def _iso(text: str, match: re.Match[str]) -> Span:
    groups = match.groups()
    date = [groups[0], groups[1] or groups[3], groups[2] or groups[4]]
    clock = [groups[5], groups[6] or groups[8], groups[7] or groups[9]]
    numbers = [int(part) if part is not None else None for part in (*date, *clock)]
    year, month, day, hour, minute, second = numbers
    if hour is not None and day is None:
        raise UsageError(f"time {text!r} lacks the day", hint="a time of day needs a full date before it")
    limits = ((month, 1, 12), (day, 1, 31), (hour, 0, 23), (minute, 0, 59), (second, 0, 60))
    if any(value is not None and not low <= value <= high for value, low, high in limits):
        raise UsageError(f"time {text!r} is out of range", hint=_HINT)
    assert year is not None
    first = [year, month or 1, day or 1, hour or 0, minute or 0, second or 0]
    if day is not None and day > _days_in(year, first[1]):
        raise UsageError(f"there is no day {day} in month {first[1]} of {year}")
    last = list(first)
    last[[*numbers, None].index(None) - 1] += 1
    start, end = _mktime(*first), _mktime(*last) - 1
    if groups[10]:
        import calendar

        # Use the same calendar time in UTC instead.
        offset = (int(groups[11]) * 3600 + int(groups[12] or 0) * 60) * (1 if groups[10] == "+" else -1)
        length = end - start
        start = calendar.timegm((*first, 0, 0, 0)) - offset
        end = start + length
    return start, end


def _days_in(year: int, month: int) -> int:
    from calendar import monthrange

    return monthrange(year, month)[1]


class _Words:
    """A time in words: what has been understood of it so far."""

    def __init__(self, text: str, now: int) -> None:
        import time

        self.text = text
        here = time.localtime(now)
        self.weekday = (here.tm_wday + 1) % 7
        self.year, self.month, self.day = here.tm_year, here.tm_mon, here.tm_mday
        self.hour, self.minute, self.second = here.tm_hour, here.tm_min, here.tm_sec
        self.back = 0
        self.absolute_date = ""
        self.absolute_time = ""
        self.relative = ""
        self.zone: int | None = None

    def _bad(self) -> UsageError:
        return UsageError(f"cannot parse time {self.text!r}", hint=_HINT)

    def span(self) -> Span:
        """Read the words and work out the first and the last second."""
        words = self._tokens()
        if not words:
            raise self._bad()
        ago = [at for at, word in enumerate(words) if word == "ago"]
        number: int | None = None
        at = 0
        while at < len(words):
            word = words[at]
            if isinstance(word, int):
                following = words[at + 1] if at + 1 < len(words) else None
                if isinstance(following, str) and (_unit(following) or following in ("am", "pm")):
                    number = word
                else:
                    self._number(word, words, at)
            elif isinstance(word, tuple):
                self._clock(word)
            else:
                self._word(word, number, relative=any(end > at for end in ago))
                number = None
            at += 1
        if self.absolute_date and self.relative in ("day", "week", "month", "year"):
            raise UsageError(f"time {self.text!r} mixes a date with one relative to the present", hint=_HINT)
        if self.absolute_time and self.relative in _CLOCK:
            raise UsageError(f"time {self.text!r} mixes a time with one relative to the present", hint=_HINT)
        return self._result()

    def _tokens(self) -> list[int | str | tuple[int, ...]]:
        found: list[int | str | tuple[int, ...]] = []
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None or match.end() == at:
                raise self._bad()
            hour, minute, second, sign, zone_hour, zone_minute, number, word = match.groups()
            if hour is not None:
                found.append((int(hour), int(minute)) if second is None else (int(hour), int(minute), int(second)))
            elif sign is not None:
                self.zone = (int(zone_hour) * 3600 + int(zone_minute) * 60) * (1 if sign == "+" else -1)
            elif number is not None:
                found.append(int(number))
            else:
                found.append(word.lower())
            at = match.end()
        return found

    def _number(self, number: int, words: list[int | str | tuple[int, ...]], at: int) -> None:
        """A number without a unit: the day or the year of a month beside it, else a year."""
        beside = [words[i] for i in (at - 1, at + 1) if 0 <= i < len(words)]
        if any(isinstance(word, str) and _month(word) for word in beside) and number <= 31:
            self.day, self.absolute_date = number, "day"
        elif 1000 <= number <= 9999:
            self.year = number
            self.absolute_date = self.absolute_date or "year"
        else:
            raise self._bad()

    def _clock(self, clock: tuple[int, ...]) -> None:
        if clock[0] > 23 or any(part > 59 for part in clock[1:]):
            raise UsageError(f"time {self.text!r} is out of range", hint=_HINT)
        self.hour, self.minute, self.second = (*clock, 0)[:3]
        self.absolute_time = "second" if len(clock) == 3 else "minute"

    def _word(self, word: str, number: int | None, *, relative: bool) -> None:
        unit = _unit(word)
        month = _month(word)
        count = 1 if number is None else number
        if word == "ago":
            return
        if unit in _CLOCK:
            if relative:
                self.back += count * _CLOCK[unit]
                self.relative = unit
            else:
                setattr(self, unit, count)
                self.absolute_time = unit
        elif unit:
            self.relative = unit
            if unit in ("day", "week"):
                self.back += count * 86400 * (7 if unit == "week" else 1)
            elif unit == "month":
                self.month -= count
            else:
                self.year -= count
        elif month:
            self.month = month
            self.absolute_date = self.absolute_date if self.absolute_date == "day" else "month"
        elif word in ("today", "yesterday"):
            self.back += 86400 * (word == "yesterday")
            self.absolute_date = "day"
        elif word in ("noon", "midnight"):
            self.hour, self.minute, self.second = 12 * (word == "noon"), 0, 0
            self.absolute_time = "second"
        elif word in ("am", "pm"):
            if number is not None:
                self.hour, self.minute, self.second = number % 12, 0, 0
                self.absolute_time = "hour"
            elif not self.absolute_time:
                raise self._bad()
            if word == "pm" and self.hour < 12:
                self.hour += 12
        else:
            day = next((at for at, name in enumerate(_DAYS) if word in (name, name + "s", name[:3])), None)
            if day is None:
                raise UsageError(f"unknown word {word!r} in time {self.text!r}", hint=_HINT)
            self.back += (self.weekday - day) % 7 * 86400
            self.absolute_date = "day"

    def _result(self) -> Span:
        if self.absolute_date == "year":
            self.month = self.day = 1
        elif self.absolute_date == "month":
            self.day = 1
        while self.month < 1:
            self.month, self.year = self.month + 12, self.year - 1
        self.day = min(self.day, _days_in(self.year, self.month))
        by_clock = self.absolute_time or (self.relative if self.relative in _CLOCK else "")
        if not by_clock:
            self.hour = self.minute = self.second = 0
        elif self.absolute_time == "hour":
            self.minute = self.second = 0
        elif self.absolute_time == "minute":
            self.second = 0
        days, seconds = divmod(self.back, 86400)
        first = [self.year, self.month, self.day - days, self.hour, self.minute, self.second]
        start = self._seconds(*first) - seconds
        if by_clock:
            return start, start + {"hour": 3600, "minute": 60, "second": 1}[by_clock] - 1
        last = list(first)
        last[{"year": 0, "month": 1}.get(self.absolute_date, 2)] += 1
        return start, self._seconds(*last) - 1

    def _seconds(self, *when: int) -> int:
        mktime: Callable[..., int] = _mktime
        if self.zone is None:
            return mktime(*when)
        import calendar

        return calendar.timegm((*when, 0, 0, 0)) - self.zone


def _unit(word: str) -> str:
    return _UNITS.get(word) or (_UNITS.get(word[:-1], "") if word[-1:] == "s" and len(word) > 2 else "")


def _month(word: str) -> int:
    if word in _MONTHS:
        return _MONTHS.index(word) + 1
    return _MONTH_NAMES.index(word) + 1 if word in _MONTH_NAMES else 0
