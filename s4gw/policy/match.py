"""Wildcard patterns, ARNs and address ranges, matched in time proportional to their length.

``*`` stands for any run of characters, ``?`` for exactly one. Pieces between stars are searched leftmost with
``str.find``; there is no backtracking and no regular expression, so no policy can make a request slow.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Wild = Literal["*", "?"]
PATTERN_CHARS_MAX: Final = 2048
"""Longest pattern; twice the longest key."""


@dataclass(frozen=True, slots=True)
class Literally:
    """Text in a pattern that stands for itself, wildcards included."""

    text: str


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two stars: literal pieces at offsets, any character elsewhere."""

    size: int
    pieces: tuple[tuple[int, str], ...]

    def matches_at(self, text: str, at: int) -> bool:
        return at + self.size <= len(text) and all(text.startswith(piece, at + offset) for offset, piece in self.pieces)

    def find(self, text: str, start: int, end: int) -> int:
        """First place in ``text[start:end]`` where the segment fits, or -1."""
        if len(self.pieces) == 1 and len(self.pieces[0][1]) == self.size:
            return text.find(self.pieces[0][1], start, end)
        return next((at for at in range(start, end - self.size + 1) if self.matches_at(text, at)), -1)


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern."""

    segments: tuple[_Segment, ...]

    def matches(self, text: str) -> bool:
        """Whether the whole of *text* fits."""
        first, last = self.segments[0], self.segments[-1]
        if len(self.segments) == 1:
            return first.size == len(text) and first.matches_at(text, 0)
        end = len(text) - last.size
        if end < first.size or not first.matches_at(text, 0) or not last.matches_at(text, end):
            return False
        at = first.size
        for segment in self.segments[1:-1]:
            found = segment.find(text, at, end)
            if found < 0:
                return False
            at = found + segment.size
        return True


def glob(pattern: str) -> Glob:
    """Compile *pattern*, in which ``*`` and ``?`` are wildcards."""
    return compile_glob(_tokens(pattern))


def compile_glob(tokens: Sequence[Literally | Wild]) -> Glob:
    """Compile a pattern from its parts."""
    segments: list[_Segment] = []
    pieces: list[tuple[int, str]] = []
    size = 0
    for part in tokens:
        if part == "*":
            segments.append(_Segment(size, tuple(pieces)))
            pieces, size = [], 0
        elif part == "?":
            size += 1
        elif part.text:
            if pieces and pieces[-1][0] + len(pieces[-1][1]) == size:
                offset, before = pieces.pop()
                pieces.append((offset, before + part.text))
            else:
                pieces.append((size, part.text))
            size += len(part.text)
    segments.append(_Segment(size, tuple(pieces)))
    return Glob(tuple(segments))


def _tokens(pattern: str) -> list[Literally | Wild]:
    """Split *pattern* at its wildcards."""
    return list(tokenize(pattern))


def tokenize(pattern: str) -> Iterator[Literally | Wild]:
    """Literal runs and wildcards of *pattern*, in order."""
    start = 0
    for at, char in enumerate(pattern):
        if char in {"*", "?"}:
            if at > start:
                yield Literally(pattern[start:at])
            yield "*" if char == "*" else "?"
            start = at + 1
    if start < len(pattern):
        yield Literally(pattern[start:])


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether each of the six colon-separated parts of *arn* fits the same part of *pattern*."""
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(given) and all(glob(w).matches(g) for w, g in zip(wanted, given, strict=True))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """An address or CIDR range. Raises: ValueError."""
    return ipaddress.ip_network(text, strict=False)


def in_network(address: str, network: Network) -> bool:
    """Whether *address* lies in *network*; IPv4 addresses written as IPv6 count as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed) in network
