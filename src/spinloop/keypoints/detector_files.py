"""Files of detectors: what is in one of them, recognised by content.

| content | taken for |
|---|---|
| `{people: [{pose_keypoints_2d}]}`, 1.0's `pose_keypoints` | OpenPose |
| `{IMAGE: {people}}`, `{IMAGE: {bodies: [{joints}]}}`, `{bodies}` | AlphaPose, `--format open` and `cmu` |
| `[{image_id or file_name, keypoints, score}]` | COCO results: AlphaPose, Detectron2, Ultralytics, MMPose |
| `[{keypoints, keypoint_scores}]`, `[{frame_id, instances}]` | MMPose's inferencer: image, video |
| `{meta_info, instance_info}` | MMPose's `--save-predictions` |
| `[{name, box, keypoints: {x, y, visible}}]` | Ultralytics' `to_json` |
| `{images, annotations, categories}` | COCO annotations |
| npz of `keypoints` (N, K, 3) and `imgname` (N,) | npz |

Every entry then passes the check of `detected_people`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spinloop.errors import UserError
from spinloop.files import read_json, read_npz
from spinloop.keypoints.detected_people import (
    FIX,
    Choice,
    Entry,
    Faults,
    FileContent,
    Found,
    Key,
    file_content,
    parse_entries,
)
from spinloop.keypoints.layouts import Layout, layout_of_names

_NAME_KEYS = ("file_name", "image_name", "image", "image_path", "img_path", "filename", "imgname")
_PEOPLE_KEYS = {"people": ("pose_keypoints_2d", "pose_keypoints"), "bodies": ("joints",)}


def read_detector_file(
    path: Path, default: Key, forced: Layout | None, usual: Layout, faults: Faults
) -> FileContent | None:
    """The people of a file.

    Args:
        path: JSON or npz.
        default: the image, if the file does not say.
        forced: the joint set; None to recognise it.
        usual: which set 25 joints are that cannot tell.
        faults: gets what is left out.

    Returns:
        None if the content is no detector's.

    Raises:
        UserError: the file is absent or damaged.
    """
    if path.suffix == ".npz":
        choice = Choice(forced, None, usual)
        return file_content("npz", list(_npz_people(path)), [], choice, path, faults)
    if path.suffix != ".json":
        raise UserError(f"{path}: expected JSON or npz, found {path.suffix or 'no ending'}; {FIX}")
    content = read_json(path, keep=_without_outline)
    split = _split(path, content, default)
    if split is None:
        return None
    program, keys, entries, named = split
    by_name = None if named is None else layout_of_names(named)
    if named is not None and by_name is None:
        few = "too few of BODY_25's joints are known by name, or one is there twice"
        raise UserError(f"{path}: joints {', '.join(named)[:60]}: {few}; {FIX}")
    found = list(parse_entries(path, entries, faults))
    return file_content(program, found, keys, Choice(forced, by_name, usual), path, faults)


def key_of_entry(entry: Mapping[str, Any], files: Mapping[Any, str] | None = None) -> Key | None:
    """The image that an entry names: by file name before number; None if it names none.

    Args:
        entry: the entry.
        files: file names by the numbers of a list of images in the same file.
    """
    for name in _NAME_KEYS:
        if isinstance(entry.get(name), str) and entry[name]:
            return Key(entry[name])
    number = entry.get("image_id")
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if files is not None:
        return Key(files[number]) if isinstance(number, (int, str)) and number in files else None
    if isinstance(number, str) and number:
        return Key(number)
    return Key(None, number) if isinstance(number, int) and not isinstance(number, bool) else None


_Split = tuple[str, list[Key], list[Entry], Sequence[str] | None]


def _split(path: Path, content: Any, default: Key) -> _Split | None:
    """Whose file it is, the images it is about, its entries one by one, and the names of its joints."""
    if isinstance(content, dict):
        if part := _people_list(content):
            entries: list[Entry] = [
                (default, f"{part}[{n}]", one, _PEOPLE_KEYS[part]) for n, one in enumerate(content[part])
            ]
            program = "OpenPose" if part == "people" else "AlphaPose"
            return program, [default], entries, None
        if content and all(isinstance(one, dict) and _people_list(one) for one in content.values()):
            return _by_name(content)
        if isinstance(content.get("instance_info"), list):
            names = _names_of_meta(content.get("meta_info"))
            return _instances("MMPose, saved predictions", content["instance_info"], default, 1, names)
        if isinstance(content.get("annotations"), list) and isinstance(content.get("images"), list):
            return _annotations(path, content)
        if isinstance(content.get("predictions"), list) and len(content["predictions"]) == 1:
            return _instances("MMPose's inferencer", content["predictions"][0], default, 0, None)
        return None
    if not isinstance(content, list):
        return None
    if _is_without_image(content):
        is_mmpose = any(
            "keypoint_scores" in one or "instances" in one for one in content if isinstance(one, dict)
        )
        return _instances("MMPose's inferencer" if is_mmpose else "Ultralytics", content, default, 0, None)
    entries = [
        (key_of_entry(one) if isinstance(one, dict) else None, f"entry {n}", one, ("keypoints",))
        for n, one in enumerate(content)
    ]
    return "COCO results", [], entries, None


def _people_list(content: Mapping[str, Any]) -> str | None:
    return next((part for part in _PEOPLE_KEYS if isinstance(content.get(part), list)), None)


def _by_name(content: Mapping[str, Any]) -> _Split:
    entries: list[Entry] = []
    for name, one in content.items():
        part = _people_list(one)
        assert part is not None
        entries += [
            (Key(name), f"{name}: {part}[{n}]", person, _PEOPLE_KEYS[part])
            for n, person in enumerate(one[part])
        ]
    return "AlphaPose", [Key(name) for name in content], entries, None


def _is_without_image(content: Sequence[Any]) -> bool:
    """Whether a list is of one image or video, which no entry names."""
    entries = [one for one in content if isinstance(one, dict)]
    has_people = any(one.keys() & {"keypoints", "instances"} for one in entries)
    return has_people and all(key_of_entry(one) is None for one in entries)


def _instances(
    program: str, content: Any, default: Key, first: int, names: Sequence[str] | None
) -> _Split | None:
    """MMPose's people of an image, or of the frames of a video, whose first has the number `first`."""
    if not isinstance(content, list):
        return None
    name = default.name or ""
    if program.endswith("predictions"):
        name = name.removeprefix("results_")
    keys, entries = list[Key](), list[Entry]()
    for number, one in enumerate(content):
        if isinstance(one, dict) and isinstance(one.get("instances"), list):
            frame = one.get("frame_id")
            frame = frame if isinstance(frame, int) and frame >= first else number + first
            keys.append(Key(f"{name}_{frame - first:012d}"))
            entries += [
                (keys[-1], f"entry {number}: instances[{n}]", person, ("keypoints",))
                for n, person in enumerate(one["instances"])
            ]
        else:
            entries.append((Key(name), f"entry {number}", one, ("keypoints",)))
    return program, keys or [Key(name)], entries, names


def _names_of_meta(meta: Any) -> list[str] | None:
    """The names of the joints in MMPose's `meta_info`."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict):
        return None
    names = {int(number): name for number, name in table.items() if str(number).isdecimal()}
    is_whole = sorted(names) == list(range(len(names)))
    return [str(names[number]) for number in range(len(names))] if names and is_whole else None


def _annotations(path: Path, content: Mapping[str, Any]) -> _Split:
    files: dict[Any, str] = {}
    for image in content["images"]:
        if isinstance(image, dict) and isinstance(image.get("id"), (int, str)):
            name = key_of_entry({key: image.get(key) for key in _NAME_KEYS})
            files |= {} if name is None or name.name is None else {image["id"]: name.name}
    names = None
    for category in content.get("categories") or ():
        if isinstance(category, dict) and str(category.get("name")).lower() == "person":
            names = category.get("keypoints")
    entries = [
        (
            key_of_entry(one, files) if isinstance(one, dict) else None,
            f"annotations[{n}]",
            one,
            ("keypoints",),
        )
        for n, one in enumerate(content["annotations"])
    ]
    named = names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
    return "COCO annotations", [Key(name) for name in files.values()], entries, named


def _npz_people(path: Path) -> Iterator[Found]:
    keys = ("keypoints", *_NAME_KEYS, "image_id")
    arrays = read_npz(path, FIX, keys=keys)
    joints = arrays.get("keypoints")
    names = next((arrays[key] for key in keys[1:] if key in arrays), None)
    if joints is None or joints.ndim != 3 or joints.shape[2] != 3 or joints.dtype.kind not in "fiu":
        raise UserError(f"{path}: keypoints: numbers of shape (N, K, 3) missing; {FIX}")
    if names is None or names.shape != (len(joints),) or names.dtype.kind not in "iuUS":
        raise UserError(f"{path}: imgname: the image of each of the {len(joints)} people is missing; {FIX}")
    for number, (name, one) in enumerate(zip(names.tolist(), joints.astype(np.float64), strict=True)):
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
        key = Key(None, text) if isinstance(text, int) else Key(text)
        yield Found(key, f"row {number}", one)


def _without_outline(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry
