"""Options that several commands share, with their help.

Only names, types and help, which do not count as code (`pipeline.code`).
Default values stand in the signatures of `spinloop.stages`.
"""

from pathlib import Path
from typing import Annotated

from typer import Option

WRITTEN = "written"
Out = Annotated[Path, WRITTEN]
"""A file or folder that the command writes; meanwhile no other command can (`locks.hold_outputs`)."""

MAIN = "main"
"""Marks the option of the file that a command is about; the file may also be named without the option."""

ParamsFile = Annotated[Path, Option(help="Parameter file.")]
SettingName = Annotated[
    str, Option(help="Name of the training's setting, a key of `settings` in params.yaml.")
]
SplitName = Annotated[str, Option(help="Name of the split, the first part of every id.")]

BodyFile = Annotated[Path, Option(help="Neutral body (npz), of `prepare_body` or `convert_body`.")]
FemaleBodyFile = Annotated[Path, Option(help="Female body (npz).")]
MaleBodyFile = Annotated[Path, Option(help="Male body (npz).")]
PriorFile = Annotated[Path, Option(help="Pose prior, a mixture of Gaussians (npz), of `fit_prior`.")]
LifterFile = Annotated[Path, Option(help="Network that lifts 2D keypoints, of `train_lifter`.")]

BoneNames = Annotated[
    Path | None,
    Option(
        help="File (YAML or JSON) that names the bones of recordings whose names are not known: a line "
        "`left_hip: bone` for each joint of SMPL."
    ),
]
BindFrame = Annotated[
    int | None,
    Option(help="Index of the frame that shows the T-pose. Default: found in the recording."),
]

RawFolder = Annotated[Path, Option(help="Folder of the dataset, in the layout in which it is distributed.")]
AnnotationsTable = Annotated[Path, Option(help="Table of annotated people (Parquet), of `preprocess`.")]
KeypointsTable = Annotated[Path, Option(help="Table of merged keypoints (Parquet), of `merge`.")]
CropsFile = Annotated[Path, Option(help="Packed crops of the split (HDF5), of `pack_crops`.")]
TruthTable = Annotated[Path, Option(help="Table of the true bodies and cameras (Parquet).")]
TruthOut = Annotated[Out, Option(help="Table of the true bodies and cameras (Parquet).")]
StatisticsFile = Annotated[Out, Option(help="Counts of what was read, kept and left out, and why (JSON).")]

DetectorFormat = Annotated[
    str,
    Option(help="The detector's joint set, e.g. `body_25b` (docs/formats.md). `auto` recognises it."),
]
StateFolder = Annotated[Path, Option(help="Folder for the state of an unfinished run.")]
Workers = Annotated[int, Option(help="Number of processes; the result does not depend on it.")]
