"""Checks of `params.yaml` as a whole: every section is valid, and none contradicts another.

A stage reads its own sections when it starts, so a mistake in those of the last stage would show after hours.
`snakemake`, `spinloop status` and `spinloop use_params` check all of them first.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from spinloop.errors import UserError
from spinloop.evaluation.protocols import MaskProtocol, protocol_of_dictionary, protocol_of_split
from spinloop.params.datasets import CropsParams, MergeParams, RawParams, SourcesParams, ValidateParams
from spinloop.params.evaluation import EvaluateParams, ReportParams
from spinloop.params.fitting import (
    BodyParams,
    FitInitialParams,
    FitParams,
    FittingParams,
    LifterParams,
    PriorParams,
)
from spinloop.params.loader import NeedsParams, RuntimeParams, load_yaml, parse_section
from spinloop.params.mirror import (
    CocoParams,
    H36mParams,
    LspetParams,
    LspParams,
    MpiInf3dhpParams,
    MpiiParams,
    Pw3dParams,
)
from spinloop.params.training import MonitorParams, NetworkParams, SettingsParams, TrainParams
from spinloop.training.augmentation import crops_fault

SECTIONS: dict[str, type[BaseModel]] = {
    "runtime": RuntimeParams,
    "body": BodyParams,
    "prior": PriorParams,
    "mirror_coco": CocoParams,
    "mirror_pw3d": Pw3dParams,
    "mirror_h36m": H36mParams,
    "mirror_mpi_inf_3dhp": MpiInf3dhpParams,
    "mirror_lsp": LspParams,
    "mirror_lspet": LspetParams,
    "mirror_mpii": MpiiParams,
    "raw": RawParams,
    "sources": SourcesParams,
    "merge": MergeParams,
    "validate": ValidateParams,
    "crops": CropsParams,
    "fitting": FittingParams,
    "lifter": LifterParams,
    "fit": FitParams,
    "fit_initial": FitInitialParams,
    "evaluate": EvaluateParams,
    "report": ReportParams,
    "network": NetworkParams,
    "train": TrainParams,
    "watch": MonitorParams,
    "settings": SettingsParams,
    "needs": NeedsParams,
}
"""Section → its model. Those of `raw`, `sources`, `settings` and `needs` hold items that a user names.

A stage takes the models of its own sections from where they are declared, not from here: so an edit of the
others makes nothing stale that does not read them.
"""


def check_project(root: Path) -> None:
    """Check the `params.yaml` of a project; if there is none, DVC says so.

    Raises:
        UserError: as in `check_values`.
    """
    params = root / "params.yaml"
    if params.is_file():
        check_values(load_yaml(params), params)


def check_values(values: Mapping[str, Any], params: Path) -> None:
    """Refuse what a stage would refuse when it starts.

    A pipeline whose stages read none of our sections is not checked.

    Args:
        values: of a whole parameter file.
        params: the file that holds or will hold them; `dvc.yaml` lies beside it.

    Raises:
        UserError: sections are unknown, missing or invalid, or contradict each other; all are named.
    """
    path = params.with_name("dvc.yaml")
    pipeline = load_yaml(path) if path.is_file() else None
    read = SECTIONS.keys() - {"needs"} if pipeline is None else _sections_read(pipeline)
    if not read & SECTIONS.keys():
        return
    faults = [*_name_faults(values, read, params)]
    for name in SECTIONS.keys() & values.keys():
        faults += _faults(parse_section, values, name, SECTIONS[name], params)
    if not faults and values.keys() >= {"sources", "evaluate", "train"}:
        faults = [*_contradictions(Sections.of(values, params), pipeline or {})]
    if not faults and values.keys() >= {"crops", "network", "train"}:
        faults = [*_crops_faults(values, params)]
    if faults:
        raise UserError("; ".join(sorted(faults)))


class Sections(NamedTuple):
    """The sections that refer to each other."""

    sources: SourcesParams
    evaluate: EvaluateParams
    train: TrainParams
    needs: NeedsParams

    @classmethod
    def of(cls, values: Mapping[str, Any], params: Path) -> "Sections":
        """The sections of a parameter file; it need not have `needs`."""
        known = {"needs": {}, **values}
        return cls(
            sources=parse_section(known, "sources", SourcesParams, params),
            evaluate=parse_section(known, "evaluate", EvaluateParams, params),
            train=parse_section(known, "train", TrainParams, params),
            needs=parse_section(known, "needs", NeedsParams, params),
        )


def _stages(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The stages of `dvc.yaml`; DVC, which reads it next, refuses what is not a stage."""
    stages = pipeline.get("stages") or {}
    return {name: stage for name, stage in stages.items() if isinstance(stage, Mapping)}


def _variables(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """What `dvc.yaml` defines under `vars`."""
    return dict(
        item for each in pipeline.get("vars") or () if isinstance(each, Mapping) for item in each.items()
    )


def _sections_read(pipeline: Mapping[str, Any]) -> set[str]:
    """Sections that stages list under `params` or use as `${section…}`."""
    stages, variables = _stages(pipeline), _variables(pipeline)
    listed = [key for stage in stages.values() for key in (stage.get("do") or stage).get("params") or ()]
    named = set(re.findall(r"\$\{(\w+)", repr(stages))) - {"item", "key"} - variables.keys()
    return named | {key.split(".")[0] for key in listed if isinstance(key, str)}


def _name_faults(values: Mapping[str, Any], read: set[str], params: Path) -> Iterator[str]:
    for name in values.keys() - SECTIONS.keys() - read:
        yield f"{params}: {name}: no stage reads such a section; remove it or correct its spelling"
    for name in read - values.keys():
        yield f"{params}: {name}: section missing; copy it from the project's params.yaml"


def _contradictions(sections: Sections, pipeline: Mapping[str, Any]) -> Iterator[str]:
    stages = _stages(pipeline)
    yield from _training_faults(sections, pipeline)
    yield from _test_faults(sections)
    yield from _dictionary_faults(sections)
    # Names of single stages (`train@loop`) are known once DVC has read the pipeline: `dag` looks at them.
    for name in sections.needs.root:
        if stages and name.split("@")[0] not in stages:
            yield f"params.yaml: needs.{name}: no such stage; correct its name"


def _training_faults(sections: Sections, pipeline: Mapping[str, Any]) -> Iterator[str]:
    fitted = _variables(pipeline).get("training", sections.sources.root)
    merged = _stages(pipeline).get("merge", {}).get("foreach")
    for split in fitted if isinstance(merged, Mapping) else ():
        if split not in merged:
            yield f"dvc.yaml: vars.training: {split}: name it under merge, too"
    for split in sections.train.splits:
        if split not in sections.sources.root:
            yield f"params.yaml: train.mixture: {split}: no such source; add it to sources or take it out"
        elif split not in fitted:
            where = "take it out, or add it there to vars.training and to merge"
            yield f"params.yaml: train.mixture: {split}: dvc.yaml makes no fits of it; {where}"


def _crops_faults(values: Mapping[str, Any], params: Path) -> Iterator[str]:
    crops = parse_section(values, "crops", CropsParams, params)
    image_px = parse_section(values, "network", NetworkParams, params).image_px
    augmentation = parse_section(values, "train", TrainParams, params).augmentation
    if fault := crops_fault(augmentation, image_px, crops.size_px, crops.margin):
        yield f"params.yaml: {fault}"


def _test_faults(sections: Sections) -> Iterator[str]:
    sources = sections.sources.root
    for split, protocol in sections.evaluate.splits.items():
        yield from (faults := [*_faults(protocol_of_split, sections.evaluate, split)])
        key = f"params.yaml: evaluate.splits.{split}"
        if split not in sources:
            yield f"{key}: no such source; add it to sources or take it out"
            continue
        if not sources[split].lossless:
            yield f"{key}: its images are measured; set sources.{split}.lossless: true"
        if not faults and isinstance(protocol_of_split(sections.evaluate, split), MaskProtocol):
            if getattr(sources[split], "masks", None) is None:
                fix = f"name their folder in sources.{split}.masks, or choose another"
                yield f"{key}: {protocol!r} compares masks, and the source has none; {fix}"


def _dictionary_faults(sections: Sections) -> Iterator[str]:
    for split in sections.evaluate.dictionaries:
        yield from _faults(protocol_of_dictionary, sections.evaluate, split)
        if split not in sections.train.splits:
            key = f"params.yaml: evaluate.dictionaries.{split}"
            yield f"{key}: nothing is trained on it; name it in train.mixture or take it out"


def _faults(check: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)
