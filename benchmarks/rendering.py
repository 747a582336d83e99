"""Masks a second: our pixel-by-face renderer against Embree's ray tracer, the same body, one core.

Then part masks of a whole image by both drawings of the LSP protocols, on as many processes as `--processes`.

Run: `python benchmarks/rendering.py --body data/body/neutral.npz`
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from spinloop.body.files import BodyFile, load_body
from spinloop.rendering.masks import render_labels, render_labels_as_published
from spinloop.rendering.raycast import render

# A person of 1.7 m fills nine tenths of the picture's height from three metres away.
DISTANCE_M = 3.0
# The crop's camera sees the same person from about fifty metres.
CROP_DISTANCE_M = 45.0
FILL = 0.9


def with_embree(
    vertices: np.ndarray, faces: np.ndarray, focal_px: float, size: tuple[int, int]
) -> np.ndarray:
    """A mask by one ray per pixel of the body's box; the search tree is built anew, as for every new body."""
    scene = EmbreeScene()
    TriangleMesh(scene, vertices.astype(np.float32), faces.astype(np.int32))
    center = np.array([size[1] / 2, size[0] / 2])
    pixels = focal_px * vertices[:, :2] / vertices[:, 2:] + center
    low = np.clip(np.floor(pixels.min(0)), 0, None).astype(int)
    high = np.minimum(np.ceil(pixels.max(0)), [size[1], size[0]]).astype(int)
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
    x, y = (columns - center[0]) / focal_px, (rows - center[1]) / focal_px
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3).astype(np.float32)
    found = scene.run(np.zeros_like(rays), rays, output=True)["primID"] >= 0
    mask = np.zeros(size, dtype=bool)
    mask[low[1] : high[1], low[0] : high[0]] = found.reshape(rows.shape)
    return mask


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Processor time of one call: the median of several."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def part_masks_per_second(body: BodyFile, vertices: np.ndarray, draw: Callable, processes: int) -> float:
    """Part masks of LSP-sized images a second (wall clock), each process drawing the same number."""
    box, size, n = (np.array([76.0, 96.0]), 0.85), (192, 153), 40
    moved = vertices + np.array([0, 0, CROP_DISTANCE_M - DISTANCE_M])
    work = partial(_draw_many, draw, moved, body.f, body.part_labels, *box, size, n)
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        list(pool.map(_call, [work] * processes))
        start = time.perf_counter()
        list(pool.map(_call, [work] * processes))
        return processes * n / (time.perf_counter() - start)


def _call(work: Callable[[], None]) -> None:
    work()


def _draw_many(draw: Callable, *arguments: Any) -> None:
    *given, n = arguments
    for _ in range(n):
        draw(*given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    body = load_body(options.body)
    # The T-pose, turned to the camera's axes, its middle on the optical axis.
    rest = body.v_template.astype(np.float64) * [1, -1, -1]
    vertices = rest - (rest.min(0) + rest.max(0)) / 2 + [0, 0, DISTANCE_M]
    print(f"{'size px':>8} {'ours /s':>9} {'closed /s':>9} {'embree /s':>9} {'differing pixels':>17}")
    for side in (64, 112, 224, 448, 896):
        view = (FILL * side * DISTANCE_M / 1.7, (side / 2, side / 2), (side, side))
        draw = partial(render, vertices, body.f, *view)
        trace = partial(with_embree, vertices, body.f, view[0], view[2])
        rates = [1 / seconds(call, options.repeats) for call in (draw, partial(draw, is_closed=True), trace)]
        differing = int((draw().mask != trace()).sum())
        print(f"{side:>8} {rates[0]:>9.0f} {rates[1]:>9.0f} {rates[2]:>9.0f} {differing:>17}")
    for name, draw in (("lsp@1", render_labels), ("lsp_official@1", render_labels_as_published)):
        rate = part_masks_per_second(body, vertices, draw, options.processes)
        print(f"part masks, {name}, {options.processes} processes: {rate:.0f} /s")


if __name__ == "__main__":
    main()
