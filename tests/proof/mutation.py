"""Makes damaged inputs out of good ones: bytes changed, cut out, doubled and moved, words replaced by others."""

from __future__ import annotations

import random

NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 511, 512, 4095, 4096, 65535, 65536)
LARGE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30)


class Mutator:
    """Mutations of one kind of input, always the same ones for the same seed."""

    def __init__(self, seed: int, seeds: list[bytes], words: tuple[bytes, ...] = ()) -> None:
        self.random = random.Random(seed)
        self.seeds = seeds
        self.words = words or (b"",)

    def next(self) -> bytes:
        """One damaged input; one in a hundred is whole, so that what a good one reaches is reached."""
        rng = self.random
        data = bytearray(rng.choice(self.seeds))
        if rng.random() < 0.01:
            return bytes(data)
        for _ in range(1 + int(rng.expovariate(0.7))):
            self._one(data)
        return bytes(data)

    def _one(self, data: bytearray) -> None:
        rng = self.random
        at = rng.randrange(len(data) + 1)
        length = min(int(rng.expovariate(0.1)) + 1, len(data) - at)
        match rng.randrange(10):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(data):
                data[at] = rng.randrange(256)
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                other = rng.choice(self.seeds)
                start = rng.randrange(len(other) + 1)
                data[at : at + length] = other[start : start + length]
            case 6:
                data[at:at] = rng.choice(self.words)
            case 7:
                self._number(data, at)
            case 8:
                size = rng.choice((1, 2, 4, 8))
                value = rng.choice(NUMBERS + LARGE) & (1 << 8 * size) - 1
                data[at : at + size] = value.to_bytes(size, "little")
            case _:
                self._word(data, at)

    def _number(self, data: bytearray, at: int) -> None:
        """Replace the digits at or after ``at`` by another number."""
        digits = b"0123456789"
        while at < len(data) and data[at] not in digits:
            at += 1
        end = at
        while end < len(data) and data[end] in digits:
            end += 1
        rng = self.random
        data[at:end] = str(rng.choice((*NUMBERS, *LARGE, -1, -(2**63), 1.5))).encode()

    def _word(self, data: bytearray, at: int) -> None:
        """Replace what stands between two blanks by another word."""
        start = max(data.rfind(b" ", 0, at), data.rfind(b"\n", 0, at)) + 1
        ends = [end for end in (data.find(b" ", at), data.find(b"\n", at)) if end >= 0]
        data[start : min(ends, default=len(data))] = self.random.choice(self.words)
