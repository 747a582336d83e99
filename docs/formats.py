"""Writes the made part of docs/formats.md: a small file of every format, written, read back and shown.

Run it from the repository: `python docs/formats.py`. What stands outside the two marks is left as it is.
`tests/keypoints/test_formats_page.py` fails if the page is not what this makes.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

from spinloop.datasets import read_source
from spinloop.datasets.training_arrays import SHAPES, read_training_arrays
from spinloop.fitting.user_keypoints import read_keypoint_file
from spinloop.joints import COCO17, OPENPOSE25
from spinloop.keypoints.detections import open_detections
from spinloop.keypoints.joining import Named
from spinloop.keypoints.layouts import LAYOUTS
from spinloop.keypoints.merge import KEYPOINTS, merge_records
from spinloop.keypoints.openpose import openpose_json
from spinloop.params.datasets import CocoSource, LspetSource, MergeParams, MpiiSource
from spinloop.tables.images import encode_jpeg
from spinloop.tables.records import RECORD, ReadCounts, save_records
from spinloop.tables.schema import Layout
from spinloop.tables.table import load_table, save_table

PAGE = Path(__file__).with_suffix(".md")
BEGIN, END = "<!-- made by docs/formats.py -->", "<!-- end of what docs/formats.py makes -->"
_LINES, _WIDTH = 5, 100

_PERSON = {
    "nose": (150, 40), "left_eye": (154, 36), "right_eye": (146, 36), "left_ear": (160, 38),
    "right_ear": (140, 38), "left_shoulder": (170, 60), "right_shoulder": (130, 60), "left_elbow": (178, 90),
    "right_elbow": (122, 90), "left_wrist": (180, 120), "right_wrist": (120, 120), "left_hip": (162, 125),
    "right_hip": (138, 125), "left_knee": (163, 165), "right_knee": (137, 165), "left_ankle": (164, 205),
    "right_ankle": (136, 205), "neck": (150, 60), "mid_hip": (150, 125), "left_heel": (163, 210),
    "right_heel": (137, 210),
}  # fmt: skip


def joints(names: tuple[str, ...], score: float = 0.9) -> np.ndarray:
    """x, y, score of a standing person's joints; zeros for names that have no place here."""
    return np.array([(*_PERSON[name], score) if name in _PERSON else (0, 0, 0) for name in names])


def detectors() -> Iterator[tuple[str, str, Any]]:
    """Whose format, name of the file, content."""
    coco = joints(COCO17)
    flat = coco.reshape(-1).tolist()
    pairs = {"keypoints": coco[:, :2].tolist(), "keypoint_scores": coco[:, 2].tolist()}
    for word in ("body_25", "body_25b", "coco_18", "mpi_15", "halpe_26", "body_135"):
        layout = LAYOUTS[word]
        people = [{"pose_keypoints_2d": joints(layout.joints).reshape(-1).tolist()}]
        yield f"OpenPose, {layout.title}", "a_keypoints.json", {"version": 1.3, "people": people}
    old = joints(LAYOUTS["coco_18"].joints).reshape(-1).tolist()
    yield "OpenPose 1.0", "a_keypoints.json", {"version": 1.0, "people": [{"pose_keypoints": old}]}
    yield (
        "AlphaPose",
        "alphapose-results.json",
        [{"image_id": "a.jpg", "category_id": 1, "keypoints": flat, "score": 2.9, "box": [120, 36, 60, 174]}],
    )
    yield (
        "AlphaPose, `--format open`",
        "alphapose-results.json",
        {"a.jpg": openpose_json([joints(OPENPOSE25)])},
    )
    yield (
        "AlphaPose, `--format cmu`",
        "alphapose-results.json",
        {"a.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": old}]}},
    )
    yield (
        "COCO results (Detectron2, MMPose, Ultralytics' `predictions.json`)",
        "results.json",
        [{"image_id": 7, "category_id": 1, "keypoints": flat, "score": 0.98}],
    )
    yield "MMPose's inferencer, an image", "preds/a.json", [{**pairs, "bbox": [[120, 36, 180, 210]]}]
    yield "MMPose's inferencer, a video", "preds/walk.json", [{"frame_id": 0, "instances": [pairs]}]
    yield "MMPose, `--save-predictions`", "results_a.json", {
        "meta_info": {"dataset_name": "coco", "num_keypoints": 17}, "instance_info": [pairs],
    }  # fmt: skip
    whole = joints(LAYOUTS["wholebody_133"].joints)
    yield (
        "MMPose, COCO-WholeBody (body and feet are read)",
        "preds/a.json",
        [{"keypoints": whole[:, :2].tolist(), "keypoint_scores": whole[:, 2].tolist()}],
    )
    x, y, visible = coco.T.tolist()
    yield (
        "Ultralytics, `to_json`",
        "a.json",
        [
            {
                "name": "person",
                "class": 0,
                "confidence": 0.9,
                "keypoints": {"x": x, "y": y, "visible": visible},
            }
        ],
    )
    yield "COCO annotations as detections", "labels.json", coco_labels()
    yield "npz of any set", "detections.npz", {"keypoints": coco[None], "imgname": np.array(["a.jpg"])}


def coco_labels() -> dict[str, Any]:
    """An annotation file in COCO's layout."""
    flat = joints(COCO17, 2).reshape(-1).astype(int).tolist()
    person = {"id": 101, "image_id": 7, "category_id": 1, "iscrowd": 0, "bbox": [115, 30, 70, 185]}
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 320, "height": 240}],
        "annotations": [{**person, "keypoints": flat}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17)}],
    }


def write(path: Path, content: Any) -> str:
    """Write a file; returns it in at most five lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **content)
        return shapes(content)
    path.write_text(json.dumps(content))
    return shortened(content)


def shapes(arrays: dict[str, np.ndarray]) -> str:
    """Arrays by name, with shape and type, several a line."""
    words = [f"{key} {np.shape(array)} {np.asarray(array).dtype}" for key, array in arrays.items()]
    step = -(-len(words) // _LINES)
    return "\n".join("; ".join(words[at : at + step]) for at in range(0, len(words), step))


def shortened(content: Any) -> str:
    """JSON with long lists cut after three numbers, in at most five lines."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cut(one) for key, one in value.items() if not (isinstance(one, list) and not one)}
        if isinstance(value, list):
            is_long = len(value) > 4 and not isinstance(value[0], dict)
            return [*(cut(one) for one in (value[:2] if is_long else value)), *(["…"] if is_long else [])]
        return value

    text = json.dumps(cut(content), ensure_ascii=False).replace('"…"', "…")
    lines: list[str] = []
    while text and len(lines) < _LINES:
        end = len(text) if len(text) <= _WIDTH else text.rfind(", ", 0, _WIDTH) + 1 or _WIDTH
        lines.append(text[:end].strip())
        text = text[end:]
    if text:
        lines[-1] += " …"
    return "\n".join(lines)


def block(title: str, text: str, about: str) -> str:
    """A heading, a line about it, and the example."""
    return f"### {title}\n\n{about}\n\n```\n{text}\n```\n"


def detector_blocks(folder: Path) -> Iterator[str]:
    """One block a detector's format, with what the reader says of the file."""
    for number, (title, name, content) in enumerate(detectors()):
        path = folder / str(number) / name
        text = write(path, content)
        found = open_detections(path)
        images = [Named("images/a.jpg", "7"), Named("videos/walk.mp4/000001.jpg")]
        joined = found.joined(images)
        (how,), (read_as,) = joined.stats()["joined_by"], found.read_as
        n_people = sum(len(one.people) for one in found)
        assert n_people == 1, title
        yield block(title, text, f"`{name}`: read as {read_as}; joined by {how.replace('_', ' ')}.")


def label_blocks(folder: Path) -> Iterator[str]:
    """Labels of data sets."""
    rules = {"raw": "", "openpose": None, "box_factor": 1.2, "min_limb_joints": 6}
    picture = encode_jpeg(np.full((240, 320, 3), 120, np.uint8))

    raw = folder / "coco"
    text = write(raw / "annotations" / "person_keypoints_train2017.json", coco_labels())
    (raw / "train2017").mkdir()
    (raw / "train2017" / "a.jpg").write_bytes(picture)
    counts, source = ReadCounts(), CocoSource(reader="coco", subset="train2017", **rules)
    save_records(folder / "coco.parquet", read_source("coco", raw, "mine", source, False, counts))
    said = counts.summary()
    about = (
        "`annotations/person_keypoints_<subset>.json`, images in `<subset>/`; joints in the order that the "
        f"category of people names. Read: {said}."
    )
    yield block("COCO, and labels of CVAT, COCO annotator and others", text, about)

    raw = folder / "lspet"
    raw.mkdir()
    lsp = np.array([(*_PERSON.get(name, (150, 50)), 1) for name in LAYOUTS["lsp_14"].joints], float)
    savemat(raw / "joints.mat", {"joints": lsp[:, :, None]})
    (raw / "images").mkdir()
    (raw / "images" / "im00001.jpg").write_bytes(picture)
    counts = ReadCounts()
    list(read_source("lspet", raw, "mine", LspetSource(reader="lspet", **rules), False, counts))
    yield block(
        "LSPET", "joints.mat: joints (14, 3, N) float64\nimages/im00001.jpg, or *.png beside joints.mat",
        f"The ordinary release and that in high resolution. Read: {counts.summary()}.",
    )  # fmt: skip

    raw = folder / "mpii"
    (raw / "images").mkdir(parents=True)
    (raw / "images" / "a.jpg").write_bytes(picture)
    points = [
        {"x": float(place[0]), "y": float(place[1]), "id": number, "is_visible": 1}
        for number, name in enumerate(LAYOUTS["mpii_16"].joints)
        if (place := _PERSON.get(name))
    ]
    place = {"scale": 0.9, "objpos": {"x": 150.0, "y": 120.0}}
    person = {**place, "annopoints": {"point": np.array(points, object)}}
    release = {"annolist": {"image": {"name": "a.jpg"}, "annorect": person}, "img_train": 1}
    savemat(raw / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})
    counts = ReadCounts()
    list(read_source("mpii", raw, "mine", MpiiSource(reader="mpii", **rules), False, counts))
    text = (
        "RELEASE.img_train(i), RELEASE.annolist(i).image.name\n"
        "RELEASE.annolist(i).annorect(j).scale, .objpos.x, .y\n"
        "RELEASE.annolist(i).annorect(j).annopoints.point(k).x, .y, .id"
    )
    about = f"`mpii_human_pose_v1_u12_1.mat` beside `images/`. Read: {counts.summary()}."
    yield block("MPII's own file", text, about)
    (raw / "mpii_human_pose_v1_u12_1.mat").unlink()
    part = np.array([[_PERSON.get(name, (0, 0)) for name in LAYOUTS["mpii_16"].joints]], float)
    box = {"center": np.full((1, 2), 120.0), "scale": np.ones(1)}
    hourglass = {"imgname": np.array([b"a.jpg"]), **box, "part": part}
    with h5py.File(raw / "train.h5", "w") as file:
        for key, array in hourglass.items():
            file[key] = array
    counts = ReadCounts()
    list(read_source("mpii", raw, "mine", MpiiSource(reader="mpii", **rules), False, counts))
    about = f"`train.h5` beside `images/`. Read: {counts.summary()}."
    yield block("MPII, the stacked hourglass networks' file", shapes(hourglass), about)


def training_blocks(folder: Path) -> Iterator[str]:
    """Training files of `import_official`."""
    base = {"imgname": np.array(["images/a.jpg"]), "center": np.full((1, 2), 120.0), "scale": np.ones(1)}
    more = ("part", "openpose", "pose", "shape")
    spin = base | {key: np.zeros((1, *shape)) for key, shape in SHAPES.items() if key in more}
    successor = base | {
        "body_keypoints_2d": np.zeros((1, 25, 3)), "extra_keypoints_2d": np.zeros((1, 19, 3)),
        "body_pose": np.zeros((1, 72)), "betas": np.zeros((1, 10)), "has_body_pose": np.ones(1),
    }  # fmt: skip
    whole = base | {"part": np.zeros((1, 49, 3))}
    for title, arrays in (
        ("SPIN's `dataset_extras`", spin),
        ("ProHMR, HMR2 (4D-Humans)", successor),
        ("44 or 49 joints in one array", whole),
    ):
        path = folder / "training.npz"
        text = write(path, arrays)
        read = read_training_arrays(path)
        about = (
            f"Gives {', '.join(f'`{key}`' for key in sorted(read.arrays))}. Names may be bytes, and absolute."
        )
        yield block(title, text, about)


def columns(layout: Layout) -> str:
    """The columns of a table, several a line."""
    words = [
        f"{column.name} {'×'.join(map(str, column.shape))} {column.unit}".replace("  ", " ").strip()
        for column in layout.columns
    ]
    step = -(-len(words) // _LINES)
    return "\n".join("; ".join(words[at : at + step]) for at in range(0, len(words), step))


def written_blocks(folder: Path) -> Iterator[str]:
    """Tables that the commands write, read back."""
    load_table(folder / "coco.parquet", RECORD, "")
    yield block("Annotated people", columns(RECORD), f"Parquet of `preprocess`, layout `{RECORD.name}`.")
    raw = folder / "coco"
    source = CocoSource(
        reader="coco", subset="train2017", raw="", openpose=None, box_factor=1.2, min_limb_joints=6
    )
    records = list(read_source("coco", raw, "mine", source, False, ReadCounts()))
    results = [{"image_id": 7, "category_id": 1, "keypoints": joints(COCO17).reshape(-1).tolist()}]
    write(folder / "results.json", results)
    joined = open_detections(folder / "results.json").joined(
        [Named(record.image, record.image_id) for record in records]
    )
    counts, rules = ReadCounts(), MergeParams(max_distance=0.1, min_common_joints=3)
    save_table(folder / "keypoints.parquet", KEYPOINTS, merge_records(records, joined, rules, None, counts))
    load_table(folder / "keypoints.parquet", KEYPOINTS, "")
    yield block("Merged keypoints", columns(KEYPOINTS), f"Parquet of `merge`, layout `{KEYPOINTS.name}`.")
    stats = {**counts.stats(), "detections": joined.stats()}
    yield block("Statistics", shortened(stats), "JSON of `preprocess`, `merge` and `import_official`.")


def made() -> str:
    """The made part of the page."""
    counts = sorted({len(layout.joints) for layout in LAYOUTS.values()})
    sets = ", ".join(f"`{word}` ({layout.title})" for word, layout in LAYOUTS.items())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        crop = {"keypoints": np.concatenate([joints(COCO17)[None]]), "size": np.array(256)}
        text = write(folder / "k.npz", crop)
        title = read_keypoint_file(folder / "k.npz").about.partition("read as ")[2]
        parts = [
            "## Detections\n\n`fit --openpose` and `merge --openpose` take a file or a folder of any "
            "of these, the reader `photos` a folder.\n"
            f"`--format` names the joint set where the content leaves it open: {sets}.\n",
            *detector_blocks(folder / "detections"),
            "## Keypoints in crops\n",
            block(
                "`fit --keypoints`", text,
                f"npz, read as {title}; K of (N, K, 3) is one of {', '.join(map(str, counts))}. "
                "Optional: `ids`, `size`, `pose`, `betas`, `cam_t`.",
            ),
            "## Labels\n",
            *label_blocks(folder),
            "## Training files\n\n`spinloop import_official --file FILE.npz`:\n",
            *training_blocks(folder),
            "## Written files\n",
            *written_blocks(folder),
        ]  # fmt: skip
    return "\n".join(parts)


def page(old: str) -> str:
    """The page with its made part replaced."""
    before, _, rest = old.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
