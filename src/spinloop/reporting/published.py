"""Numbers that others published: data with a source, never code."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from spinloop.errors import UserError
from spinloop.params.loader import load_yaml


class PublishedRow(BaseModel):
    """One method's numbers on one benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmark: str
    """Key of the benchmark, as in the protocols."""
    method: str
    """As it is named in the table."""
    source: str
    """Key of the publication."""
    where: str
    """Table or page in it; empty where there is only one place."""
    values: dict[str, float]
    """Metric with its unit → number."""
    training: Literal["static", "unpaired", "paired"] | None = None
    """The kind of training of this project that it corresponds to, see `Setting.kind`."""
    read_in: str | None = None
    """Another publication, and the place in it, where the same numbers were read."""
    checked: bool = True
    """Whether the numbers were read in the source or in `read_in`."""

    @property
    def citation(self) -> str:
        """Publication and place in it, and where or whether the number was read."""
        place = f"{self.source}, {self.where}" if self.where else self.source
        if self.read_in is not None:
            return f"{place}; {self.read_in}"
        return place if self.checked else f"{place} (not checked)"

    @property
    def sources(self) -> set[str]:
        """Keys of the publications that it names."""
        return {self.source} | ({self.read_in.split(",")[0]} if self.read_in else set())


class Published(BaseModel):
    """Everything that `published.yaml` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, str]
    """Key → citation."""
    rows: list[PublishedRow]

    def of(self, benchmark: str) -> list[PublishedRow]:
        """Rows of one benchmark, in the file's order."""
        return [row for row in self.rows if row.benchmark == benchmark]


def load_published(path: Path) -> Published:
    """Read published numbers.

    Raises:
        UserError: the file is absent or malformed, or a row names a source that is not listed.
    """
    try:
        published = Published.model_validate(load_yaml(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{path}: {where}: {fault['msg'].lower()}; correct the entry") from None
    for row in published.rows:
        for source in sorted(row.sources - set(published.sources)):
            raise UserError(f"{path}: {row.method}: source {source!r} is not under `sources`; add it there")
    return published
