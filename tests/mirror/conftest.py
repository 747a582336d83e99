"""A mannequin in SMPL's shapes, small parameters, and one run of each mirror."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from spinloop.body.files import BodyFile, save_body
from spinloop.joints import EXTRA9, H36M17, SMPL24, SMPL_PARENTS, VERTEX_JOINTS
from spinloop.mirror.people import BodySet
from spinloop.params.loader import load_section
from spinloop.params.mirror import CocoParams, Pw3dParams
from spinloop.stages import mirror_coco, mirror_pw3d

# x to the body's left, y up, z forward; metres. Right joints are the left ones' mirror images.
LEFT_AND_MIDDLE = {
    "pelvis": (0, 0.95, 0), "left_hip": (0.08, 0.90, 0), "spine1": (0, 1.05, 0), "left_knee": (0.1, 0.50, 0),
    "spine2": (0, 1.18, 0), "left_ankle": (0.1, 0.09, 0), "spine3": (0, 1.25, 0), "neck": (0, 1.45, 0),
    "left_foot": (0.1, 0.03, 0.12), "left_collar": (0.06, 1.38, 0), "left_shoulder": (0.18, 1.40, 0),
    "left_elbow": (0.45, 1.40, 0), "left_wrist": (0.70, 1.40, 0), "left_hand": (0.78, 1.40, 0),
    "head": (0, 1.55, 0),
}  # fmt: skip
LANDMARKS = {
    "nose": (0, 1.60, 0.12), "left_eye": (0.03, 1.64, 0.1), "left_ear": (0.08, 1.62, 0.0),
    "left_big_toe": (0.09, 0.0, 0.2), "left_small_toe": (0.14, 0.0, 0.18), "left_heel": (0.1, 0.0, -0.05),
}  # fmt: skip
PART_OF = {"head": 3, "neck": 3, "hip": 4, "knee": 4, "ankle": 4, "foot": 4, "shoulder": 1, "elbow": 1}


def _position(name: str, table: dict[str, tuple[float, float, float]]) -> np.ndarray:
    left = np.array(table.get(name.replace("right", "left"), (0.72, 1.4, 0.0)), dtype=np.float64)
    return left * [-1, 1, 1] if name.startswith("right") else left


def _part(name: str) -> int:
    label = next((label for word, label in PART_OF.items() if word in name), 1 if "wrist" in name else 6)
    return label + 1 if name.startswith("right") and label in (1, 4) else label


def make_mannequin(gender: str) -> BodyFile:
    """Ellipsoids on the bones of a standing person, each carried by one joint."""
    joints = np.array([_position(name, LEFT_AND_MIDDLE) for name in SMPL24])
    landmark_ids = list(VERTEX_JOINTS.values())
    free = [index for index in range(6890) if index not in set(landmark_ids)]
    vertices, weights, faces, labels = np.zeros((6890, 3)), np.zeros((6890, 24)), [], []
    for name, index in VERTEX_JOINTS.items():
        vertices[index] = _position(name, LANDMARKS)
        carrier = (
            "ankle"
            if "toe" in name or "heel" in name
            else "hand"
            if name.split("_")[-1] in FINGERS
            else "head"
        )
        full = carrier if carrier == "head" else f"{name.split('_')[0]}_{carrier}"
        weights[index, SMPL24.index(full)] = 1
    for index, row in enumerate(free[:24]):
        vertices[row], weights[row, index] = joints[index], 1
    used = 24
    for child, parent in enumerate(SMPL_PARENTS):
        if parent < 0:
            continue
        ball = trimesh.creation.icosphere(subdivisions=2)
        reach = joints[child] - joints[parent]
        shape = np.abs(reach) * 0.6 + (0.14 if _part(SMPL24[child]) == 6 else 0.05)
        rows = np.array(free[used : used + len(ball.vertices)])
        vertices[rows] = np.asarray(ball.vertices) * shape + (joints[child] + joints[parent]) / 2
        weights[rows, parent] = 1
        faces.append(rows[np.asarray(ball.faces)])
        labels += [_part(SMPL24[parent])] * len(ball.faces)
        used += len(rows)
    rows = np.array(free[used : used + 162])
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices[rows] = np.asarray(ball.vertices) * [0.08, 0.13, 0.1] + [0, 1.62, 0.01]
    weights[rows, SMPL24.index("head")] = 1
    faces.append(rows[np.asarray(ball.faces)[:, ::1]])
    labels += [3] * len(ball.faces)
    weights[weights.sum(1) == 0, 0] = 1
    at_joint = np.zeros((24, 6890), dtype=np.float32)
    at_joint[np.arange(24), free[:24]] = 1
    pick = {"hip": "hip", "neck_lsp": "neck", "thorax": "neck", "pelvis": "pelvis", "spine": "spine2"}
    extra = [_like(name, pick, at_joint) for name in EXTRA9]
    h36m = [_like(name, {}, at_joint) for name in H36M17]
    shapedirs = np.zeros((6890, 3, 10))
    shapedirs[..., 0] = 0.05 * vertices
    shapedirs[:, 0, 1] = 0.03 * vertices[:, 0]
    return BodyFile(
        v_template=vertices.astype(np.float32),
        shapedirs=shapedirs.astype(np.float32),
        posedirs=np.zeros((6890, 3, 207), dtype=np.float32),
        J_regressor=at_joint,
        weights=weights.astype(np.float32),
        kintree_table=np.array([SMPL_PARENTS, range(24)], dtype=np.int64),
        f=np.concatenate(faces).astype(np.int32),
        J_regressor_extra=np.stack(extra),
        J_regressor_h36m=np.stack(h36m),
        part_labels=np.array(labels, dtype=np.uint8),
        gender=gender,
    )


FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def _like(name: str, pick: dict[str, str], at_joint: np.ndarray) -> np.ndarray:
    side = "right_" if "right" in name else "left_" if "left" in name else ""
    bare = name.removeprefix("extra_").replace("left_", "").replace("right_", "")
    target = next((joint for word, joint in pick.items() if word in bare), bare)
    target = side + target if side + target in SMPL24 else "head"
    return at_joint[SMPL24.index(target)]


@pytest.fixture(scope="session")
def mannequin() -> BodyFile:
    return make_mannequin("neutral")


@pytest.fixture(scope="session")
def bodies(mannequin) -> BodySet:
    return BodySet.of([mannequin], "spinloop")


@pytest.fixture(scope="session")
def body_files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bodies")
    for gender in ("neutral", "female", "male"):
        save_body(folder / f"{gender}.npz", make_mannequin(gender))
    return {gender: folder / f"{gender}.npz" for gender in ("neutral", "female", "male")}


@pytest.fixture(scope="session")
def mixture_file(repository) -> Path:
    return repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz"


def _small(
    repository: Path, target: Path, section: str, changes: dict[str, object], engine: str = "spinloop"
) -> Path:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    values = yaml.load((repository / "params.yaml").read_text(encoding="utf-8"))
    values[section] |= changes
    values["body"]["engine"] = engine
    with target.open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    return target


@pytest.fixture(scope="session")
def small_params(repository):
    """Write the project's parameters with changes in one section."""
    return partial(_small, repository)


@pytest.fixture(scope="session")
def run_coco(repository, body_files, mixture_file, tmp_path_factory):
    """Run the stage with changed parameters; where its outputs lie."""

    def run(workers: int = 1, engine: str = "spinloop", **changes: object) -> SimpleNamespace:
        root = tmp_path_factory.mktemp("coco")
        params = _small(repository, root / "params.yaml", "mirror_coco", changes, engine)
        places = {"out": root / "coco", "openpose": root / "openpose", "truth": root / "truth.parquet"}
        mirror_coco.run(
            body=body_files["neutral"], mixture=mixture_file, workers=workers, params=params, **places
        )
        return SimpleNamespace(**places, section=load_section(params, "mirror_coco", CocoParams))

    return run


@pytest.fixture(scope="session")
def coco(run_coco) -> SimpleNamespace:
    """Forty pictures: more than one piece."""
    return run_coco(n_images=40, second_person=0.3, hidden_not_annotated=0.1, crowd=0.0)


@pytest.fixture(scope="session")
def run_pw3d(repository, body_files, mixture_file, tmp_path_factory):
    """Run the stage with changed parameters; where its outputs lie."""

    def run(**changes: object) -> SimpleNamespace:
        root = tmp_path_factory.mktemp("pw3d")
        params = _small(repository, root / "params.yaml", "mirror_pw3d", changes)
        places = {"out": root / "pw3d", "truth": root / "truth.parquet"}
        mirror_pw3d.run(
            body_female=body_files["female"],
            body_male=body_files["male"],
            mixture=mixture_file,
            params=params,
            **places,
        )
        return SimpleNamespace(**places, section=load_section(params, "mirror_pw3d", Pw3dParams))

    return run


@pytest.fixture(scope="session")
def exact_detector(repository) -> dict[str, float]:
    """The section of a detector without a fault: whatever lies on the picture is found in its place."""
    params = load_section(repository / "params.yaml", "mirror_coco", CocoParams).detector
    return dict.fromkeys(params.model_dump(), 0.0)


@pytest.fixture(scope="session")
def pw3d(repository, run_pw3d) -> SimpleNamespace:
    """Four videos, exact detections."""
    exact = {"noise": 0.0, "hidden_noise": 0.0, "outlier": 0.0, "swap": 0.0, "miss": 0.1, "person_miss": 0.1}
    full = load_section(repository / "params.yaml", "mirror_pw3d", Pw3dParams).model_dump()
    changes = {"n_sequences": 4, "n_frames": 6, "second_person": 0.5, "invalid_camera": 0.2}
    return run_pw3d(detector=full["detector"] | exact, **changes)
