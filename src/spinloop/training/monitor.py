"""The training curve: means over windows of steps, as rows of a CSV file without any clock time.

The training curve for those who watch it: TensorBoard, DVCLive. Nothing reads these files again.

Sheets for the person who watches: images of a batch, what the network said, what it was taught.

Everything about a run that is made for a person to look at, and for nothing else.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spinloop.body.model import BodyModel
from spinloop.body.pose import BodyState
from spinloop.files import atomic
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.crop import CROP_PX
from spinloop.params.training import WatchParams
from spinloop.regression.hmr import visible_images
from spinloop.rendering.pictures import LABEL_PX, contact_sheet, label, overlay_on_crop
from spinloop.tables.images import encode_jpeg
from spinloop.training.data import Batch
from spinloop.training.step import StepResult


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


_JPEG_QUALITY = 90


class Sheets:
    """Draws a sheet after some of the steps; the same run draws the same bytes.

    Args:
        folder: where they lie, named by their steps.
        body: whose mesh is drawn.
        n_people: rows of a sheet.
    """

    def __init__(self, folder: Path, body: BodyModel, n_people: int) -> None:
        self._folder, self._body, self._n_people = folder, body, n_people

    def draw(self, step: int, batch: Batch, result: StepResult) -> None:
        """Write the sheet of a step: image, network, best fit, one person a row."""
        n = min(self._n_people, len(batch.ids))
        images = [_tile(image) for image in visible_images(batch.images[:n])]
        predicted = result.predicted
        said = self._overlays(
            images, predicted.rotations[:n], predicted.betas[:n], camera_to_translation(predicted.camera[:n])
        )
        taught = self._overlays(images, *zoomed(result.best.state, batch.zoom, n))
        rows = []
        for row, tiles in enumerate(zip(images, said, taught, strict=True)):
            last, words = tiles[0], "no fit"
            if result.best.is_known[row]:
                origin = "new" if result.is_accepted[row] else "kept"
                last, words = tiles[2], f"{result.best.error[row]:.1f} px^2, {origin}"
            rows.append([*tiles[:2], label(last, words)])
        title = np.full((LABEL_PX, 3 * int(CROP_PX), 3), 255, np.uint8)
        sheet = contact_sheet([[label(title, f"step {step}: image, network, best fit")], *rows])
        _write(self._folder / f"{step:09d}.jpg", sheet)

    @torch.no_grad()
    def _overlays(
        self,
        images: list[UInt8[np.ndarray, "S S 3"]],
        pose: Float[Tensor, "N ..."],
        betas: Float[Tensor, "N 10"],
        translation: Float[Tensor, "N 3"],
    ) -> list[UInt8[np.ndarray, "S S 3"]]:
        pose, betas, translation = (part.detach().cpu() for part in (pose, betas, translation))
        vertices = (self._body.vertices(pose, betas) + translation[:, None]).numpy()
        faces = self._body.faces.numpy()
        pairs = zip(images, vertices, strict=True)
        return [overlay_on_crop(image, mesh, faces) for image, mesh in pairs]


def zoomed(
    state: BodyState, zoom: Float[Tensor, " B"], n: int
) -> tuple[Float[Tensor, "N 72"], Float[Tensor, "N 10"], Float[Tensor, "N 3"]]:
    """The first fits as the zoomed crop shows them; the inverse of `step.unzoom_state`."""
    translation = state.translation * torch.stack([torch.ones_like(zoom), torch.ones_like(zoom), zoom], 1)
    return state.pose[:n], state.betas[:n], translation[:n]


def _tile(image: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "T T 3"]:
    side = int(CROP_PX)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))


def _write(path: Path, sheet: UInt8[np.ndarray, "H W 3"]) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(encode_jpeg(sheet, _JPEG_QUALITY))


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
