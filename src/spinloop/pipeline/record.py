"""Run one stage through DVC and record it: `python -m spinloop.pipeline.record STAGE`.

The same as `dvc --wait-for-lock repro --single-item STAGE`, except for the way in which `dvc.lock`
is read and written. DVC parses and formats the whole file, and writes over it. With hundreds of stages
that takes longer than a stage, under a lock that all others wait for; a kill or a full disk in the middle
loses the records of all stages. Here only the lines of the one stage are parsed and replaced, and the new
file is moved into place. The bytes are those that DVC would have written.
"""

import re
import sys
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import reproduce
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml

from spinloop.files import atomic
from spinloop.pipeline.dag import one_line
from spinloop.pipeline.locks import only_maker, respect_other_machines

_HEAD = "schema: '2.0'\nstages:\n"


def run_stage(name: str) -> int:
    """Bring one stage up to date, waiting for DVC's lock where others hold it.

    Returns:
        The exit status: 0, or 1 after one line that says what was wrong.
    """
    respect_other_machines()
    Lockfile.dump_stages = _dump_stages
    Lockfile.load = lambda self, **kwargs: _load_stage(Path(self.path), name)
    try:
        with only_maker(Path.cwd(), name), Repo(_wait_for_lock=True) as repo:
            reproduce(repo, [name], single_item=True)
    except DvcException as error:
        print(f"{name}: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def splice(text: str, entry: str) -> str:
    """Put one stage's record into the text of a lock file.

    Args:
        text: `dvc.lock` as DVC wrote it; empty if there is none yet.
        entry: the stage's lines, as they stand under `stages:`.

    Returns:
        The text with the stage's old lines replaced, or with the new ones at the end of the stages.
    """
    text = text or _HEAD
    old = _find(text, entry.split("\n", 1)[0])
    if old:
        return text[: old.start()] + entry + text[old.end() :]
    stages = re.search(r"^stages:.*\n(?:  .*\n)*", text, re.MULTILINE)
    if stages is None:
        return f"{text}stages:\n{entry}"
    return text[: stages.end()] + entry + text[stages.end() :]


def lines_of(text: str, name: str) -> str:
    """One stage's record in the text of a lock file, as it stands under `stages:`; empty if there is none."""
    found = _find(text, "  " + dumps_yaml({name: {}}).removesuffix(" {}\n"))
    return found[0] if found else ""


def _find(text: str, header: str) -> re.Match[str] | None:
    """A stage is its own line, indented by two, and all that is indented further."""
    return re.search(rf"^{re.escape(header)}\n(?:   .*\n)*", text, re.MULTILINE)


def _load_stage(path: Path, name: str) -> dict[str, Any]:
    """Stands in for `dvc.dvcfile.Lockfile.load`, which parses what every stage has left."""
    lines = lines_of(path.read_text(encoding="utf-8"), name) if path.exists() else ""
    return Lockfile.validate(parse_yaml(_HEAD + lines, str(path)), str(path)) if lines else {}


def _dump_stages(self: Lockfile, stages: list[Any], **kwargs: Any) -> None:
    """Stands in for `dvc.dvcfile.Lockfile.dump_stages`."""
    path = Path(self.path)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = before
    for stage in stages:
        record = dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage, **kwargs)})
        after = splice(after, record.removeprefix(_HEAD))
    if after != before:
        with atomic(path) as temporary:
            temporary.write_text(after, encoding="utf-8")
        self.repo.scm_context.track_file(self.relpath)


if __name__ == "__main__":
    raise SystemExit(run_stage(sys.argv[1]))
