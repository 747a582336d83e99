"""Reading sections of `params.yaml` into strict, frozen models."""

import copy
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML, YAMLError
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
