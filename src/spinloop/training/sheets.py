"""Sheets for the person who watches: images of a batch, what the network said, what it was taught."""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spinloop.body.model import BodyModel
from spinloop.body.state import BodyState
from spinloop.files import atomic
from spinloop.geometry.camera import camera_to_translation
from spinloop.geometry.crop_frame import CENTER_PX, CROP_PX, FOCAL_PX
from spinloop.regression.inputs import visible_images
from spinloop.rendering.overlay import overlay
from spinloop.training.data import Batch
from spinloop.training.step import StepResult

_JPEG_QUALITY = 90
_TITLE_PX = 20
_WHITE, _GREY = 255, 90


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
            rows.append(np.concatenate([*tiles[:2], _labelled(last, words)], axis=1))
        sheet = np.concatenate([_title(f"step {step}: image, network, best fit", rows[0].shape[1]), *rows])
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
        center, faces = (CENTER_PX, CENTER_PX), self._body.faces.numpy()
        pairs = zip(images, vertices, strict=True)
        return [overlay(image, mesh, faces, FOCAL_PX, center) for image, mesh in pairs]


def zoomed(
    state: BodyState, zoom: Float[Tensor, " B"], n: int
) -> tuple[Float[Tensor, "N 72"], Float[Tensor, "N 10"], Float[Tensor, "N 3"]]:
    """The first fits as the zoomed crop shows them; the inverse of `step.unzoom_state`."""
    translation = state.translation * torch.stack([torch.ones_like(zoom), torch.ones_like(zoom), zoom], 1)
    return state.pose[:n], state.betas[:n], translation[:n]


def _tile(image: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "T T 3"]:
    side = int(CROP_PX)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))


def _labelled(tile: UInt8[np.ndarray, "T T 3"], text: str) -> UInt8[np.ndarray, "T T 3"]:
    tile = tile.copy()
    tile[-_TITLE_PX:] //= 3
    at = (6, tile.shape[0] - 6)
    cv2.putText(tile, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (_WHITE,) * 3, 1, cv2.LINE_AA)
    return tile


def _title(text: str, width: int) -> UInt8[np.ndarray, "H W 3"]:
    bar = np.full((_TITLE_PX, width, 3), _WHITE, np.uint8)
    cv2.putText(bar, text, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (_GREY,) * 3, 1, cv2.LINE_AA)
    return bar


def _write(path: Path, sheet: UInt8[np.ndarray, "H W 3"]) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), options)
    if not is_encoded:
        raise RuntimeError("OpenCV could not encode a JPEG image")
    with atomic(path) as temporary:
        temporary.write_bytes(data.tobytes())
