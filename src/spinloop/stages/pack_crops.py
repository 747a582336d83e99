"""Pack every person's image region as JPEG into one file: training never opens the originals again."""

from pathlib import Path

from spinloop.files import write_json
from spinloop.params.datasets import CropsParams
from spinloop.params.loader import load_section
from spinloop.progress import progress, say
from spinloop.tables.crops import pack_crops
from spinloop.tables.records import ReadCounts, iterate_records
from spinloop.tables.table import count_rows

SECTIONS = {"crops": CropsParams}


def run(*, annotations: Path, raw: Path, out: Path, stats: Path, params: Path = Path("params.yaml")) -> None:
    """Decode each image once, cut out its people with room for rotation and zoom, and pack them.

    Args:
        annotations: table of annotated people.
        raw: the dataset's folder.
        out: packed crops (HDF5).
        stats: how many were packed, and whose image could not be read (JSON).
        params: parameter file; section `crops`.
    """
    rules = load_section(params, "crops", CropsParams)
    counts = ReadCounts()
    total = count_rows(annotations, "make it with `spinloop preprocess`")
    records = progress(iterate_records(annotations), "pack crops", total)
    pack_crops(out, records, raw, rules, counts)
    write_json(stats, {**counts.stats(), "bytes_per_crop": out.stat().st_size / max(1, counts.n_kept)})
    say(f"pack_crops: {counts.summary()}")
