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

from spinloop.errors import UserError, shape_fault
from spinloop.files import parsing, reading, require_file
from spinloop.files.hdf5 import Hdf5, hdf5_output, open_hdf5
from spinloop.geometry.crop import crop_affine, warp
from spinloop.params.datasets import CropsParams
from spinloop.tables.images import UnreadableImage, decode, encode_jpeg, encode_png, read_image
from spinloop.tables.records import ReadCounts, Record

_BATCH = 256
_FIX = "make it with `spinloop pack_crops`"
_KEYS = ("ids", "image", "affine")
_KIND = "a file of packed crops"
_MAX_PX = 10_000
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
    with hdf5_output(path) as file:
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
        self._file: Hdf5 | None = None
        self._bytes: dict[str, h5py.Dataset] = {}
        self._process = -1
        with open_hdf5(path, _KIND, _FIX) as file:
            self.ids: list[str] = file.words("ids")
            # 48 bytes a person; looking one up in the file takes longer than decoding its image.
            self._affine = file.numbers("affine")
            self.size_px = int(np.asarray(file.attribute("size_px")))
            self.is_lossless = file.has_attribute("is_lossless") and bool(file.attribute("is_lossless"))
            self.margin = float(np.asarray(file.attribute("margin")))
            fault = shape_fault(self._affine.shape, (len(self.ids), 2, 3))
            if fault or not np.isfinite(self._affine).all():
                raise file.fault(f"affine: {fault or 'not all numbers are finite'}")
            for key in ("image", *(name for name in MASKS if name in file)):
                _check_bytes(file, key, len(self.ids))
            if not (0 < self.size_px < _MAX_PX and 0 < self.margin < _MAX_PX):
                raise file.fault(f"size_px, margin: {self.size_px}, {self.margin}")
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
        self._file, self._bytes = None, {}

    def __getstate__(self) -> dict[str, Any]:
        """An open file does not travel to another process."""
        return {**self.__dict__, "_file": None, "_bytes": {}, "_process": -1}

    def image(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """RGB pixels of a row, and the map from pixels of the original image to them."""
        return self._decoded("image", index, cv2.IMREAD_COLOR_RGB), self._affine[index].copy()

    def mask(self, index: int, name: str) -> UInt8[np.ndarray, "H W"] | None:
        """Grey values of a row's mask at the original image's resolution; None if there is none.

        Args:
            index: the row.
            name: one of `MASKS`.
        """
        dataset = self._opened().get(name)
        if dataset is None or not len(dataset[index]):
            return None
        return self._decoded(name, index, cv2.IMREAD_GRAYSCALE)

    def _decoded(self, name: str, index: int, mode: int) -> np.ndarray:
        where = f"{self._path}: {name}[{index}]"
        with parsing(where, "an image", _FIX):
            try:
                return decode(self._opened()[name][index], where, mode)
            except UnreadableImage as error:
                raise UserError(f"{error}; {_FIX}") from None

    def _opened(self) -> dict[str, h5py.Dataset]:
        """The images' bytes."""
        # A handle inherited through fork shares its file position with the parent's.
        if self._file is None or self._process != os.getpid():
            with reading(self._path, _KIND, _FIX):
                file = Hdf5.open(self._path, _FIX)
                self._bytes = {key: file.dataset(key) for key in ("image", *MASKS) if key in file}
                self._file, self._process = file, os.getpid()
        return self._bytes


def _check_bytes(file: Hdf5, key: str, count: int) -> None:
    dataset = file.dataset(key)
    if dataset.shape != (count,) or h5py.check_vlen_dtype(dataset.dtype) != np.uint8:
        raise file.fault(f"{key}: expected the bytes of {count} images")


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
