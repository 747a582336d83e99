"""Sentences that say what the numbers say, and no more."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A paired difference: mean of (second − first) over the same people, and its interval."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def compare_errors(change: Change, first: str, second: str, metric: str, confidence: float) -> str:
    """Which of two is nearer to the truth.

    Args:
        change: error of the second minus error of the first, mm.
        first: what the second is compared with, as a noun phrase.
        second: what is judged, as a noun phrase.
        metric: name of the error.
        confidence: of the interval, in (0, 1).
    """
    interval = (
        f"{percent(confidence)} interval {signed(change.low)} to {signed(change.high)} mm, n = {change.n:,}"
    )
    if not change.is_clear:
        difference = f"difference {signed(change.mean)} mm"
        return f"In {metric}, {second} is not measurably different from {first} ({difference}, {interval})."
    word = "better" if change.mean < 0 else "worse"
    return f"In {metric}, {second} is {abs(change.mean):.1f} mm {word} than {first} ({interval})."


def percent(share: float) -> str:
    """A share as whole percent; the space does not break."""
    return f"{100 * share:.0f}\u00a0%"


def signed(value: float) -> str:
    """A number with one decimal and its sign; zero has none."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text
