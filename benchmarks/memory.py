"""Peak memory of `preprocess` and `merge` as the number of people grows: does the table stream?

Run: `python benchmarks/memory.py` (300,000 people in 3DPW's layout take a few minutes).
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from spinloop.tables.records import Record, make_id, save_records

_FRAMES = 500
PARAMS = """
sources: {big: {reader: pw3d, raw: x, subset: test, box_factor: 1.2}}
merge: {max_distance: 0.1, min_common_joints: 3}
runtime: {threads: 1}
"""


def make_videos(raw: Path, n_people: int) -> None:
    """Sequence files of two people and 500 frames each; all frames are one picture."""
    (raw / "sequenceFiles" / "test").mkdir(parents=True)
    rng = np.random.default_rng(0)
    joints = rng.uniform(1, 60, (_FRAMES, 3, 18))
    content = {
        "poses": [rng.normal(size=(_FRAMES, 72))] * 2, "betas": [np.zeros(10)] * 2, "genders": ["m", "f"],
        "poses2d": [joints] * 2, "cam_poses": np.tile(np.eye(4), (_FRAMES, 1, 1)),
        "campose_valid": [np.ones(_FRAMES)] * 2,
    }  # fmt: skip
    for number in range(n_people // (2 * _FRAMES)):
        name = f"video_{number:04d}"
        file = raw / "sequenceFiles" / "test" / f"{name}.pkl"
        file.write_bytes(pickle.dumps({**content, "sequence": name}, protocol=2))
        folder = raw / "imageFiles" / name
        folder.mkdir(parents=True)
        first = folder / "image_00000.jpg"
        cv2.imwrite(str(first), np.zeros((64, 64, 3), np.uint8))
        for frame in range(1, _FRAMES):
            (folder / f"image_{frame:05d}.jpg").hardlink_to(first)


def make_table(path: Path, n_people: int) -> None:
    """A table of annotated people with 2D joints, two in an image."""
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(1, 60, (24, 2)), np.ones((24, 1))], axis=1)
    box = {"center": np.array([30.0, 30.0]), "scale": 0.3, "keypoints": keypoints}
    names = ((number, f"images/{number // 2:09d}.jpg") for number in range(n_people))
    records = (Record(make_id("big", image, number), image, 64, 64, **box) for number, image in names)
    save_records(path, records)


def peak_mb(*words: str) -> float:
    """Peak resident memory of a command, MB, measured in a process of its own."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 300_000])
    options = parser.parse_args()
    print(f"{'people':>8} {'preprocess MB':>14} {'merge MB':>9}")
    for count in options.people:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_videos(folder / "raw", count)
            (folder / "params.yaml").write_text(PARAMS)
            common = "--params", str(folder / "params.yaml"), "--stats", str(folder / "stats.json")
            make_table(folder / "joints.parquet", count)
            joints = "merge", "--annotations", str(folder / "joints.parquet")
            read = "preprocess", "--split", "big", "--source", "pw3d", "--raw", str(folder / "raw")
            peaks = [
                peak_mb("spinloop", *read, "--out", str(folder / "table.parquet"), *common),
                peak_mb("spinloop", *joints, "--out", str(folder / "keypoints.parquet"), *common),
            ]
        print(f"{count:>8} {peaks[0]:>14.0f} {peaks[1]:>9.0f}")


if __name__ == "__main__":
    main()
