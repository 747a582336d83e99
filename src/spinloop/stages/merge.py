"""Join OpenPose's detections with the annotations: the 49 joints that bodies are fitted to."""

from pathlib import Path
from typing import Literal

from spinloop.annotations.merge import KEYPOINTS, merge_records
from spinloop.annotations.record import iterate_records
from spinloop.annotations.table import count_rows, save_table
from spinloop.annotations.tally import Tally
from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.params.annotations import MergeParams
from spinloop.params.loader import load_section
from spinloop.stages._progress import progress, say

SECTIONS = {"merge": MergeParams}


def run(
    *,
    annotations: Path,
    out: Path,
    stats: Path,
    openpose: Path | None = None,
    compat: Literal["none", "coco", "mpii", "other"] = "none",
    params: Path = Path("params.yaml"),
) -> None:
    """Find, for every annotated person, the detected person that it is; nobody if nobody fits.

    Args:
        annotations: table of annotated people.
        out: table of merged keypoints (Parquet).
        stats: how many were matched, and what became of the others (JSON).
        openpose: folder of the detections, `<image>_keypoints.json` at each image's path; none if left out.
        compat: match as the published preprocessing did for this dataset.
        params: parameter file; section `merge`.
    """
    rules = load_section(params, "merge", MergeParams)
    if openpose is not None and not openpose.is_dir():
        raise UserError(f"{openpose}: no such folder; give OpenPose's output, or leave --openpose out")
    tally = Tally()
    total = count_rows(annotations, "make it with `spinloop preprocess`")
    records = progress(iterate_records(annotations), "merge", total)
    published = None if compat == "none" else compat
    save_table(out, KEYPOINTS, merge_records(records, openpose, rules, published, tally))
    write_json(stats, tally.stats())
    say(f"merge: {tally.summary()}")
