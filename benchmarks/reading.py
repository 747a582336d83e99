"""How long good files take to read, compared with the plain libraries that the gate replaces or surrounds.

Run it from the repository: `python benchmarks/reading.py`. It prints one line a format: milliseconds of the
library alone and of spinloop, and their ratio; both in one process, the fastest of several alternating runs.
"""

import json
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from spinloop.files import read_json, read_npz, read_weights
from spinloop.files.hdf5 import open_hdf5
from spinloop.files.pickles import load_pickle
from spinloop.mirror.pw3d import dumps_python2
from spinloop.tables.images import decode, read_image
from spinloop.tables.table import read_columns

REPEATS = 15
FIX = "make it again"


def plain_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def plain_pickle(path: Path) -> Any:
    with path.open("rb") as stream:
        return pickle.load(stream, encoding="latin1")


def plain_hdf5(path: Path) -> list[Any]:
    with h5py.File(path, "r", locking=False) as file:
        return [file["x"][()], [word.decode() for word in file["ids"][()]]]


def gated_hdf5(path: Path) -> list[Any]:
    with open_hdf5(path, "a file", FIX) as file:
        return [file.numbers("x"), file.words("ids")]


def plain_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def fastest(readers: list[Callable[[Path], Any]], path: Path) -> list[float]:
    """Seconds of each reader."""
    best = [float("inf")] * len(readers)
    for _ in range(REPEATS):
        for index, read in enumerate(readers):
            start = time.perf_counter()
            read(path)
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {"posedirs": rng.normal(size=(6890, 3, 207)), "weights": rng.random((6890, 24))}
        np.savez(folder / "body.npz", allow_pickle=False, **arrays)
        np.savez_compressed(folder / "packed.npz", allow_pickle=False, **arrays)
        many = {
            "poses": [rng.normal(size=(2000, 72)) for _ in range(2)],
            "names": [f"a{n}" for n in range(500)],
        }
        (folder / "old.pkl").write_bytes(dumps_python2(many | arrays))
        (folder / "new.pkl").write_bytes(pickle.dumps(many | arrays, 4))
        torch.save({f"layer{n}": torch.randn(256, 256) for n in range(60)}, folder / "net.pt")
        entries = [{"id": n, "image_id": n, "keypoints": rng.random(51).tolist()} for n in range(3000)]
        (folder / "coco.json").write_text(json.dumps({"annotations": entries}))
        with h5py.File(folder / "fits.h5", "w") as file:
            file["x"], file["ids"] = (
                rng.normal(size=(20_000, 72)),
                [f"coco_train/a.jpg#{n}" for n in range(20_000)],
            )
        smooth = cv2.GaussianBlur(rng.integers(0, 255, (480, 640, 3), np.uint8), (9, 9), 3)
        cv2.imwrite(str(folder / "a.jpg"), smooth)
        crop = np.asarray(cv2.imencode(".jpg", cv2.resize(smooth, (336, 336)))[1])
        table = {"id": [f"a{n}" for n in range(50_000)], "x": rng.random(50_000)}
        pq.write_table(pa.table(table), folder / "t.parquet")
        pairs: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
            "npz": ("body.npz", plain_npz, lambda path: read_npz(path, FIX)),
            "npz, packed": ("packed.npz", plain_npz, lambda path: read_npz(path, FIX)),
            "pickle of Python 2": ("old.pkl", plain_pickle, lambda path: load_pickle(path, FIX)),
            "pickle of Python 3": ("new.pkl", plain_pickle, lambda path: load_pickle(path, FIX)),
            "PyTorch": ("net.pt", lambda path: torch.load(path, weights_only=True), lambda path: read_weights(path, FIX)),
            "JSON": ("coco.json", lambda path: json.loads(path.read_text(encoding="utf-8")), read_json),
            "HDF5": ("fits.h5", plain_hdf5, gated_hdf5),
            "Parquet": ("t.parquet", lambda path: pq.read_table(path).to_pydict(), lambda path: read_columns(path, ["id", "x"], FIX)),
            "photograph": ("a.jpg", plain_image, read_image),
            "crop's JPEG": ("a.jpg", lambda _: cv2.imdecode(crop, cv2.IMREAD_COLOR_RGB), lambda _: decode(crop, "crop", cv2.IMREAD_COLOR_RGB)),
        }  # fmt: skip
        print(f"{'format':22}{'library':>10}{'spinloop':>10}{'ratio':>8}")
        for title, (file, plain, gated) in pairs.items():
            before, now = fastest([plain, gated], folder / file)
            print(f"{title:22}{1e3 * before:8.2f} ms{1e3 * now:7.2f} ms{now / before:8.2f}")


if __name__ == "__main__":
    main()
