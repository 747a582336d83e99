"""Packed crops: every person's image region in one HDF5 file, which is all that training and evaluation read.

The region is the person's box times a margin, upright, resized so that the box is `size_px` wide; `affine`
maps pixels of the original image to pixels of the packed one (sub-pixel, `geometry.crop`), so any crop of the
original is a warp of the packed image. Training images are JPEG, test images PNG. Annotated masks are beside
it as their files' own bytes, at the original's resolution.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import h5py
import numpy as np
from jaxtyping import Float, UInt8

from spinloop.errors import UserError
from spinloop.files import atomic, reading, require_file
from spinloop.geometry.crop import crop_affine, warp
from spinloop.params.datasets import CropsParams
from spinloop.tables.images import UnreadableImage, encode_jpeg, encode_png, read_image
from spinloop.tables.records import ReadCounts, Record

_BATCH = 256
_FIX = "make it with `spinloop pack_crops`"
_KEYS = ("ids", "image", "affine")
MASKS = ("mask", "parts")


class _Packed(NamedTuple):
    id: str
    image: np.ndarray
    affine: np.ndarray
    masks: dict[str, np.ndarray]
    """Bytes of the image files, by `MASKS`; those that are annotated."""


def pack_crops(
    path: Path,
    records: Iterable[Record],
    raw: Path,
    params: CropsParams,
    counts: ReadCounts,
    is_lossless: bool = False,
) -> None:
    """Write the packed crops of a split, in flat memory.

    Args:
        path: the HDF5 file; it appears when all is written.
        records: annotated people, those of one image after each other (each image is then decoded once).
        raw: the dataset's folder.
        params: size, margin, quality.
        counts: what is left out: `unreadable_image`; such people have no crop.
        is_lossless: PNG in place of JPEG.

    Raises:
        UserError: an image is absent, or none can be read.
    """
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("ids", (0,), h5py.string_dtype(), maxshape=(None,), chunks=(_BATCH,))
        file.create_dataset("image", (0,), h5py.vlen_dtype(np.uint8), maxshape=(None,), chunks=(_BATCH,))
        file.create_dataset("affine", (0, 2, 3), "f8", maxshape=(None, 2, 3), chunks=(_BATCH, 2, 3))
        for name in MASKS:
            file.create_dataset(name, (0,), h5py.vlen_dtype(np.uint8), maxshape=(None,), chunks=(_BATCH,))
        file.attrs["size_px"] = params.size_px
        file.attrs["margin"] = params.margin
        file.attrs["is_lossless"] = is_lossless
        batch: list[_Packed] = []
        for packed in _packed(records, raw, params, counts, is_lossless):
            batch.append(packed)
            if len(batch) == _BATCH:
                _append(file, batch)
                batch = []
        _append(file, batch)
        if not counts.n_kept:
            raise UserError(f"{raw}: {counts.summary()}; restore the images")


def pack_crop(
    image: UInt8[np.ndarray, "H W 3"],
    center: Float[np.ndarray, " 2"],
    scale: float,
    params: CropsParams,
    is_lossless: bool = False,
) -> tuple[UInt8[np.ndarray, " bytes"], Float[np.ndarray, "2 3"]]:
    """JPEG or PNG of one person's region, and the map from the original's pixels to its pixels."""
    side = params.side_px
    affine = crop_affine(center, scale * side / params.size_px, size_px=float(side))
    region = warp(image, affine, side)
    data = encode_png(region) if is_lossless else encode_jpeg(region, params.jpeg_quality)
    return np.frombuffer(data, np.uint8), affine


class CropReader:
    """Reads a file of packed crops; a row is a person, `ids` names the rows.

    Safe in any number of processes, forked or not: each opens the file for itself on its first read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: h5py.File | None = None
        self._images: h5py.Dataset | None = None
        self._process = -1
        with reading(path, "a file of packed crops", _FIX), h5py.File(path, "r", locking=False) as file:
            absent = [key for key in _KEYS if key not in file]
            if absent:
                raise UserError(f"{path}: {absent[0]}: dataset missing; {_FIX}")
            self.ids: list[str] = [key.decode() for key in _dataset(file, "ids")[()]]
            # 48 bytes a person; looking one up in the file takes longer than decoding its image.
            self._affine = _dataset(file, "affine")[()]
            self.size_px = int(np.asarray(file.attrs["size_px"]))
            self.is_lossless = bool(file.attrs.get("is_lossless", False))
            self.margin = float(np.asarray(file.attrs["margin"]))
        self.index_of = {key: index for index, key in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> "CropReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
        self._file = self._images = None

    def __getstate__(self) -> dict[str, Any]:
        """An open file does not travel to another process."""
        return {**self.__dict__, "_file": None, "_images": None, "_process": -1}

    def image(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """RGB pixels of a row, and the map from pixels of the original image to them."""
        image = cv2.imdecode(self._opened()[index], cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise UserError(f"{self._path}: image[{index}]: damaged; {_FIX}")
        return image, self._affine[index].copy()

    def mask(self, index: int, name: str) -> UInt8[np.ndarray, "H W"] | None:
        """Grey values of a row's mask at the original image's resolution; None if there is none.

        Args:
            index: the row.
            name: one of `MASKS`.
        """
        self._opened()
        assert self._file is not None
        data = _dataset(self._file, name)[index] if name in self._file else np.empty(0)
        if not len(data):
            return None
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise UserError(f"{self._path}: {name}[{index}]: not an image; {_FIX}")
        return image

    def _opened(self) -> h5py.Dataset:
        """The images' bytes."""
        # A handle inherited through fork shares its file position with the parent's.
        if self._images is None or self._process != os.getpid():
            self._file = h5py.File(self._path, "r", locking=False)
            self._images = _dataset(self._file, "image")
            self._process = os.getpid()
        return self._images


def _packed(
    records: Iterable[Record], raw: Path, params: CropsParams, counts: ReadCounts, is_lossless: bool
) -> Iterator[_Packed]:
    name: str | None = None
    image: np.ndarray | None = None
    for record in records:
        if record.image != name:
            name, image = record.image, _decode(raw / record.image)
        if image is None:
            counts.leave_out("unreadable_image", record.id)
            continue
        counts.keep()
        files = {key: getattr(record, key) for key in MASKS}
        masks = {key: _file_bytes(raw / file) for key, file in files.items() if file is not None}
        region, affine = pack_crop(image, record.center, record.scale, params, is_lossless)
        yield _Packed(record.id, region, affine, masks)


def _decode(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except UnreadableImage:
        return None


def _file_bytes(path: Path) -> np.ndarray:
    return np.fromfile(require_file(path, "restore it, or preprocess the split without masks"), np.uint8)


def _append(file: h5py.File, batch: list[_Packed]) -> None:
    if not batch:
        return
    start = len(_dataset(file, "ids"))
    stop = start + len(batch)
    for key in (*_KEYS, *MASKS):
        _dataset(file, key).resize(stop, axis=0)
    # One by one: h5py would take rows of equal length for a matrix.
    for index, packed in enumerate(batch, start):
        _dataset(file, "image")[index] = packed.image
        for name, data in packed.masks.items():
            _dataset(file, name)[index] = data
    _dataset(file, "ids")[start:stop] = [packed.id for packed in batch]
    _dataset(file, "affine")[start:stop] = np.stack([packed.affine for packed in batch])


def _dataset(file: h5py.File, key: str) -> h5py.Dataset:
    found = file[key]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(key)
    return found
