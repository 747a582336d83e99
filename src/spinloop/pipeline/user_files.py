"""Files and folders that `params.yaml` names and no stage makes: the user has to bring them.

Snakemake and DVC miss them one at a time, without the key that names them; those that a stage opens without
DVC's knowing (the body, initial weights) would be missed when the stage starts.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spinloop.params.datasets import AnySource, RawParams, SourcesParams
from spinloop.params.fitting import BodyParams, PriorParams
from spinloop.params.loader import load_yaml, parse_section
from spinloop.params.training import TrainParams
from spinloop.pipeline.dag import StageRule

# Keys of a source whose paths are relative to its folder (or absolute).
_INSIDE = ("fits", "masks", "mosh")


class UserFile(NamedTuple):
    """A file or folder, and who reads it."""

    key: str
    """Names it in `params.yaml`."""
    path: str
    """Relative to the project."""
    reader: str
    """An input of the stages that read it, or their name without what stands behind `@`."""
    guide: str
    """Where the documentation says how to get it."""


def missing_files(root: Path, stages: Sequence[StageRule]) -> list[UserFile]:
    """What `params.yaml` names, no stage makes, and is not there.

    Args:
        root: the project's folder; its `params.yaml` is right in itself.
        stages: of the pipeline.
    """
    params = root / "params.yaml"
    values = load_yaml(params) if params.is_file() else {}
    made = [Path(path) for stage in stages for path in stage.files + stage.folders]
    return [
        file
        for file in _named_files(values, root)
        if not (root / file.path).exists()
        and not any(Path(file.path).is_relative_to(out) or out.is_relative_to(file.path) for out in made)
    ]


def read_by(files: Iterable[UserFile], stages: Sequence[StageRule]) -> list[UserFile]:
    """Those of the files that some of the stages read."""
    readers = {str(Path(path)) for stage in stages for path in stage.inputs}
    readers |= {stage.name.split("@")[0] for stage in stages}
    return [file for file in files if file.reader in readers]


def leading_to(rules: Collection[str], stages: Sequence[StageRule]) -> list[StageRule]:
    """The stages of some rules and all those before them.

    Snakemake leaves out a stage that lacks an input, and continues with its old output.

    Args:
        rules: names of Snakemake's rules.
        stages: of the pipeline.
    """
    maker = {path: stage for stage in stages for path in stage.files + stage.folders}
    found: dict[str, StageRule] = {}
    waiting = [stage for stage in stages if stage.rule in rules]
    while waiting:
        stage = waiting.pop()
        if stage.name not in found:
            found[stage.name] = stage
            waiting += [maker[path] for path in stage.inputs if path in maker]
    return list(found.values())


def list_missing(files: Sequence[UserFile]) -> str:
    """One message for all of them."""
    guides = ", ".join(dict.fromkeys(file.guide for file in files))
    head = f"params.yaml: {len(files)} of the files and folders that it names are not there"
    lines = [f"  {file.key}: {file.path}" for file in files]
    return "\n".join([f"{head}; bring them, or name your own ({guides}):", *lines])


def _named_files(values: Mapping[str, Any], root: Path) -> Iterator[UserFile]:
    """What the sections name; a pipeline of another project has none of them."""
    sources: Mapping[str, AnySource] = {}
    if "body" in values:
        yield from _of_body(parse_section(values, "body", BodyParams, "params.yaml"))
    if "prior" in values:
        for path in parse_section(values, "prior", PriorParams, "params.yaml").motion or ():
            yield UserFile("prior.motion", path, "fit_prior", "docs/body.md")
    if "sources" in values:
        sources = parse_section(values, "sources", SourcesParams, "params.yaml").root
        for split, source in sources.items():
            yield from _of_source(split, source, root)
    if "raw" in values:
        listed = {source.raw for source in sources.values()}
        for name, path in parse_section(values, "raw", RawParams, "params.yaml").root.items():
            if path not in listed:
                yield UserFile(f"raw.{name}", path, str(Path(path)), "docs/datasets.md")
    if "train" in values:
        train = parse_section(values, "train", TrainParams, "params.yaml")
        for key, path in train.initial.files().items():
            yield UserFile(f"train.initial.{key}", str(path), "train", "docs/training.md")


def _of_body(body: BodyParams) -> Iterator[UserFile]:
    if body.source == "smpl" and body.smpl_folder is not None:
        yield UserFile("body.smpl_folder", body.smpl_folder, "prepare_body", "docs/body.md")


def _of_source(split: str, source: AnySource, root: Path) -> Iterator[UserFile]:
    named = {"raw": source.raw, "openpose": getattr(source, "openpose", None)}
    for key, path in named.items():
        if path is not None:
            yield UserFile(f"sources.{split}.{key}", path, str(Path(path)), "docs/datasets.md")
    # Where the whole folder is missing, so is what lies in it.
    for key in _INSIDE if (root / source.raw).is_dir() else ():
        if (inner := getattr(source, key, None)) is not None:
            path = str(Path(source.raw, inner))
            yield UserFile(f"sources.{split}.{key}", path, str(Path(source.raw)), "docs/datasets.md")
