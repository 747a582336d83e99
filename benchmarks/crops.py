"""Crops a second from the packed file against the original images, and the size on disk.

Run: `python benchmarks/crops.py --annotations data/annotations/coco_train.parquet --raw DIR`,
or without arguments on photographs of 640 × 480 px that it makes itself, as large as COCO's.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from spinloop.geometry.crop import crop_affine, invert_affine, warp
from spinloop.params.datasets import CropsParams
from spinloop.tables.crops import CropReader, pack_crops
from spinloop.tables.images import read_image
from spinloop.tables.records import ReadCounts, Record, iterate_records, make_id, save_records

CROP_PX = 224


def make_photographs(folder: Path, count: int) -> Path:
    """JPEG files with the detail of photographs, one person of 300 px in each; the table's path."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    records = []
    for number in range(count):
        layers = [
            cv2.resize(rng.integers(0, 255, (h, h * 4 // 3, 3), np.uint8), (640, 480)) for h in (6, 40, 480)
        ]
        image = np.average(layers, axis=0, weights=(6, 3, 1)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        box = {"center": rng.uniform([200, 160], [440, 320]), "scale": 1.5}
        records.append(Record(make_id("s", f"{number}.jpg", 0), f"{number}.jpg", 480, 640, **box))
    save_records(folder / "table.parquet", records)
    return folder / "table.parquet"


def from_originals(raw: Path, records: Sequence[Record]) -> None:
    """What training would do without the packed file."""
    for record in records:
        image = read_image(raw / record.image)
        warp(image, crop_affine(record.center, record.scale, size_px=CROP_PX), CROP_PX)


def from_packed(path: Path, records: Sequence[Record]) -> None:
    """What training does."""
    with CropReader(path) as reader:
        for record in records:
            image, affine = reader.image(reader.index_of[record.id])
            wanted = np.vstack([crop_affine(record.center, record.scale, size_px=CROP_PX), [0, 0, 1]])
            back = np.vstack([invert_affine(affine), [0, 0, 1]])
            warp(image, (wanted @ back)[:2], CROP_PX)


def per_second(
    function: Callable[..., None], source: Path, records: Sequence[Record], processes: int
) -> float:
    """Crops a second, best of three, in random order as training asks for them."""
    order = np.random.default_rng(0).permutation(len(records))
    parts = [[records[row] for row in rows] for rows in np.array_split(order, processes)]
    rates = []
    with get_context("fork").Pool(processes) as pool:
        for _ in range(3):
            start = time.perf_counter()
            pool.starmap(function, [(source, part) for part in parts])
            rates.append(len(records) / (time.perf_counter() - start))
    return max(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--size-px", type=int, default=CROP_PX)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--lossless", action="store_true", help="as test splits are packed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        raw = options.raw or Path(folder) / "raw"
        table = options.annotations or make_photographs(raw, options.count)
        records = list(iterate_records(table))[: options.count]
        packed = Path(folder) / "crops.h5"
        params = CropsParams(size_px=options.size_px, margin=1.77, jpeg_quality=92)
        start = time.perf_counter()
        pack_crops(packed, records, raw, params, ReadCounts(), options.lossless)
        seconds = time.perf_counter() - start
        images = {record.image for record in records}
        sizes = sum((raw / image).stat().st_size for image in images), packed.stat().st_size
        rates = [
            per_second(function, source, records, options.processes)
            for function, source in ((from_originals, raw), (from_packed, packed))
        ]
    print(f"{len(records)} people in {len(images)} images; packing took {seconds:.1f} s")
    print(f"originals {rates[0]:6.0f} crops/s {sizes[0] / len(images) / 1e3:6.1f} kB an image")
    print(f"packed    {rates[1]:6.0f} crops/s {sizes[1] / len(records) / 1e3:6.1f} kB a person")
    print(f"ratio     {rates[1] / rates[0]:6.2f}         {sizes[1] / sizes[0]:6.2f}")


if __name__ == "__main__":
    main()
