"""Sentences that say what the numbers say, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Word = Literal["better", "worse", "not measurably different"]
# Metrics of which more is better; of errors less is.
_MORE_IS_BETTER = ("percent", "f1")


@dataclass(frozen=True)
class Change:
    """A paired difference: a metric of the second minus that of the first over the same people."""

    mean: float
    low: float
    high: float
    n: int
    metric: str = "pa_mpjpe_mm"
    """Name of the metric, which says its unit."""

    @property
    def word(self) -> Word:
        """What the second is; an interval that holds zero says nothing."""
        if self.low <= 0 <= self.high:
            return "not measurably different"
        is_more = self.mean > 0
        return "better" if is_more == self.metric.endswith(_MORE_IS_BETTER) else "worse"

    @property
    def text(self) -> str:
        """The difference with its sign and unit."""
        return f"{signed(self.mean)} mm" if self.metric.endswith("_mm") else f"F1 {signed(self.mean, 3)}"


def compare_on(
    first: str, second: str, images: str, found: Sequence[tuple[str, Change]], confidence: float
) -> tuple[str, ...]:
    """How two trainings compare on several test splits, in one sentence; none where nothing was compared.

    Args:
        first: what the second is compared with, as a noun phrase.
        second: what is judged, as a noun phrase.
        images: what they were measured on, as a noun phrase.
        found: name of the split and the change there.
        confidence: of the intervals, in (0, 1).
    """
    if not found:
        return ()
    words: dict[Word, str] = {
        "better": "better",
        "worse": "worse",
        "not measurably different": "no measurable difference",
    }
    groups = {
        said: [f"{name} ({change.text})" for name, change in found if change.word == word]
        for word, said in words.items()
    }
    parts = [f"{said} on {listed(names)}" for said, names in groups.items() if names]
    kinds = {"PA-MPJPE" if change.metric.endswith("_mm") else "F1 of parts" for _, change in found}
    metrics = " and ".join(sorted(kinds, reverse=True))
    start = f"{second[0].upper()}{second[1:]} against {first}, {metrics} on {images}"
    return (f"{start} ({percent(confidence)} intervals): {'; '.join(parts)}.",)


def change_in_words(change: Change, confidence: float) -> str:
    """A change of an error with its interval, e.g. `6.4 mm better (95 % interval −7.2 to −5.6 mm, n = 9)`."""
    interval = f"{percent(confidence)} interval {signed(change.low)} to {signed(change.high)} mm"
    if change.word == "not measurably different":
        said = f"no measurable difference ({signed(change.mean)} mm, "
    else:
        said = f"{abs(change.mean):.1f} mm {change.word} ("
    return f"{said}{interval}, n = {change.n:,})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def percent(share: float) -> str:
    """A share as whole percent; the space does not break."""
    return f"{100 * share:.0f}\u00a0%"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign; zero has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if not float(text[1:]) else text
