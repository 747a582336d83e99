"""Everything about a run that is made for a person to look at, and for nothing else."""

from collections.abc import Mapping
from pathlib import Path

from spinloop.body.model import BodyModel
from spinloop.params.training import WatchParams
from spinloop.training.data import Batch
from spinloop.training.logs import Log, open_logs
from spinloop.training.sheets import Sheets
from spinloop.training.step import StepResult


class Watch:
    """Sheets and logs of a run, in a folder of their own.

    Args:
        folder: sheets and logs go into folders below it.
        params: what is wanted.
        body: whose mesh is drawn on the sheets.
    """

    def __init__(self, folder: Path, params: WatchParams, body: BodyModel) -> None:
        self._folder, self._params = folder, params
        self._sheets = Sheets(folder / "sheets", body, params.sheet_people)
        self._logs: list[Log] = []

    def begin(self, step: int) -> None:
        """Open the logs; the run goes on from a step."""
        self._logs = open_logs(self._params, self._folder, step)

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Write a row of the history to the logs."""
        for log in self._logs:
            log.write(step, row)

    def see(self, step: int, batch: Batch, result: StepResult) -> None:
        """Draw a sheet, if one is due."""
        if self._params.sheet_every and step % self._params.sheet_every == 0:
            self._sheets.draw(step, batch, result)

    def end(self) -> None:
        """Close the logs."""
        for log in self._logs:
            log.close()
