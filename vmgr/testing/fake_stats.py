"""The fake kernel's statistics: the ``@stats_*`` messages, and counters that a test moves.

Semantics: ``drivers/md/dm-stats.c`` of Linux 6.1. No request is ever in progress here, and none is merged.
"""

from __future__ import annotations

import errno
import re

from vmgr.testing.fake_targets import Refusal

MOST_AREAS = 1 << 22
"""Beyond this number the fake reports a lack of memory; a real kernel's limit depends on the machine."""

MILLISECOND = 1_000_000


class FakeRegion:
    """A region, and the counters of its areas that had a request."""

    __slots__ = ("aux_data", "bounds", "counts", "end", "histograms", "precise", "program_id", "start", "step")

    def __init__(self, start: int, end: int, step: int) -> None:
        self.start, self.end, self.step = start, end, step
        self.precise = False
        self.bounds: list[int] = []
        self.program_id = self.aux_data = "-"
        self.counts: dict[int, list[int]] = {}
        self.histograms: dict[int, list[int]] = {}

    @property
    def areas(self) -> int:
        """The number of areas."""
        return -(-(self.end - self.start) // self.step)

    def line(self, number: int) -> str:
        """Its line in a list."""
        precise = " precise_timestamps" if self.precise else ""
        bounds = f" histogram:{','.join(map(str, self.bounds))}" if self.bounds else ""
        where = f"{self.start}+{self.end - self.start} {self.step}"
        return f"{number}: {where} {self.program_id} {self.aux_data}{precise}{bounds}\n"

    def area_line(self, area: int) -> str:
        """An area's line of counters. The line gives the step as length, even if the area is shorter."""
        counts = " ".join(map(str, self.counts.get(area, [0] * 13)))
        bins = self.histograms.get(area, [0] * (len(self.bounds) + 1))
        histogram = f" {':'.join(map(str, bins))}" if self.bounds else ""
        return f"{self.start + area * self.step}+{self.step} {counts}{histogram}\n"

    def count(self, write: bool, sector: int, sectors: int, nanoseconds: int) -> None:
        """Count a request in every area that it touches."""
        first, end = max(sector, self.start), min(sector + sectors, self.end)
        time = nanoseconds if self.precise else nanoseconds // MILLISECOND
        while first < end:
            area = (first - self.start) // self.step
            part = min(end, self.start + (area + 1) * self.step) - first
            counts = self.counts.setdefault(area, [0] * 13)
            of = 4 if write else 0
            counts[of] += 1
            counts[of + 2] += part
            for place in (of + 3, 9, 10, 12 if write else 11):
                counts[place] += time
            if self.bounds:
                bins = self.histograms.setdefault(area, [0] * (len(self.bounds) + 1))
                bins[sum(bound <= time for bound in self.bounds)] += 1
            first += part


class FakeStats:
    """The regions of one device."""

    def __init__(self) -> None:
        self.regions: dict[int, FakeRegion] = {}

    def count(self, write: bool, sector: int, sectors: int, nanoseconds: int) -> None:
        """Count a request in all regions."""
        for region in self.regions.values():
            region.count(write, sector, sectors, nanoseconds)

    def message(self, text: str, size: int) -> str | None:
        """The answer to a message to a device of ``size`` sectors, None for none. Raises :class:`Refusal`."""
        words = split(text)
        command = words[0].lower()
        if command == "@stats_create":
            return self._create(words[1:], size)
        if command == "@stats_list" and len(words) <= 2:
            chosen = [n for n, r in sorted(self.regions.items()) if words[1:] in ([], [r.program_id])]
            return "".join(self.regions[number].line(number) for number in chosen)
        if command in ("@stats_print", "@stats_print_clear") and len(words) in (2, 4):
            return self._print(words, clear=command.endswith("_clear"))
        if command == "@stats_clear" and len(words) == 2:
            region = self.regions[self._number(words[1])]
            region.counts.clear()
            region.histograms.clear()
            return ""
        if command == "@stats_delete" and len(words) == 2:
            del self.regions[self._number(words[1])]
            return None
        if command == "@stats_set_aux" and len(words) == 3:
            self.regions[self._number(words[1])].aux_data = words[2]
            return None
        raise Refusal(errno.EINVAL)

    def _number(self, word: str) -> int:
        if not re.fullmatch(r"\d+", word, re.ASCII):
            raise Refusal(errno.EINVAL)
        number = int(word)
        if number not in self.regions:
            raise Refusal(errno.ENOENT)
        return number

    def _create(self, words: list[str], size: int) -> str:
        if len(words) < 2:
            raise Refusal(errno.EINVAL)
        start, length = (0, size or 1) if words[0] == "-" else _pair(words[0])
        divided = re.fullmatch(r"(/?)(\d+)", words[1], re.ASCII)
        if not length or start + length >= 1 << 64 or divided is None or not int(divided[2]):
            raise Refusal(errno.EINVAL)
        step = -(-length // int(divided[2])) if divided[1] else int(divided[2])
        region = FakeRegion(start, start + length, step)
        rest = words[2:]
        if rest and rest[0].isascii() and rest[0].isdigit():
            count = int(rest[0])
            if len(rest) <= count:
                raise Refusal(errno.EINVAL)
            for option in rest[1 : count + 1]:
                _take(region, option)
            rest = rest[count + 1 :]
        if len(rest) > 2:
            raise Refusal(errno.EINVAL)
        region.program_id, region.aux_data = (*rest, "-", "-")[:2]
        if region.areas > MOST_AREAS:
            raise Refusal(errno.ENOMEM)
        number = next(n for n in range(len(self.regions) + 1) if n not in self.regions)
        self.regions[number] = region
        return str(number)

    def _print(self, words: list[str], *, clear: bool) -> str:
        if not all(re.fullmatch(r"\d+|-", word, re.ASCII) for word in words[2:]):
            raise Refusal(errno.EINVAL)
        region = self.regions[self._number(words[1])]
        first, count = (*words[2:], "-", "-")[:2]
        end = region.areas if count == "-" else min(region.areas, int(first.replace("-", "0")) + int(count))
        chosen = range(0 if first == "-" else int(first), end)
        text = "".join(region.area_line(area) for area in chosen)
        for area in chosen if clear else ():
            region.counts.pop(area, None)
            region.histograms.pop(area, None)
        return text


def _pair(word: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\+(\d+)", word, re.ASCII)
    if match is None:
        raise Refusal(errno.EINVAL)
    return int(match[1]), int(match[2])


def _take(region: FakeRegion, option: str) -> None:
    if option.lower() == "precise_timestamps":
        region.precise = True
        return
    name, _, bounds = option.partition(":")
    if name.lower() != "histogram" or region.bounds or not re.fullmatch(r"\d+(,\d+)*", bounds, re.ASCII):
        raise Refusal(errno.EINVAL)
    region.bounds = [int(bound) for bound in bounds.split(",")]
    if any(bound <= before for before, bound in zip((0, *region.bounds), region.bounds, strict=False)):
        raise Refusal(errno.EINVAL)


def split(text: str) -> list[str]:
    """Split a text into words as ``dm_split_args`` does: a backslash escapes the next character."""
    words = re.findall(r"(?:\\.|[^\s\\])+", text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in words]
