"""Numbers that others published: data with a source, never code."""

from pathlib import Path

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
    setting: str | None = None
    """The training of this project that it corresponds to."""
    checked: bool = True
    """Whether the numbers were compared with the source."""

    @property
    def citation(self) -> str:
        """Publication and place in it, and whether the number was compared with it."""
        place = f"{self.source}, {self.where}" if self.where else self.source
        return place if self.checked else f"{place} (not checked)"


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
        if row.source not in published.sources:
            raise UserError(
                f"{path}: {row.method}: source {row.source!r} is not under `sources`; add it there"
            )
    return published
