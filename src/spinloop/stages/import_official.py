"""Turn one of SPIN's annotation files (dataset_extras) into our tables."""

from pathlib import Path

from spinloop.datasets.spin import Extras, keypoint_row, read_people
from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.keypoints.merge import KEYPOINTS
from spinloop.progress import progress, say
from spinloop.tables.records import RECORD, ReadCounts
from spinloop.tables.table import open_writer

SECTIONS: dict[str, type] = {}


def run(
    *, file: Path, split: str, raw: Path, out: Path, keypoints: Path, stats: Path, masks: str = "upi-s1h"
) -> None:
    """Read the people and the detections that are theirs; matching has been done by who made the file.

    Args:
        file: e.g. coco_2014_train.npz.
        split: name of the split, first part of every id.
        raw: the dataset's folder; the images' sizes come from there.
        out: table of annotated people (Parquet), as of `spinloop preprocess`.
        keypoints: table of merged keypoints (Parquet), as of `spinloop merge`; people without any joint are
            left out.
        stats: what was read, kept and left out (JSON).
        masks: folder of UPi-S1h below `raw`, for LSP's test images.
    """
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder; unpack the dataset there or correct --raw")
    extras, counts = Extras(file, split), ReadCounts()
    with open_writer(out, RECORD) as people, open_writer(keypoints, KEYPOINTS) as joints:
        for record, detected in progress(
            read_people(extras, raw, masks, counts), f"import {split}", len(extras)
        ):
            people.write(record.row())
            row = keypoint_row(record, detected)
            if row["keypoints"][:, 2].any():
                joints.write(row)
                counts.flag(row["provenance"], record.id)
            else:
                counts.flag("no_visible_joint", record.id)
        if not counts.n_kept:
            raise UserError(f"{file}: {counts.summary()}; restore the images in {raw}")
    write_json(stats, {"split": split, "source": file.name, **counts.stats()})
    say(f"{split}: {counts.summary()}")
