"""Reading sections of `params.yaml` into strict, frozen models.

Values laid over those of a parameter file.

How a stage uses the machine, and what it asks of a cluster.
"""

import copy
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from spinloop.errors import UserError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown, missing and mistyped keys are errors; nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


S = TypeVar("S", bound=BaseModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Parse a YAML 1.2 mapping, as DVC does (`5e-5` is a number).

    Raises:
        UserError: the file is absent, is not YAML, or is not a mapping.
    """
    try:
        # Stages read many sections of one file, and parsing it takes as long as the rest of their start.
        value = copy.deepcopy(_parse(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder or give --params") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{path}: line {line}: not valid YAML ({error.problem}); mend it") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}); mend it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected sections (a mapping), found {type(value).__name__}")
    return value


@functools.cache
def _parse(text: str) -> Any:
    return YAML(typ="safe").load(text)


def require_choice(path: Path, key: str, name: str, option: str) -> None:
    """See that a word of the command line is a key of a section.

    Args:
        path: the parameter file.
        key: the section, whose keys are names that a user chooses.
        name: one of them.
        option: where it was given, for the message.

    Raises:
        UserError: the section has no such key; those that it has are listed.
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
        model: what the section must look like.

    Raises:
        UserError: the section is absent, or a key in it is unknown, missing or of the wrong type; every
            fault is named with its full key.
    """
    return parse_section(load_yaml(path), key, model, path)


def parse_section(values: Mapping[str, Any], key: str, model: type[S], source: Path | str) -> S:
    """One section of values that are read already.

    Args:
        values: of a whole parameter file.
        key: as in `load_section`.
        model: what the section must look like.
        source: where the values come from, for the message.

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
        # The key whose value chooses among several models; pydantic hands it over in quotation marks.
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
    """The keys that lead to a fault, without what pydantic adds to them (the choice of a union, `[key]`)."""
    for part in fault["loc"]:
        if part in value if isinstance(value, Mapping) else isinstance(value, list):
            value = value[part]
            yield str(part)
    if fault["type"] == "missing":
        yield str(fault["loc"][-1])


# Sections whose keys are names that a user chooses.
_OPEN = ("raw", "sources", "settings", "needs")


def read_preset(path: Path, project: Path) -> dict[str, Any]:
    """Parse a file of wanted values.

    Args:
        path: any part of a parameter file.
        project: the folder whose `params` holds the presets that come with the project.

    Raises:
        UserError: there is no such file (the presets are listed), or it is no YAML mapping.
    """
    if not path.is_file():
        presets = ", ".join(str(preset) for preset in sorted((project / "params").glob("*.yaml")))
        raise UserError(
            f"{path}: no such file; {f'the presets are {presets}' if presets else 'check the path'}"
        )
    return load_yaml(path)


def lay_over(values: MutableMapping[str, Any], wanted: Mapping[str, Any], source: Path) -> int:
    """Replace values by wanted ones, in place; sections go into each other.

    A list replaces a whole list, and `{}` a whole section.

    A section that stands in several places (a YAML alias) changes only where it is named.

    Args:
        values: of a whole parameter file.
        wanted: any part of one.
        source: where the wanted values come from, for the message.

    Returns:
        How many values changed.

    Raises:
        UserError: a wanted key is not among the values.
    """
    counts = Counter(id(section) for section in _sections(values))
    shared = {key for key, count in counts.items() if count > 1}
    return _lay(values, wanted, (), source, shared)


def _lay(
    values: MutableMapping[str, Any],
    wanted: Mapping[str, Any],
    at: tuple[str, ...],
    source: Path,
    shared: set[int],
) -> int:
    n_changed = 0
    for key, value in wanted.items():
        where = ".".join([*at, key])
        if key not in values and not (at and at[0] in _OPEN):
            raise UserError(f"{source}: {where}: params.yaml has no such key; correct its spelling")
        old = values.get(key)
        if isinstance(value, Mapping) and value and isinstance(old, MutableMapping):
            if id(old) in shared:
                old = values[key] = _separate(old)
            n_changed += _lay(old, value, (*at, key), source, shared)
        elif key not in values or old != value:
            values[key] = value
            n_changed += 1
    return n_changed


def _sections(values: MutableMapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """All sections below, each as often as it is named."""
    for value in values.values():
        if isinstance(value, MutableMapping):
            yield value
            yield from _sections(value)


def _separate(section: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A section of its own, with the same values and comments, to which no alias refers."""
    own = deepcopy(section)
    for part in (own, *_sections(own)):
        if isinstance(part, CommentedMap):
            part.yaml_set_anchor(None)
    return own


class RuntimeParams(Section):
    """Section `runtime`."""

    threads: Count
    """Threads of the numerical libraries in each stage; sums are split by it, so last bits depend on it."""


class StageNeeds(Section):
    """What one stage needs; what is not named here stays as it is elsewhere."""

    threads: Count | None = None
    """Processor cores."""
    mem_mb: Count | None = None
    """Memory."""
    runtime: Count | None = None
    """Minutes; a cluster ends the job after them."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs; 0 takes from one stage what all of its name have."""


class NeedsParams(RootModel[dict[str, StageNeeds]]):
    """Section `needs`: what a stage needs in place of its `meta` in dvc.yaml; nothing becomes stale by it.

    A key is a stage's name, without what stands behind its `@` (then it holds for all of them) or with it.
    """

    model_config = ConfigDict(frozen=True, strict=True)
