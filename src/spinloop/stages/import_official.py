"""Command `import_official`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN, Out, RawFolder, SplitName, StatisticsFile


def run(
    *,
    file: Annotated[Path, MAIN, Option(help="Annotation file, e.g. coco_2014_train.npz.")],
    split: SplitName,
    raw: RawFolder,
    out: Annotated[Out, Option(help="Table of annotated people (Parquet), as of `preprocess`.")],
    keypoints: Annotated[
        Path,
        Option(
            help="Table of merged keypoints (Parquet), as of `merge`; people without any joint are left out."
        ),
    ],
    stats: StatisticsFile,
    masks: Annotated[str, Option(help="Folder of UPi-S1h below `--raw`, for LSP's test images.")] = "upi-s1h",
) -> None:
    """Convert an annotation file of SPIN (dataset_extras) to our tables.

    It holds people and their detections, already matched.
    """
    from spinloop.datasets.spin import Extras, keypoint_row, read_people
    from spinloop.files import write_json
    from spinloop.keypoints.merge import KEYPOINTS
    from spinloop.progress import progress, say
    from spinloop.tables.records import RECORD, ReadCounts
    from spinloop.tables.table import open_writer

    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder; unpack the dataset there or correct --raw")
    extras, counts = Extras(file, split, raw), ReadCounts()
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
