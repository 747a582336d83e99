"""Check a table of annotated people: schema, ranges, images, sides, duplicates, overlap of splits."""

from pathlib import Path

from spinloop.annotations.record import iterate_records
from spinloop.annotations.table import count_rows
from spinloop.annotations.tally import Tally
from spinloop.annotations.validate import FATAL, validate_records
from spinloop.errors import UserError
from spinloop.files import write_json
from spinloop.stages._progress import progress, say

SECTIONS = {}
_CURE = "make it with `spinloop preprocess`"


def run(*, table: Path, out: Path, raw: Path | None = None, against: Path | None = None) -> None:
    """Say what is odd about a table; fail where it cannot be used.

    Args:
        table: annotated people (Parquet).
        out: what was found, with examples (JSON).
        raw: the dataset's folder; with it, every image is looked for.
        against: another split of the same dataset that must share no image: training against test.
    """
    others = {record.image for record in iterate_records(against)} if against is not None else set()
    tally = Tally()
    rows = progress(iterate_records(table), "validate", count_rows(table, _CURE))
    validate_records(rows, raw, others, tally)
    stats = tally.stats()
    write_json(out, {"rows": stats["kept"], "found": stats["noted"], "examples": stats["examples"]})
    say(f"validate: {tally.summary()}")
    for finding in FATAL:
        if finding in stats["noted"]:
            count, example = stats["noted"][finding], stats["examples"][finding][0]
            raise UserError(f"{table}: {finding.replace('_', ' ')}: {count}, first {example}; see {out}")
