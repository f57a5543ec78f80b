"""What a check found, in three kinds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """Lines for a person to read."""

    facts: list[str] = field(default_factory=list)
    """Counts and sizes."""
    doubts: list[str] = field(default_factory=list)
    """What looks wrong without being so for sure."""
    problems: list[str] = field(default_factory=list)
    """What keeps the data set from being used, with what to do."""

    def add(self, other: Findings) -> None:
        """Append another check's findings."""
        self.facts += other.facts
        self.doubts += other.doubts
        self.problems += other.problems


def some(names: list[str], most: int = 3) -> str:
    """The first of a list's names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def plural(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
