"""Rows a second of reading datasets into tables, and of checking and writing a table.

    OMP_NUM_THREADS=1 python benchmarks/tables.py

Makes COCO, 3DPW and LSPET of the given number of people from their format descriptions, reads each into a
table (image sizes, annotation, check, Parquet) and writes the records again in two ways: as the package
does, by columns, and after a check of every cell by itself. Processor time of one core.
"""

import argparse
import json
import math
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import savemat

from spinloop.datasets import READERS, read_source
from spinloop.joints import COCO17
from spinloop.tables.records import RECORD, ReadCounts, Record, iterate_records, save_records
from spinloop.tables.schema import Column
from spinloop.tables.table import ROWS_PER_GROUP

RULES = {"raw": "", "box_factor": 1.2}
JOINT_RULES = {**RULES, "openpose": None, "min_limb_joints": 6}
SOURCES: dict[str, dict[str, Any]] = {
    "coco": {"reader": "coco", "subset": "train2017", **JOINT_RULES},
    "pw3d": {"reader": "pw3d", "subset": "test", **RULES},
    "lspet": {"reader": "lspet", **JOINT_RULES},
}


def image(suffix: str) -> bytes:
    """An image file of 640 × 480."""
    coarse = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return cv2.imencode(suffix, cv2.resize(coarse, (640, 480)))[1].tobytes()


def make_coco(raw: Path, n: int) -> None:
    """Two people on each image."""
    rng, content = np.random.default_rng(1), image(".jpg")
    (raw / "train2017").mkdir(parents=True)
    (raw / "annotations").mkdir()
    images, people = [], []
    for number in range(n):
        key = number // 2
        if number % 2 == 0:
            images.append({"id": key, "file_name": f"{key:012d}.jpg", "height": 480, "width": 640})
            (raw / "train2017" / images[-1]["file_name"]).write_bytes(content)
        joints = np.concatenate([rng.integers(20, 450, (17, 2)), np.full((17, 1), 2)], axis=1)
        outline = rng.uniform(0, 400, 60).round(2).tolist()
        people.append(
            {
                "id": number, "image_id": key, "bbox": [10.5, 20.25, 200.0, 300.0],
                "keypoints": joints.ravel().tolist(), "segmentation": [outline],
            }
        )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17)}
    text = json.dumps({"images": images, "annotations": people, "categories": [category]})
    (raw / "annotations" / "person_keypoints_train2017.json").write_text(text)


def make_pw3d(raw: Path, n: int) -> None:
    """One sequence of two people."""
    rng, content, n_frames = np.random.default_rng(2), image(".jpg"), n // 2
    joints = [rng.uniform(20, 200, (n_frames, 3, 18)) for _ in range(2)]
    for one in joints:
        one[:, 2] = rng.uniform(0.1, 1, (n_frames, 18))
    sequence = {
        "poses": [rng.normal(size=(n_frames, 72)) for _ in range(2)],
        "betas": [rng.normal(size=10) for _ in range(2)],
        "poses2d": joints,
        "cam_poses": np.tile(np.eye(4), (n_frames, 1, 1)),
        "genders": ["f", "m"],
        "campose_valid": [np.ones(n_frames, dtype=int) for _ in range(2)],
    }
    for folder in ("sequenceFiles/test", "imageFiles/walk_00"):
        (raw / folder).mkdir(parents=True)
    (raw / "sequenceFiles/test/walk_00.pkl").write_bytes(pickle.dumps(sequence, protocol=2))
    for frame in range(n_frames):
        (raw / f"imageFiles/walk_00/image_{frame:05d}.jpg").write_bytes(content)


def make_lspet(raw: Path, n: int) -> None:
    """One person on each image."""
    raw.mkdir(parents=True)
    places = np.random.default_rng(3).uniform(5, 450, (14, 2, n))
    savemat(raw / "joints.mat", {"joints": np.concatenate([places, np.ones((14, 1, n))], axis=1)})
    content = image(".png")
    for number in range(n):
        (raw / f"im{number:05d}.png").write_bytes(content)


MAKERS: dict[str, Callable[[Path, int], None]] = {
    "coco": make_coco, "pw3d": make_pw3d, "lspet": make_lspet,
}  # fmt: skip


def cell_fault(column: Column, cell: Any) -> str | None:
    """The check of one cell."""
    if cell is None:
        return None if column.is_nullable else "null"
    if column.kind == "string":
        is_right = isinstance(cell, str) and cell and (not column.choices or cell in column.choices)
        return None if is_right else "no such word"
    values = np.asarray(cell, dtype=np.float64)
    if values.shape != column.shape or not np.isfinite(values).all():
        return "shape or not finite"
    if column.has_confidence:
        confidence, values = values[..., -1], values[..., :-1]
        if confidence.min() < 0 or confidence.max() > 1 or values[confidence == 0].any():
            return "confidence"
    if column.lower is not None and values.min() < column.lower:
        return "below"
    return "above" if column.upper is not None and values.max() > column.upper else None


def save_by_cells(path: Path, records: Sequence[Record]) -> None:
    """The table of `save_records`, each cell checked and converted for itself."""
    schema = RECORD.schema()
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as sink:
        for start in range(0, len(records), ROWS_PER_GROUP):
            rows = [record.row() for record in records[start : start + ROWS_PER_GROUP]]
            for column in RECORD.columns:
                for row in rows:
                    if fault := cell_fault(column, row[column.name]):
                        raise ValueError(f"{row['id']}: {column.name}: {fault}")
            arrays = [cells_to_arrow(column, schema, rows) for column in RECORD.columns]
            sink.write_table(pa.Table.from_arrays(arrays, schema=schema))


def cells_to_arrow(column: Column, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
    """A column, cell by cell."""
    cells, kind = [row[column.name] for row in rows], schema.field(column.name).type
    if not column.shape:
        return pa.array(cells, type=kind)
    flat = np.zeros((len(cells), math.prod(column.shape)), dtype=column.kind)
    for index, cell in enumerate(cells):
        if cell is not None:
            flat[index] = np.asarray(cell, dtype=column.kind).reshape(-1)
    absent = pa.array([cell is None for cell in cells])
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), type=kind, mask=absent)


def rows_per_second(n: int, function: Callable[[], object], n_times: int = 3) -> float:
    """The best of some runs."""
    times = []
    for _ in range(n_times):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return n / min(times)


def main() -> None:
    """Print a line per dataset."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--people", type=int, default=8000)
    n = parser.parse_args().people
    print(f"{'':8}{'preprocess':>14}{'save, columns':>16}{'save, cells':>14}{'ratio':>8}   rows a second")
    with tempfile.TemporaryDirectory() as temporary:
        for name, make in MAKERS.items():
            raw, table = Path(temporary) / name, Path(temporary) / f"{name}.parquet"
            make(raw, n)
            rules = READERS[name].source(**SOURCES[name])

            def preprocess(name: str = name, raw: Path = raw, table: Path = table, rules: Any = rules) -> int:
                return save_records(table, read_source(name, raw, "split", rules, False, ReadCounts()))

            whole = rows_per_second(n, preprocess)
            records = list(iterate_records(table))
            by_columns = rows_per_second(n, lambda table=table, records=records: save_records(table, records))
            written = table.read_bytes()
            by_cells = rows_per_second(n, lambda table=table, records=records: save_by_cells(table, records))
            assert table.read_bytes() == written
            ratio = by_columns / by_cells
            print(f"{name:8}{whole:14.0f}{by_columns:16.0f}{by_cells:14.0f}{ratio:8.1f}", flush=True)


if __name__ == "__main__":
    main()
