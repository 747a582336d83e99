"""Command `list_training`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.options import Out


def run(
    *,
    crops: Annotated[Path, Option(help="Packed crops of the split (HDF5), of `pack_crops`.")],
    annotations: Annotated[Path, Option(help="Table of its annotated people (Parquet), of `preprocess`.")],
    out: Annotated[Out, Option(help="The digests (JSON).")],
) -> None:
    """List digests of the images and annotations of a training split.

    Training depends on them, and so on the files of its own splits alone.
    """
    from spinloop.files import require_file, sha256_of, write_json

    digests = {
        "crops": sha256_of(require_file(crops, "make it with `spinloop pack_crops`")),
        "annotations": sha256_of(require_file(annotations, "make it with `spinloop preprocess`")),
    }
    write_json(out, digests)
