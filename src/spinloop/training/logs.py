"""The training curve for those who watch it: TensorBoard, DVCLive. Nothing reads these files again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from spinloop.params.training import WatchParams


@runtime_checkable
class Log(Protocol):
    """A place where numbers of a step are written."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        ...

    def close(self) -> None:
        """Write what is still held."""
        ...


class TensorBoardLog:
    """Event files.

    Args:
        folder: where they lie; those of a stopped run stay, and what it wrote from `step` on is forgotten.
        step: from which the run goes on.
    """

    def __init__(self, folder: Path, step: int) -> None:
        # Takes a second to import; most runs do not want it.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still held."""
        self._writer.close()


class DvcLiveLog:
    """DVCLive's tables, which `dvc plots` and the editors' extensions show.

    Args:
        folder: where they lie.
        step: from which the run goes on.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from dvclive.live import Live

        # It must neither edit dvc.yaml nor make a commit: the stage is DVC's already.
        self._live = Live(str(folder), resume=step > 0, dvcyaml=None, save_dvc_exp=False, report=None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def close(self) -> None:
        """Write what is still held."""
        self._live.end()


def open_logs(params: WatchParams, folder: Path, step: int) -> list[Log]:
    """The logs that are wanted.

    Args:
        params: which.
        folder: of this run, for people.
        step: from which the run goes on.
    """
    wanted = [(params.tensorboard, TensorBoardLog), (params.dvclive, DvcLiveLog)]
    return [log(folder / log.__name__.removesuffix("Log").lower(), step) for is_on, log in wanted if is_on]
