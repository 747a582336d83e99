"""What a stage read, what it kept, and why it left the rest out: nothing disappears in silence."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

_N_EXAMPLES = 3


class Tally:
    """Counts of one stage; `stats()` is what it writes to its statistics file."""

    def __init__(self) -> None:
        self.n_read = 0
        self.n_kept = 0
        self._left_out: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def keep(self) -> None:
        """One row was read and kept."""
        self.n_read += 1
        self.n_kept += 1

    def leave_out(self, reason: str, example: str) -> None:
        """One row was read and left out.

        Args:
            reason: an identifier, e.g. `no_visible_joint`.
            example: the row's id; the first few of each reason are kept.
        """
        self.n_read += 1
        self._count(self._left_out, reason, example)

    def note(self, remark: str, example: str) -> None:
        """Something to know about a row that is kept, or about a file that is no row; e.g. `no_person`."""
        self._count(self._noted, remark, example)

    def _count(self, counter: Counter[str], word: str, example: str) -> None:
        counter[word] += 1
        examples = self._examples.setdefault(word, [])
        if len(examples) < _N_EXAMPLES:
            examples.append(example)

    def stats(self) -> dict[str, Any]:
        """For JSON: `read`, `kept`, `left_out` and `noted` (by reason), `examples` (ids, by reason)."""
        return {
            "read": self.n_read,
            "kept": self.n_kept,
            "left_out": dict(self._left_out),
            "noted": dict(self._noted),
            "examples": self._examples,
        }

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.n_kept} of {self.n_read} kept"]
        if self._left_out:
            parts.append(f"left out: {_words(self._left_out)}")
        if self._noted:
            parts.append(f"noted: {_words(self._noted)}")
        return "; ".join(parts)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in sorted(counts.items()))
