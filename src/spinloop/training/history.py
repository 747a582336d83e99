"""The training curve: means over windows of steps, as rows of a CSV file without any clock time."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinloop.files import atomic


class History:
    """Collects what every step reports.

    Args:
        every: steps averaged in a row. A last, shorter window makes a row too.
    """

    def __init__(self, every: int):
        self._every = every
        self._rows: list[dict[str, float]] = []
        self._window: list[dict[str, float]] = []

    def add(self, step: int, values: Mapping[str, float]) -> dict[str, float] | None:
        """Add the values of one step, counted from 1; every step brings the same names.

        Returns:
            The means of the window that ends with this step, if one does.
        """
        self._window.append(dict(values))
        if step % self._every:
            return None
        self._close(step)
        return {name: value for name, value in self.latest.items() if name != "step"}

    @property
    def latest(self) -> dict[str, float]:
        """The means of the window before the one that is open, else of the steps so far."""
        return {name: float(value) for name, value in (self._rows or [_means(self._window)])[-1].items()}

    def write(self, path: Path, step: int) -> None:
        """Write all rows.

        Args:
            path: the CSV file.
            step: how many steps were made; closes the window that is still open.
        """
        if self._window:
            self._close(step)
        with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            names = list(self._rows[0]) if self._rows else ["step"]
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            for row in self._rows:
                writer.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def state_dict(self) -> dict[str, Any]:
        """Everything that is held, as plain lists."""
        return {
            "rows": [dict(row) for row in self._rows],
            "window": [dict(values) for values in self._window],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._rows = [dict(row) for row in state["rows"]]
        self._window = [dict(values) for values in state["window"]]

    def _close(self, step: int) -> None:
        self._rows.append({"step": step, **_means(self._window)})
        self._window = []


def _means(window: list[dict[str, float]]) -> dict[str, float]:
    names = window[0] if window else {}
    return {name: math.fsum(values[name] for values in window) / len(window) for name in names}
