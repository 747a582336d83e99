"""Records of finished stages, and how they get into `dvc.lock`.

A job leaves the record of its stage, as DVC would write it, in a file of its own. Then all such records are
put into `dvc.lock` at once: by the job if DVC's lock is free, by Snakemake at the end of a run, and after a
kill at the start of the next. So no job waits for another, and a kill loses no record.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml, parse_yaml

from spinloop.files import atomic
from spinloop.locks import file_of, is_locked

_HEAD = "schema: '2.0'\nstages:\n"
# A stage is its own line, indented by two, and all that is indented further.
_REST = r"(?:(?:   .*)?\n)*"
_STAGE = re.compile(rf"^  \S.*\n{_REST}", re.MULTILINE)


def leave_record(stage: PipelineStage, *, is_kept: bool) -> None:
    """Keep the record of a stage whose command has ended until it is in `dvc.lock`.

    Args:
        stage: with the hashes of its inputs.
        is_kept: whether DVC has hashed and kept its outputs, too.
    """
    root = Path(stage.repo.root_dir)
    lines = dumps_yaml({"schema": "2.0", "stages": to_lockfile(stage)}).removeprefix(_HEAD)
    outputs = _signatures(root, [out.def_path for out in stage.outs])
    with atomic(file_of(root, f"{stage.name}.json")) as temporary:
        record = {"stage": stage.name, "is_kept": is_kept, "lines": lines, "outputs": outputs}
        temporary.write_text(json.dumps(record), encoding="utf-8")


def read_record(root: Path, stage: str) -> dict[str, Any]:
    """What is recorded of one stage, as a lock file of this stage alone; the rest is not parsed."""
    path = root / "dvc.lock"
    waiting = _read(root, file_of(root, f"{stage}.json"))
    if waiting:
        lines = waiting["lines"]
    else:
        lines = lines_of(path.read_text(encoding="utf-8"), stage) if path.exists() else ""
    return Lockfile.validate(parse_yaml(_HEAD + lines, str(path)), str(path)) if lines else {}


def stages_to_keep(root: Path) -> list[str]:
    """Stages whose command ended, and whose job was killed before DVC had kept the outputs."""
    records = (_read(root, file) for file in sorted(file_of(root, "").glob("*.json")))
    return [record["stage"] for record in records if record and not record["is_kept"]]


def record_finished(repo: Repo) -> None:
    """Put the records that wait into `dvc.lock`, unless another process has DVC's lock.

    A record whose outputs are no longer those that its job left is dropped.
    """
    root = Path(repo.root_dir)
    path, waiting = root / "dvc.lock", file_of(root, "")
    if not any(waiting.glob("*.json")):
        return
    try:
        with repo.lock:
            records = {file: _read(root, file) for file in sorted(waiting.glob("*.json"))}
            # While a job is at work its record may be of the time before.
            records = {f: one for f, one in records.items() if one or not is_locked(f.with_suffix(".lock"))}
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            for file in (file for file, record in records.items() if not record):
                print(f"{file.stem}: not recorded, for its outputs were changed since", file=sys.stderr)
            lines = [record["lines"] for record in records.values() if record.get("is_kept")]
            after = splice(before, lines) if lines else before
            if after != before:
                with atomic(path) as temporary:
                    temporary.write_text(after, encoding="utf-8")
            for file, record in records.items():
                if record.get("is_kept", True):
                    file.unlink(missing_ok=True)
    except LockError:
        return


def record_all(root: Path) -> None:
    """Put the records that wait into `dvc.lock`; wait for DVC's lock as long as it takes."""
    with Repo(str(root), _wait_for_lock=True) as repo:
        record_finished(repo)


def splice(text: str, entries: Iterable[str]) -> str:
    """Put records of stages into the text of a lock file.

    Args:
        text: `dvc.lock` as DVC wrote it; empty if there is none yet.
        entries: the lines of each stage, as they stand under `stages:`.

    Returns:
        The text with the stages' old lines replaced, or with the new ones at the end of the stages.
    """
    stages = re.search(r"^stages:.*\n((?:(?:  .*)?\n)*)", text, re.MULTILINE)
    if stages is None:
        return splice(f"{text}stages:\n" if text else _HEAD, entries)
    blocks = {block.partition("\n")[0]: block for block in _STAGE.findall(stages[1])}
    blocks |= {entry.partition("\n")[0]: entry for entry in entries}
    return f"{text[: stages.start()]}stages:\n{''.join(blocks.values())}{text[stages.end() :]}"


def lines_of(text: str, name: str) -> str:
    """One stage's record in the text of a lock file, as it stands under `stages:`; empty if there is none."""
    header = "  " + dumps_yaml({name: {}}).removesuffix(" {}\n")
    found = re.search(rf"^{re.escape(header)}\n{_REST}", text, re.MULTILINE)
    return found[0] if found else ""


def _read(root: Path, file: Path) -> dict[str, Any]:
    """A record that waits; empty if there is none, or if its outputs are no longer those of its job."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return record if _signatures(root, record["outputs"]) == record["outputs"] else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _signatures(root: Path, outputs: Iterable[str]) -> dict[str, list[list[Any]]]:
    """Of all files of some outputs: path, size, time of change and number, by which a rewrite shows."""
    found = {}
    for output in outputs:
        files = [root / output, *sorted((root / output).rglob("*"))]
        # Snakemake marks folders; it is no content, and .dvcignore hides it from DVC.
        states = [
            (str(file.relative_to(root)), file.stat())
            for file in files
            if file.name != ".snakemake_timestamp" and not file.is_dir()
        ]
        found[output] = [[name, state.st_size, state.st_mtime_ns, state.st_ino] for name, state in states]
    return found


def one_line(error: BaseException) -> str:
    """DVC's message, with that of what caused it."""
    causes = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    return ": ".join(" ".join(cause.split()) for cause in causes)
