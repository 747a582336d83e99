"""People a second of the stages whose time grows with the people: what `benchmarks/scaling.py` reckons with.

Run in a project that has run, with OMP_NUM_THREADS=1: `python benchmarks/rates.py`. Processor time of one
core, the start of Python and the libraries left out. Videos of the real datasets' sizes are made on the way.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from spinloop.body.files import load_body
from spinloop.fitting.offline import keypoint_batches
from spinloop.fitting.smplify import Fitter
from spinloop.motion.mixture import load_mixture
from spinloop.params.datasets import CropsParams
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_section, load_yaml
from spinloop.params.training import NetworkParams
from spinloop.regression.hmr import Hmr, mean_from_prior
from spinloop.stages import fit_initial, merge, preprocess
from spinloop.tables.crops import pack_crop
from spinloop.tables.table import count_rows

BODY, PRIOR = Path("data/body/neutral.npz"), Path("data/prior/mixture.npz")
PEOPLE = 64
FRAMES = 100
CROPS = CropsParams(size_px=224, margin=1.77, jpeg_quality=92)
# The published network and procedure; the rest of `fitting` is that of params.yaml.
NETWORK = NetworkParams(
    backbone="resnet50", width=64, head_width=1024, image_px=224, n_iterations=3, dropout=0.5, compat="none"
)
ADAM = {"solver": "adam", "n_iterations": 50, "camera": "staged", "step_size": 1e-2}


def say(name: str, count: int, function: Callable[[], object]) -> None:
    """Print how many a second."""
    start = time.process_time()
    function()
    print(f"{name}: {count / (time.process_time() - start):.1f} a second ({count})", flush=True)


def tables(folder: Path) -> None:
    """`preprocess` of every split, `merge` of COCO's."""
    for split, source in load_yaml(Path("params.yaml"))["sources"].items():
        out = folder / f"{split}.parquet"
        options = {"split": split, "source": source["reader"], "raw": Path(source["raw"]), "out": out}
        count = count_rows(Path(f"data/annotations/{split}.parquet"), "run the pipeline")
        say(
            f"preprocess {split}",
            count,
            lambda options=options: preprocess.run(**options, stats=folder / "s"),
        )
    table, openpose = Path("data/annotations/coco_train.parquet"), Path("data/raw/mirror/openpose/coco")
    options = {"annotations": table, "openpose": openpose, "out": folder / "k.parquet", "stats": folder / "s"}
    say("merge coco_train", count_rows(table, "run the pipeline"), lambda: merge.run(**options))


def fits(folder: Path) -> None:
    """Offline fits from both starts, and the published procedure from the first of them."""
    keypoints = Path("data/keypoints/coco_train.parquet")
    options = {"body": BODY, "prior": PRIOR, "keypoints": keypoints, "lifter": Path("models/lifter.pt")}
    count = count_rows(keypoints, "run the pipeline") // len(
        load_yaml(Path("params.yaml"))["fit_initial"]["shards"]
    )
    for start in ("mean", "lifted"):
        out = folder / start / "0.h5"
        say(
            f"fit_initial {start}",
            count,
            lambda start=start, out=out: fit_initial.run(
                **options, start=start, out=out, state=folder / "state"
            ),
        )
    settings = load_section(Path("params.yaml"), "fitting", FittingParams)
    fitter = Fitter(load_body(BODY), load_mixture(PRIOR), settings.model_copy(update=ADAM))
    seen = next(iter(keypoint_batches(keypoints, range(PEOPLE), PEOPLE))).keypoints
    start = fitter.fit_from_mean(seen).state
    say("adam, 50 + 50", PEOPLE, lambda: fitter.fit(start, seen))


def network() -> None:
    """The published network without gradients, on images of 224 px."""
    mixture = load_mixture(PRIOR)
    mean = mean_from_prior(mixture.means, mixture.weights)
    model = Hmr(NETWORK, mean, torch.Generator().manual_seed(0)).eval().to(memory_format=torch.channels_last)
    images = torch.zeros(16, 3, 224, 224).to(memory_format=torch.channels_last)
    with torch.no_grad():
        model(images)
        say("network", len(images), lambda: model(images))


def scene(height: int, width: int) -> np.ndarray:
    """A picture with the detail of a photograph."""
    rng = np.random.default_rng(0)
    layers = [cv2.resize(rng.integers(0, 255, (h, h, 3), np.uint8), (width, height)) for h in (6, 40, 400)]
    return np.average(layers, axis=0, weights=(6, 3, 1)).astype(np.uint8)


def pictures(folder: Path) -> None:
    """Photographs packed, and videos decoded of which one frame in five or ten is packed."""
    encoded = cv2.imencode(".jpg", scene(480, 640), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]

    def pack(image: np.ndarray) -> None:
        pack_crop(image, np.array(image.shape[1::-1]) / 2, 1.5, CROPS)

    def photographs() -> None:
        for _ in range(FRAMES):
            pack(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))

    say("photographs, 640 × 480 px", FRAMES, photographs)
    for side, every, code, name in ((1000, 5, "mp4v", "h36m.mp4"), (2048, 10, "XVID", "3dhp.avi")):
        path = str(folder / name)
        write_video(path, side, code)

        def decode(path: str = path, every: int = every) -> None:
            video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
            for frame in range(FRAMES):
                if frame % every:
                    video.grab()
                else:
                    pack(video.read()[1])

        say(f"frames of {side} px, one in {every} packed", FRAMES, decode)


def write_video(path: str, side: int, code: str) -> None:
    """A patch that moves over a still, with a little noise."""
    rng, still = np.random.default_rng(0), scene(side + 200, side + 200)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*code), 50, (side, side))
    for frame in range(FRAMES):
        image = still[:side, :side].astype(np.int16)
        image[200:700, 3 * frame : 3 * frame + 200] = still[300:800, 50:250]
        noise = rng.normal(0, 3, (side, side, 1)).astype(np.int16)
        writer.write(np.clip(image + noise, 0, 255).astype(np.uint8))
    writer.release()


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        for part in (tables, fits, pictures):
            part(Path(name))
        network()


if __name__ == "__main__":
    main()
