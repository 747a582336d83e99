"""What is recorded of a running training: its curve as CSV, contact sheets, TensorBoard and DVCLive logs."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from spinloop.params.training import MonitorParams
from spinloop.regression.hmr import visible_images
from spinloop.rendering.pictures import LABEL_PX, contact_sheet, label, overlay_on_crop
from spinloop.tables.images import encode_jpeg
from spinloop.training.batches import Batch
from spinloop.training.step import StepResult

_JPEG_QUALITY = 90


class History:
    """The training curve: means over windows of steps, without any clock time.

    Args:
        every: steps averaged in a row. A last, shorter window makes a row too.
    """

    def __init__(self, every: int):
        self._every = every
        self._rows: list[dict[str, float]] = []
        self._window: list[dict[str, float]] = []

    def add(self, step: int, values: Mapping[str, float]) -> dict[str, float] | None:
        """Add the values of one step, counted from 1; every step has the same names.

        Returns:
            The means of the window that ends with this step, if one does.
        """
        self._window.append(dict(values))
        if step % self._every:
            return None
        self._close_window(step)
        return {name: value for name, value in self.latest.items() if name != "step"}

    @property
    def latest(self) -> dict[str, float]:
        """The means of the last complete window, or else of the steps so far."""
        return {name: float(value) for name, value in (self._rows or [_means(self._window)])[-1].items()}

    def write(self, path: Path, step: int) -> None:
        """Write all rows.

        Args:
            path: CSV file.
            step: number of steps done; closes the open window.
        """
        if self._window:
            self._close_window(step)
        with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            names = list(self._rows[0]) if self._rows else ["step"]
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            for row in self._rows:
                writer.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint, as plain lists."""
        return {
            "rows": [dict(row) for row in self._rows],
            "window": [dict(values) for values in self._window],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._rows = [dict(row) for row in state["rows"]]
        self._window = [dict(values) for values in state["window"]]

    def _close_window(self, step: int) -> None:
        self._rows.append({"step": step, **_means(self._window)})
        self._window = []


def _means(window: list[dict[str, float]]) -> dict[str, float]:
    names = window[0] if window else {}
    return {name: math.fsum(values[name] for values in window) / len(window) for name in names}


class Monitor:
    """Contact sheets and logs of a run, for people; no result depends on them.

    Args:
        folder: sheets and logs go into folders below it.
        params: which of them are made.
        body: its mesh is rendered on the sheets.
    """

    def __init__(self, folder: Path, params: MonitorParams, body: BodyModel) -> None:
        self._folder, self._params = folder, params
        self._sheets = ContactSheets(folder / "sheets", body, params.sheet_people)
        self._logs: list[TensorBoardLog | DvcLiveLog] = []

    def open(self, step: int) -> None:
        """Open the logs; the run starts after this number of steps."""
        wanted = [(self._params.tensorboard, TensorBoardLog), (self._params.dvclive, DvcLiveLog)]
        self._logs = [log(self._folder / log.folder, step) for is_on, log in wanted if is_on]

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Write a row of the training curve to the logs."""
        for log in self._logs:
            log.write(step, row)

    def add_sheet(self, step: int, batch: Batch, result: StepResult) -> None:
        """Write a contact sheet, if one is due."""
        if self._params.sheet_every and step % self._params.sheet_every == 0:
            self._sheets.write(step, batch, result)

    def close(self) -> None:
        """Close the logs."""
        for log in self._logs:
            log.close()


class TensorBoardLog:
    """Event files of TensorBoard.

    Args:
        folder: those of a stopped run are kept, without what it wrote after `step`.
        step: number of steps done before the run.
    """

    folder = "tensorboard"

    def __init__(self, folder: Path, step: int) -> None:
        # It takes a second to import, and most runs do not use it.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the files."""
        self._writer.close()


class DvcLiveLog:
    """Tables of DVCLive, shown by `dvc plots` and by extensions of editors.

    Args:
        folder: where they lie.
        step: number of steps done before the run.
    """

    folder = "dvclive"

    def __init__(self, folder: Path, step: int) -> None:
        from dvclive.live import Live

        # DVC runs the stage already: DVCLive must neither edit dvc.yaml nor commit.
        self._live = Live(str(folder), resume=step > 0, dvcyaml=None, save_dvc_exp=False, report=None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def close(self) -> None:
        """Flush and close the files."""
        self._live.end()


class ContactSheets:
    """Sheets of image, network's estimate and best fit; the same run writes the same bytes.

    Args:
        folder: the sheets are named by their steps.
        body: its mesh is rendered.
        n_people: rows of a sheet.
    """

    def __init__(self, folder: Path, body: BodyModel, n_people: int) -> None:
        self._folder, self._body, self._n_people = folder, body, n_people

    def write(self, step: int, batch: Batch, result: StepResult) -> None:
        """Write the sheet of a step, one person a row."""
        n = min(self._n_people, len(batch.ids))
        images = [_resize(image) for image in visible_images(batch.images[:n])]
        predicted, best = result.predicted, result.best
        estimates = self._overlays(
            images, predicted.rotations[:n], predicted.betas[:n], camera_to_translation(predicted.camera[:n])
        )
        fits = self._overlays(images, *zoom_fits(best.state, batch.zoom, n))
        rows = []
        for row, tiles in enumerate(zip(images, estimates, fits, strict=True)):
            last, text = tiles[0], "no fit"
            if best.is_known[row]:
                origin = "new" if result.is_accepted[row] else "kept"
                last, text = tiles[2], f"{best.error[row]:.1f} px^2, {origin}"
            rows.append([*tiles[:2], label(last, text)])
        title = np.full((LABEL_PX, 3 * int(CROP_PX), 3), 255, np.uint8)
        sheet = contact_sheet([[label(title, f"step {step}: image, network, best fit")], *rows])
        with atomic(self._folder / f"{step:09d}.jpg") as temporary:
            temporary.write_bytes(encode_jpeg(sheet, _JPEG_QUALITY))

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


def zoom_fits(
    state: BodyState, zoom: Float[Tensor, " B"], n: int
) -> tuple[Float[Tensor, "N 72"], Float[Tensor, "N 10"], Float[Tensor, "N 3"]]:
    """Pose, shape and translation of the first `n` fits in the zoomed crop (see `step.unzoom_state`)."""
    translation = state.translation * torch.stack([torch.ones_like(zoom), torch.ones_like(zoom), zoom], 1)
    return state.pose[:n], state.betas[:n], translation[:n]


def _resize(image: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "T T 3"]:
    side = int(CROP_PX)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))
