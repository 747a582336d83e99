"""Renders docs/packages.svg: the packages of spinloop in their layers, and which imports which.

A line is left out where another path of lines already leads from the importing package to the imported one.

Run it from the repository: `python docs/packages.py`. Layers are those of pyproject.toml, checked by
`lint-imports`; sizes and lines are counted from the source.
"""

import tomllib
from pathlib import Path

import grimp
import matplotlib as mpl
import networkx
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spinloop"


def layers() -> list[list[str]]:
    """Names of the packages by layer, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [layer.split(" | ") for layer in contracts[0]["layers"]]


def size_of(name: str) -> tuple[int, int]:
    """Modules and lines of a package or of a module at the top."""
    folder = SOURCE / name
    files = [path for path in folder.rglob("*.py")] if folder.is_dir() else [folder.with_suffix(".py")]
    counted = [path for path in files if path.name != "__init__.py" or len(path.read_text().splitlines()) > 8]
    return len(counted), sum(len(path.read_text().splitlines()) for path in files)


def package_imports() -> set[tuple[str, str]]:
    """Pairs of (importing, imported) packages."""
    graph = grimp.build_graph("spinloop", cache_dir=None)
    pairs = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = module.split(".")[1:2], other.split(".")[1:2]
            if pair[0] and pair[1] and pair[0] != pair[1]:
                pairs.add((pair[0][0], pair[1][0]))
    return pairs


def main() -> None:
    """Write the picture."""
    rows = layers()
    places = {
        name: ((column - (len(row) - 1) / 2) * 2.55, -1.15 * level)
        for level, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    with mpl.rc_context({"svg.hashsalt": "spinloop", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9.2, 0.95 * len(rows) + 0.4))
        axes = figure.add_axes((0, 0, 1, 1))
        lines = networkx.transitive_reduction(networkx.DiGraph(sorted(package_imports()))).edges
        for importing, imported in sorted(lines):
            if importing in places and imported in places:
                (x0, y0), (x1, y1) = places[importing], places[imported]
                axes.plot(
                    [x0, x1], [y0 - 0.33, y1 + 0.33], color="#8aa4c8", linewidth=1.1, alpha=0.9, zorder=1
                )
        for name, (x, y) in places.items():
            modules, lines = size_of(name)
            box = FancyBboxPatch(
                (x - 1.1, y - 0.3),
                2.2,
                0.6,
                boxstyle="round,pad=0.03",
                facecolor="#f2f5fa",
                edgecolor="#3b5b8c",
            )
            axes.add_patch(box)
            axes.text(x, y + 0.07, name, ha="center", va="center", fontsize=11, color="#1d2b45", zorder=3)
            plural = "module" if modules == 1 else "modules"
            label = f"{modules} {plural}, {lines:,} lines"
            axes.text(x, y - 0.17, label, ha="center", va="center", fontsize=7, color="#5a6a85", zorder=3)
        axes.set_xlim(-6.6, 6.6)
        axes.set_ylim(-1.15 * (len(rows) - 1) - 0.6, 0.6)
        axes.axis("off")
        figure.savefig(ROOT / "docs" / "packages.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
