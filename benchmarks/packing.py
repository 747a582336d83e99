"""What packing does to test errors, in mm: a network sees the originals, crops without loss, crops as JPEG.

Run it in the folder of a pipeline that has run: `python benchmarks/packing.py --setting loop`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from tabulate import tabulate

from spinloop.evaluation.predictions import predict
from spinloop.evaluation.protocols import MaskProtocol, protocol_of_split
from spinloop.evaluation.scores import JointScores, Reference, score_predictions
from spinloop.evaluation.truth import load_body_files, make_body_models, rows_of
from spinloop.params.datasets import CropsParams, SourcesParams
from spinloop.params.evaluation import EvaluateParams
from spinloop.params.loader import load_section
from spinloop.regression.weights import load_network
from spinloop.tables.crops import CropReader, pack_crops
from spinloop.tables.images import read_image
from spinloop.tables.records import ReadCounts, iterate_records, load_records


class Originals(CropReader):
    """Whole images in place of the packed regions of them."""

    def __init__(self, packed: Path, images: list[Path]) -> None:
        super().__init__(packed)
        self._paths = images

    def image(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of the whole image."""
        return read_image(self._paths[index]), np.eye(2, 3)


def main() -> None:
    """Print a row for every test split that is measured by joints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--setting", default="loop")
    options = parser.parse_args()
    params = Path("params.yaml")
    section = load_section(params, "evaluate", EvaluateParams)
    crops = load_section(params, "crops", CropsParams)
    sources = load_section(params, "sources", SourcesParams).root
    files = load_body_files(*(Path(f"data/body/{gender}.npz") for gender in ("neutral", "female", "male")))
    bodies = make_body_models(files, "spinloop")
    network, sizes = load_network(Path(f"models/{options.setting}.pt"))
    rows = []
    for split in section.splits:
        protocol = protocol_of_split(section, split)
        if isinstance(protocol, MaskProtocol):
            continue
        table, raw = Path(f"data/annotations/{split}.parquet"), Path(sources[split].raw)
        people = load_records(table)
        with tempfile.TemporaryDirectory() as name:
            paths = {kind: Path(name) / f"{kind}.h5" for kind in ("png", "jpeg")}
            for kind, path in paths.items():
                pack_crops(path, iterate_records(table), raw, crops, ReadCounts(), kind == "png")
            readers = {kind: CropReader(path) for kind, path in paths.items()}
            ids = readers["png"].ids
            records = people.iloc[rows_of(people["id"].tolist(), ids, table)]
            readers["original"] = Originals(paths["png"], [raw / image for image in records["image"]])
            errors = {}
            for kind, reader in readers.items():
                made = predict(
                    network, bodies["neutral"], reader, records, sizes.image_px, section.batch_size
                )
                reference = Reference(table, records, bodies, files["neutral"], None)
                scores = score_predictions(protocol, made, reference, section.batch_size)
                assert isinstance(scores, JointScores)
                errors[kind] = np.nanmean(scores.joint_pa_mpjpe_mm, axis=1)
                reader.close()
            kilobytes = [paths[kind].stat().st_size / len(ids) / 1e3 for kind in ("png", "jpeg")]
        row = [split, len(ids), errors["original"].mean()]
        for kind, other in (("jpeg", "png"), ("png", "original")):
            difference = errors[kind] - errors[other]
            row += [difference.mean(), np.abs(difference).mean(), np.abs(difference).max()]
        rows.append([*row, *kilobytes])
    head = ["split", "people", "PA-MPJPE, originals"]
    head += [
        f"{kind}: {what}"
        for kind in ("JPEG − PNG", "PNG − originals")
        for what in ("mean", "mean |·|", "largest |·|")
    ]
    print(tabulate(rows, [*head, "kB, PNG", "kB, JPEG"], tablefmt="github", floatfmt=".3f"))


if __name__ == "__main__":
    main()
