"""Command `extract_frames`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from spinloop.errors import UserError
from spinloop.options import MAIN, AnnotationsTable, Out, RawFolder

_FIX = "make it with `spinloop preprocess`"


def run(
    *,
    annotations: Annotated[AnnotationsTable, MAIN],
    raw: RawFolder,
    out: Annotated[Out, Option(help="New folder; detectors and `pack_crops --raw` can read it.")],
) -> None:
    """Write the video frames that a table names as image files, for tools that read no videos.

    The folder has the layout of the dataset and can be used in its place.
    """
    from spinloop.files import atomic
    from spinloop.progress import progress, say
    from spinloop.tables.records import ReadCounts, iterate_records
    from spinloop.tables.table import count_rows

    if out.exists():
        raise UserError(f"{out}: exists; name a new folder")
    rows = progress(iterate_records(annotations), "extract", count_rows(annotations, _FIX))
    counts, seen = ReadCounts(), ""
    with atomic(out) as folder:
        folder.mkdir()
        for record in rows:
            if record.image != seen:
                seen = record.image
                fault = _extract(raw / seen, folder / seen)
                counts.leave_out(fault, record.id) if fault else counts.keep()
    say(f"extract_frames: {counts.summary()}")


def _extract(frame: Path, target: Path) -> str | None:
    """Write one frame; the reason if that cannot be done."""
    from spinloop.tables.images import UnreadableImage, encode_jpeg, read_image, split_frame

    if split_frame(frame) is None:
        return "no_frame_of_a_video"
    try:
        image = read_image(frame)
    except UnreadableImage:
        return "unreadable_image"
    # OpenCV's own quality, as the published preprocessing.
    data = encode_jpeg(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return None
