"""What a person can look at; and that looking changes nothing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.model import BodyModel
from spinloop.body.pose import to_view
from spinloop.params.training import WatchParams
from spinloop.training.loop import Run, train
from spinloop.training.monitor import Sheets, zoomed
from spinloop.training.step import unzoom_state

ALL = WatchParams(sheet_every=2, sheet_people=2, tensorboard=True, dvclive=True)


@pytest.fixture
def drawn(make_run, stick_body) -> Run:
    """A watched run; of the body only a hundred faces are drawn."""
    run = make_run(watch=ALL)
    light = BodyModel(replace(stick_body, f=stick_body.f[:100], part_labels=stick_body.part_labels[:100]))
    run.watch._sheets = Sheets(run.checkpoint.folder / "watch/sheets", light, 2)
    for _ in train(run):
        pass
    return run


def test_sheets_show_image_network_and_fit_of_some_people(drawn):
    folder = drawn.checkpoint.folder / "watch/sheets"
    assert sorted(path.name for path in folder.iterdir()) == ["000000002.jpg", "000000004.jpg"]
    sheet = cv2.imread(str(folder / "000000002.jpg"))
    assert sheet is not None
    assert sheet.shape == (24 + 2 * 224, 3 * 224, 3)
    image, network, fit = (sheet[24:248, 224 * i : 224 * (i + 1)].astype(int) for i in range(3))
    assert np.abs(network - image).max() > 60, "a mesh lies over the image"
    assert np.abs(fit - network).max() > 60


def test_watching_changes_nothing_that_is_learned(drawn, make_run):
    alone = make_run(state="alone")
    for _ in train(alone):
        pass
    for name, tensor in alone.apparatus.network.state_dict().items():
        assert torch.equal(tensor, drawn.apparatus.network.state_dict()[name]), name
    assert alone.history.state_dict() == drawn.history.state_dict()


def test_logs_hold_the_rows_of_the_history(drawn):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = drawn.checkpoint.folder / "watch"
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = drawn.history.state_dict()["rows"]
    logged = events.Scalars("keypoints_2d")
    assert [event.step for event in logged] == [2, 4]
    assert [event.value for event in logged] == pytest.approx([row["keypoints_2d"] for row in rows])
    table = (folder / "dvclive/plots/metrics/keypoints_2d.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["step", "2", "4"]
    assert float(table[2].split("\t")[1]) == pytest.approx(rows[1]["keypoints_2d"])


def test_a_fit_is_drawn_where_the_zoomed_image_shows_it(make_run, people):
    run = make_run(loop=False)
    (batch,) = run.batches.stream(range(1), 0)
    rows = [people.split.ids.index(key) for key in batch.ids]
    true = people.state._replace(**{name: part[rows] for name, part in people.state._asdict().items()})
    seen = to_view(true, batch.view, run.apparatus.fitter.root_joint(true.betas))
    pose, betas, translation = zoomed(seen, batch.zoom, 4)
    back = unzoom_state(seen._replace(translation=translation), batch.zoom)
    assert torch.allclose(back.translation, seen.translation, rtol=1e-6)
    assert torch.equal(pose, seen.pose)
    assert torch.equal(betas, seen.betas)
