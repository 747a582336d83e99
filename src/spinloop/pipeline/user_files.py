"""Files and folders that `params.yaml` names and no stage makes: users have to provide them.

Snakemake and DVC report one missing file at a time, without the key that names it; files that DVC does not
watch (SMPL, initial weights) would be missed when their stage starts.
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
    """A file or folder that users provide."""

    key: str
    """Key in `params.yaml`."""
    path: str
    """Relative to the project."""
    reader: str
    """An input of the stages that read it, or their name without what stands behind `@`."""
    guide: str
    """Page of the documentation that says how to get it."""


def missing_files(root: Path, stages: Sequence[StageRule]) -> list[UserFile]:
    """Files that `params.yaml` names, that no stage makes and that are missing.

    Args:
        root: the project's folder, with a valid `params.yaml`.
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
    """The files that these stages read."""
    readers = {str(Path(path)) for stage in stages for path in stage.inputs}
    readers |= {stage.name.split("@")[0] for stage in stages}
    return [file for file in files if file.reader in readers]


def leading_to(rules: Collection[str], stages: Sequence[StageRule]) -> list[StageRule]:
    """The stages of some rules and all stages before them.

    Snakemake omits a stage that lacks an input if its outputs exist, and continues with those.

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
    """One message for all missing files."""
    guides = ", ".join(dict.fromkeys(file.guide for file in files))
    head = f"params.yaml: {len(files)} of the files and folders that it names are missing"
    lines = [f"  {file.key}: {file.path}" for file in files]
    return "\n".join([f"{head}; provide them, or name others ({guides}):", *lines])


def _named_files(values: Mapping[str, Any], root: Path) -> Iterator[UserFile]:
    """Files that the sections name; another project's pipeline has none of these sections."""
    sources: Mapping[str, AnySource] = {}
    if "body" in values:
        yield from _body_files(parse_section(values, "body", BodyParams, "params.yaml"))
    if "prior" in values:
        for path in parse_section(values, "prior", PriorParams, "params.yaml").motion or ():
            yield UserFile("prior.motion", path, "fit_prior", "docs/body.md")
    if "sources" in values:
        sources = parse_section(values, "sources", SourcesParams, "params.yaml").root
        for split, source in sources.items():
            yield from _source_files(split, source, root)
    if "raw" in values:
        source_folders = {source.raw for source in sources.values()}
        for name, path in parse_section(values, "raw", RawParams, "params.yaml").root.items():
            if path not in source_folders:
                yield UserFile(f"raw.{name}", path, str(Path(path)), "docs/datasets.md")
    if "train" in values:
        train = parse_section(values, "train", TrainParams, "params.yaml")
        for key, path in train.initial.files().items():
            yield UserFile(f"train.initial.{key}", str(path), "train", "docs/training.md")


def _body_files(body: BodyParams) -> Iterator[UserFile]:
    if body.source == "smpl" and body.smpl_folder is not None:
        yield UserFile("body.smpl_folder", body.smpl_folder, "prepare_body", "docs/body.md")


def _source_files(split: str, source: AnySource, root: Path) -> Iterator[UserFile]:
    named = {"raw": source.raw, "openpose": getattr(source, "openpose", None)}
    for key, path in named.items():
        if path is not None:
            yield UserFile(f"sources.{split}.{key}", path, str(Path(path)), "docs/datasets.md")
    # If the whole folder is missing, it alone is named.
    for key in _INSIDE if (root / source.raw).is_dir() else ():
        if (inner := getattr(source, key, None)) is not None:
            path = str(Path(source.raw, inner))
            yield UserFile(f"sources.{split}.{key}", path, str(Path(source.raw)), "docs/datasets.md")
