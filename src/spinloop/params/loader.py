"""Sections of `params.yaml`: strict, frozen models, how they are read, and presets over them.

Also the sections `runtime` and `needs`, which say how stages use a machine or a cluster.
"""

import copy
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError
from ruamel.yaml.comments import CommentedMap

from spinloop.errors import UserError
from spinloop.files import read_yaml, require_file, sha256_of

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


PARAMETERS_VARIABLE = "SPINLOOP_PARAMETERS"
"""Environment variable: the `digest_read` of params.yaml whose values a job records for the command."""


class Section(BaseModel):
    """Base of all sections: unknown, missing and mistyped keys are errors; values cannot be changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


S = TypeVar("S", bound=BaseModel)


_first_read: dict[Path, tuple[str, Any]] | None = None
"""In a block of `edits_ignored`: digest and content of each file that was read in it."""


@contextmanager
def edits_ignored() -> Iterator[None]:
    """In the block a parameter file stays what it was when it was first read there, whoever edits it."""
    global _first_read
    _first_read = {}
    try:
        yield
    finally:
        _first_read = None


def digest_read(path: Path) -> str:
    """Digest (16 digits of SHA-256) of a parameter file as `load_yaml` reads it."""
    return _read(path)[0]


def load_yaml(path: Path) -> dict[str, Any]:
    """Parse a YAML 1.2 mapping, as DVC does (`5e-5` is a number).

    Raises:
        UserError: the file is absent, is not YAML, or is not a mapping.
    """
    value = copy.deepcopy(_read(path)[1])
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected sections (a mapping), found {type(value).__name__}")
    return value


def _read(path: Path) -> tuple[str, Any]:
    key, fix = path.resolve(), "run in the project's folder or give --params"
    if _first_read is not None and key in _first_read:
        return _first_read[key]
    content = sha256_of(require_file(path, fix))
    # Stages read many sections of one file, and parsing takes as long as the rest of their start.
    found = content, _parse(path, content, fix)
    if sha256_of(path) != content:  # edited between the two
        _parse.cache_clear()
        return _read(path)
    if _first_read is not None:
        _first_read[key] = found
    return found


@functools.lru_cache(maxsize=64)
def _parse(path: Path, content: str, fix: str) -> Any:
    return read_yaml(path, fix)


def require_choice(path: Path, key: str, name: str, option: str) -> None:
    """Check that a value of the command line is a key of a section.

    Args:
        path: the parameter file.
        key: the section, whose keys are names that users choose.
        name: the value.
        option: its option, for the message.

    Raises:
        UserError: the section has no such key; the message lists those that it has.
    """
    known = load_yaml(path).get(key)
    if isinstance(known, Mapping) and name not in known:
        choices = ", ".join(map(str, known))
        raise UserError(f"{option} {name}: not in {path}: {key}; give one of {choices}")


def load_section(path: Path, key: str, model: type[S]) -> S:
    """Read one section.

    Args:
        path: the parameter file.
        key: the section, dots for a nested one (`settings.loop`).
        model: class of the section.

    Raises:
        UserError: the section is absent, or keys in it are unknown, missing or of the wrong type; the message
            names each with its full key.
    """
    return parse_section(load_yaml(path), key, model, path)


def parse_section(values: Mapping[str, Any], key: str, model: type[S], source: Path | str) -> S:
    """Check one section of the values of a whole parameter file.

    Args:
        values: the parameter file.
        key: as in `load_section`.
        model: class of the section.
        source: file of the values, for messages.

    Raises:
        UserError: as in `load_section`.
    """
    value: Any = values
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise UserError(f"{source}: {key}: section missing; copy it from the project's params.yaml")
        value = value[part]
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = "; ".join(_describe(key, value, fault) for fault in error.errors())
        raise UserError(f"{source}: {faults}") from None


def _describe(key: str, value: Any, fault: Any) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    where = ".".join([key, *_keys(value, fault)])
    if kind.startswith("union_tag"):
        # The key whose value chooses among several models, which pydantic puts in quotation marks.
        where += "." + context["discriminator"].strip("'")
    if kind == "extra_forbidden":
        return f"{where}: unknown key; remove it or correct its spelling"
    if kind in ("missing", "union_tag_not_found"):
        return f"{where}: missing; add it"
    if kind == "value_error":
        return f"{where}: {context['error']}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{where}: expected keys with values, got {fault['input']!r}"
    if kind == "union_tag_invalid":
        return f"{where}: expected one of {context['expected_tags']}, got {context['tag']!r}"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{where}: {message}, got {fault['input']!r}"


def _keys(value: Any, fault: Any) -> Iterator[str]:
    """Keys from the section to a fault, without those that pydantic adds (member of a union, `[key]`)."""
    for part in fault["loc"]:
        if part in value if isinstance(value, Mapping) else isinstance(value, list):
            value = value[part]
            yield str(part)
    if fault["type"] == "missing":
        yield str(fault["loc"][-1])


# Sections whose keys are names that users choose.
_OPEN = ("raw", "sources", "settings", "needs")


def read_preset(path: Path, project: Path) -> dict[str, Any]:
    """Parse a preset.

    Args:
        path: any part of a parameter file.
        project: folder of the project, whose `params` holds its presets.

    Raises:
        UserError: there is no such file (the message lists the presets), or it is not a YAML mapping.
    """
    if not path.is_file():
        presets = ", ".join(str(preset) for preset in sorted((project / "params").glob("*.yaml")))
        raise UserError(
            f"{path}: no such file; {f'the presets are {presets}' if presets else 'check the path'}"
        )
    return load_yaml(path)


def overlay(values: MutableMapping[str, Any], preset: Mapping[str, Any], source: Path) -> int:
    """Replace values by those of a preset, in place.

    Sections are merged; a list replaces the whole list, and `{}` the whole section. A section that YAML
    aliases share is changed only where the preset names it.

    Args:
        values: a whole parameter file.
        preset: any part of one.
        source: file of the preset, for messages.

    Returns:
        Number of values that changed.

    Raises:
        UserError: a key of the preset is not among the values.
    """
    counts = Counter(id(section) for section in _sections(values))
    shared = {key for key, count in counts.items() if count > 1}
    return _overlay(values, preset, (), source, shared)


def _overlay(
    values: MutableMapping[str, Any],
    preset: Mapping[str, Any],
    parents: tuple[str, ...],
    source: Path,
    shared: set[int],
) -> int:
    n_changed = 0
    for key, value in preset.items():
        if key not in values and not (parents and parents[0] in _OPEN):
            full_key = ".".join([*parents, key])
            raise UserError(f"{source}: {full_key}: params.yaml has no such key; correct its spelling")
        old = values.get(key)
        if isinstance(value, Mapping) and value and isinstance(old, MutableMapping):
            if id(old) in shared:
                old = values[key] = _unaliased(old)
            n_changed += _overlay(old, value, (*parents, key), source, shared)
        elif key not in values or old != value:
            values[key] = value
            n_changed += 1
    return n_changed


def _sections(values: MutableMapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """All sections below, as often as they occur."""
    for value in values.values():
        if isinstance(value, MutableMapping):
            yield value
            yield from _sections(value)


def _unaliased(section: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A copy of a section and its comments, without anchors."""
    own = copy.deepcopy(section)
    for part in (own, *_sections(own)):
        if isinstance(part, CommentedMap):
            part.yaml_set_anchor(None)
    return own


class RuntimeParams(Section):
    """Section `runtime`."""

    threads: Count
    """Threads of the numerical libraries in each stage; the last bits of sums depend on it."""


class StageNeeds(Section):
    """Resources of one stage; those left out are as in `dvc.yaml`."""

    threads: Count | None = None
    """Processor cores."""
    mem_mb: Count | None = None
    """Memory."""
    runtime: Count | None = None
    """Time limit, minutes; a cluster ends the job after it."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs; 0 for a stage without those that all stages of its name have."""


class NeedsParams(RootModel[dict[str, StageNeeds]]):
    """Section `needs`: resources in place of a stage's `meta` in dvc.yaml; no stage becomes stale by it.

    A key is the name of a stage, or the part before its `@`, which stands for all stages of that name.
    """

    model_config = ConfigDict(frozen=True, strict=True)
