"""What a report consists of, before it is Markdown or HTML."""

from dataclasses import dataclass

from spinloop.reporting.charts import Chart
from spinloop.reporting.people import Sheet
from spinloop.reporting.table import Table
from spinloop.reporting.viewer import Viewer


@dataclass(frozen=True)
class Section:
    """One heading and what stands under it, in this order."""

    key: str
    """Anchor."""
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    viewer: Viewer | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands under the heading."""
        return not (self.paragraphs or self.tables or self.charts or self.sheets or self.viewer)


@dataclass(frozen=True)
class Report:
    """The whole report."""

    title: str
    lead: tuple[str, ...]
    """What a reader who reads no further should know."""
    sections: tuple[Section, ...]

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in self.sections for table in section.tables]

    @property
    def charts(self) -> list[Chart]:
        """All charts, in order."""
        return [chart for section in self.sections for chart in section.charts]

    @property
    def sheets(self) -> list[Sheet]:
        """All sheets of pictures, in order."""
        return [sheet for section in self.sections for sheet in section.sheets]

    @property
    def viewer(self) -> Viewer | None:
        """The 3D viewer; a page has one at most."""
        return next((section.viewer for section in self.sections if section.viewer), None)
