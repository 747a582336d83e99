"""One small good file of each kind that users bring, what reads it, and how it can be rewritten wrongly."""

import gzip
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch

from spinloop.datasets import read_source
from spinloop.datasets.h36m import read_poses
from spinloop.datasets.matlab import Hdf5Mat, mat5_bytes, read_cells, write_mat73
from spinloop.evaluation.submissions import read_submitted
from spinloop.files import read_npy, read_npz, read_weights
from spinloop.files.pickles import load_arrays, load_pickle
from spinloop.fitting.user_keypoints import read_keypoint_file
from spinloop.keypoints.detections import open_detections
from spinloop.lifting.network import Lifter, LifterNetworkParams, load_lifter, save_lifter
from spinloop.mirror.h36m import _write_cdf
from spinloop.motion.mixture import load_mixture
from spinloop.motion.readers import read_motion
from spinloop.motion.recordings import read_bvh
from spinloop.params.datasets import CocoSource, CropsParams, LspetSource, MpiiSource, Pw3dSource
from spinloop.params.loader import load_yaml, parse_section
from spinloop.params.training import NetworkParams, TrainParams
from spinloop.tables.crops import CropReader, pack_crops
from spinloop.tables.fits import FitStore
from spinloop.tables.images import Video, read_image, read_size
from spinloop.tables.records import ReadCounts, Record, load_records, save_records

RNG = np.random.default_rng(0)
FIX = "restore it"
PARAMS = Path(__file__).parents[2] / "params.yaml"
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 10 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.033333
0 90 0 0 0 0 1 2 3
0 90 0 1 2 3 4 5 6
"""


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    name: str
    file: str
    """Where the file lies in a folder."""
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    rewrite: str = "bytes"
    """How it is changed beside its bytes: json, yaml, npz, hdf5, torch."""


def _photo(path: Path, height: int = 60, width: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.GaussianBlur(RNG.integers(0, 255, (height, width, 3), np.uint8), (9, 9), 3))
    return path


def _records(raw: Path) -> list[Record]:
    _photo(raw / "a.png")
    rows = []
    for number in range(3):
        keypoints = np.zeros((24, 3))
        keypoints[:, :2], keypoints[:, 2] = RNG.uniform(5, 50, (24, 2)), 1
        rows.append(
            Record(f"s/a.png#{number}", "a.png", 60, 80, np.array([40.0, 30.0]), 0.3, keypoints=keypoints)
        )
    return rows


def _mixture() -> dict[str, np.ndarray]:
    return {
        "means": RNG.normal(size=(2, 69)),
        "covars": np.stack([np.eye(69)] * 2),
        "weights": np.array([0.5, 0.5]),
    }


def _crops(path: Path) -> None:
    params = CropsParams(size_px=32, margin=1.5, jpeg_quality=90)
    pack_crops(path, _records(path.parent), path.parent, params, ReadCounts())


def _read_crops(path: Path) -> object:
    with CropReader(path) as reader:
        return [(reader.image(index), reader.mask(index, "mask")) for index in range(len(reader))]


def _train_h5(path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        _photo(path.parent / "images" / name)
    with h5py.File(path, "w") as file:
        file["imgname"] = np.array([b"a.jpg", b"b.jpg"])
        file["center"], file["scale"] = np.full((2, 2), 30.0), np.full(2, 0.3)
        file["part"] = RNG.uniform(5, 50, (2, 16, 2))


def _dataset(name: str, depth: int, source: Any) -> Callable[[Path], object]:
    return lambda path: list(read_source(name, path.parents[depth], "s", source, False, ReadCounts()))


_RULES = {"raw": "x", "openpose": None, "box_factor": 1.2, "min_limb_joints": 2}


def _coco(path: Path) -> None:
    names = ("nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
             "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle").split()  # fmt: skip
    _photo(path.parents[1] / "train2014" / "a.jpg")
    people = [
        {"id": n, "image_id": 7, "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 30, 40], "num_keypoints": 17,
         "keypoints": [value for x, y in RNG.integers(5, 50, (17, 2)).tolist() for value in (x, y, 2)]}
        for n in range(3)
    ]  # fmt: skip
    images = [{"id": 7, "file_name": "a.jpg", "height": 60, "width": 80}]
    categories = [{"id": 1, "name": "person", "keypoints": names}]
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))


def _detections(path: Path) -> object:
    detections = open_detections(path)
    detections.require_any()
    return [detections.of_key(key) for key in detections.keys]


def _pw3d(path: Path) -> None:
    for frame in range(2):
        _photo(path.parents[2] / "imageFiles" / path.stem / f"image_{frame:05d}.jpg")
    people = {"poses": RNG.normal(size=(2, 72)), "betas": RNG.normal(size=10), "campose_valid": np.ones(2)}
    content = {key: [value] for key, value in people.items()} | {
        "genders": ["m"],
        "cam_poses": np.stack([np.eye(4)] * 2),
    }
    content["poses2d"] = [RNG.uniform(5, 50, (2, 3, 18))]
    path.write_bytes(pickle.dumps(content, 2))


def _smpl(path: Path) -> None:
    arrays = {
        "v_template": RNG.normal(size=(40, 3)),
        "J_regressor": np.eye(3),
        "f": np.arange(30),
        "bs": "lbs",
    }
    path.write_bytes(pickle.dumps(arrays, 2))


def _network(path: Path) -> None:
    params = NetworkParams.model_validate(
        {"backbone": "resnet18", "width": 8, "head_width": 8, "image_px": 32, "n_iterations": 1, "dropout": 0.0,
         "compat": "none"}
    )  # fmt: skip
    state = {"conv1.weight": torch.randn(8, 3, 7, 7), "bn1.num_batches_tracked": torch.tensor(3)}
    torch.save({"model": state, "network": params.model_dump(), "more": np.float64(3)}, path)


def _lifter(path: Path) -> None:
    params = LifterNetworkParams(width=8, n_blocks=1)
    save_lifter(path, Lifter(params, torch.zeros(_n_outputs()), torch.Generator()), params)


def _n_outputs() -> int:
    from spinloop.lifting.network import N_OUTPUTS

    return N_OUTPUTS


def _video(path: Path, code: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (64, 48))
    for _ in range(4):
        writer.write(cv2.GaussianBlur(RNG.integers(0, 255, (48, 64, 3), np.uint8), (9, 9), 3))
    writer.release()


def _read_video(path: Path) -> object:
    return [read_image(path / f"{frame + 1:06d}.jpg") for frame in range(min(Video(path).n_frames, 20))]


def _read_mat73(path: Path) -> object:
    with Hdf5Mat(path, FIX) as file:
        cells = file.cells("Masks")
        return file.numbers("valid", (None, None)), [cells[index] for index in range(min(len(cells), 9))]


def _submission(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["ids"], file["joints"] = ["a", "b"], RNG.normal(size=(2, 17, 3))
        file["pose"], file["betas"] = RNG.normal(size=(2, 72)), RNG.normal(size=(2, 10))
        file["joint_names"] = [f"j{n}" for n in range(17)]


def _params(path: Path) -> object:
    values = load_yaml(path)
    return parse_section(values, "train", TrainParams, path), parse_section(
        values, "network", NetworkParams, path
    )


def _openpose(path: Path) -> None:
    keypoints = np.concatenate([RNG.uniform(5, 300, (25, 2)), np.ones((25, 1))], 1).reshape(-1).tolist()
    path.write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": keypoints}] * 2}))


def _alphapose(path: Path) -> None:
    entry = {
        "image_id": "a.jpg",
        "category_id": 1,
        "score": 2.0,
        "keypoints": RNG.uniform(5, 300, 51).tolist(),
    }
    path.write_text(json.dumps([entry] * 2))


_SOURCES = {
    "coco": CocoSource.model_validate({"reader": "coco", "subset": "train2014", **_RULES}),
    "mpii": MpiiSource.model_validate({"reader": "mpii", **_RULES}),
    "lspet": LspetSource.model_validate({"reader": "lspet", **_RULES}),
    "pw3d": Pw3dSource.model_validate({"reader": "pw3d", "raw": "x", "subset": "test", "box_factor": 1.2}),
}


def _lspet(path: Path) -> None:
    _photo(path.parent / "images" / "im00001.png")
    path.write_bytes(
        mat5_bytes({"joints": np.concatenate([RNG.uniform(5, 50, (14, 2, 1)), np.ones((14, 1, 1))], 1)})
    )


def _save(**arrays: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]


KEYPOINTS = {
    "keypoints": np.concatenate([RNG.uniform(20, 200, (2, 25, 2)), np.ones((2, 25, 1))], 2),
    "ids": np.array(["a", "b"]),
}
BODIES = {
    "ids": np.array(["a", "b"]),
    "joints": RNG.normal(size=(2, 17, 3)),
    "pose": RNG.normal(size=(2, 72)),
}
KINDS = [
    Kind("keypoints, npz", "k.npz", _save(**KEYPOINTS), read_keypoint_file, "npz"),
    Kind("predictions, npz", "p.npz", _save(**BODIES), read_submitted, "npz"),
    Kind("arrays, npz packed", "a.npz", lambda p: np.savez_compressed(p, **BODIES), lambda p: read_npz(p, FIX), "npz"),  # pyright: ignore
    Kind("array, npy", "a.npy", lambda p: np.save(p, RNG.normal(size=(4, 5))), lambda p: read_npy(p, FIX)),
    Kind("prior, npz", "m.npz", _save(**_mixture()), load_mixture, "npz"),
    Kind("prior, pickle", "m.pkl", lambda p: p.write_bytes(pickle.dumps(_mixture(), 2)), load_mixture),
    Kind("body, pickle", "b.pkl", _smpl, load_arrays),
    Kind("pickle, protocol 4", "c.pkl", lambda p: p.write_bytes(pickle.dumps(_mixture(), 4)), lambda p: load_pickle(p, FIX)),
    Kind("3DPW, pickle", "sequenceFiles/test/walk.pkl", _pw3d, _dataset("pw3d", 2, _SOURCES["pw3d"])),
    Kind("predictions, HDF5", "p.h5", _submission, read_submitted, "hdf5"),
    Kind("crops, HDF5", "c.h5", _crops, _read_crops, "hdf5"),
    Kind("fits, HDF5", "f.h5", lambda p: FitStore(["a", "b"]).save(p), FitStore.open, "hdf5"),
    Kind("MPII, HDF5", "train.h5", _train_h5, _dataset("mpii", 0, _SOURCES["mpii"]), "hdf5"),
    Kind("MATLAB 7.3", "m.mat", lambda p: write_mat73(p, {"valid": np.ones((2, 3)), "Masks": [np.ones((4, 5), np.uint8)] * 2}), _read_mat73, "hdf5"),
    Kind("MATLAB 5, cells", "c.mat", lambda p: p.write_bytes(mat5_bytes({"c": [np.ones((3, 4))] * 2})), lambda p: read_cells(p, {"c": 4}, 2, FIX)),
    Kind("LSPET, MATLAB 5", "joints.mat", _lspet, _dataset("lspet", 0, _SOURCES["lspet"])),
    Kind("people, Parquet", "t.parquet", lambda p: save_records(p, _records(p.parent)), load_records),
    Kind("COCO, JSON", "annotations/person_keypoints_train2014.json", _coco, _dataset("coco", 1, _SOURCES["coco"]), "json"),
    Kind("OpenPose, JSON", "a_keypoints.json", _openpose, _detections, "json"),
    Kind("AlphaPose, JSON", "results.json", _alphapose, _detections, "json"),
    Kind("parameters, YAML", "params.yaml", lambda p: p.write_bytes(PARAMS.read_bytes()), _params, "yaml"),
    Kind("network, PyTorch", "n.pt", _network, lambda p: read_weights(p, FIX), "torch"),
    Kind("network, PyTorch before 1.6", "o.pt", lambda p: torch.save({"a": torch.ones(3)}, p, _use_new_zipfile_serialization=False), lambda p: read_weights(p, FIX)),
    Kind("lifter, PyTorch", "l.pt", _lifter, load_lifter, "torch"),
    Kind("Human3.6M, CDF", "w.cdf", lambda p: _write_cdf(p, RNG.normal(size=(5, 32, 3))), lambda p: read_poses(p, 3)),
    Kind("photograph, JPEG", "a.jpg", _photo, lambda p: (read_size(p), read_image(p))),
    Kind("photograph, PNG", "a.png", _photo, lambda p: (read_size(p), read_image(p))),
    Kind("video, AVI", "a.avi", lambda p: _video(p, "MJPG"), _read_video),
    Kind("video, MP4", "a.mp4", lambda p: _video(p, "mp4v"), _read_video),
    Kind("motion, BVH", "a.bvh", lambda p: p.write_text(BVH), read_bvh),
    Kind("motion, BVH packed", "a.bvh.gz", lambda p: p.write_bytes(gzip.compress(BVH.encode())), read_bvh),
    Kind("motion, npz", "m.npz", _save(poses=RNG.normal(size=(6, 156)), mocap_framerate=np.array(30.0), betas=np.zeros(16), trans=np.zeros((6, 3))), read_motion, "npz"),
]  # fmt: skip
