"""The training curve, contact sheets and logs; and that they change no result."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from spinloop.body.model import BodyModel
from spinloop.body.pose import to_view
from spinloop.params.training import MonitorParams
from spinloop.training.loop import TrainingRun, train
from spinloop.training.monitor import ContactSheets, History, zoom_fits
from spinloop.training.step import unzoom_state

ALL = MonitorParams(sheet_every=2, sheet_people=2, tensorboard=True, dvclive=True)


@pytest.fixture
def monitored(make_run, stick_body) -> TrainingRun:
    """A monitored run; only a hundred faces of the body are rendered."""
    run = make_run(monitor=ALL)
    light = BodyModel(replace(stick_body, f=stick_body.f[:100], part_labels=stick_body.part_labels[:100]))
    run.monitor._sheets = ContactSheets(run.checkpoint.folder / "monitor/sheets", light, 2)
    for _ in train(run):
        pass
    return run


def test_sheets_show_image_network_and_fit_of_some_people(monitored):
    folder = monitored.checkpoint.folder / "monitor/sheets"
    assert sorted(path.name for path in folder.iterdir()) == ["000000002.jpg", "000000004.jpg"]
    sheet = cv2.imread(str(folder / "000000002.jpg"))
    assert sheet is not None
    assert sheet.shape == (24 + 2 * 224, 3 * 224, 3)
    image, network, fit = (sheet[24:248, 224 * i : 224 * (i + 1)].astype(int) for i in range(3))
    assert np.abs(network - image).max() > 60, "a mesh lies over the image"
    assert np.abs(fit - network).max() > 60


def test_monitoring_changes_no_result(monitored, make_run):
    alone = make_run(state="alone")
    for _ in train(alone):
        pass
    for name, tensor in alone.context.network.module.state_dict().items():
        assert torch.equal(tensor, monitored.context.network.module.state_dict()[name]), name
    assert alone.history.state_dict() == monitored.history.state_dict()


def test_logs_hold_the_rows_of_the_history(monitored):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = monitored.checkpoint.folder / "monitor"
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = monitored.history.state_dict()["rows"]
    logged = events.Scalars("keypoints_2d")
    assert [event.step for event in logged] == [2, 4]
    assert [event.value for event in logged] == pytest.approx([row["keypoints_2d"] for row in rows])
    table = (folder / "dvclive/plots/metrics/keypoints_2d.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["step", "2", "4"]
    assert float(table[2].split("\t")[1]) == pytest.approx(rows[1]["keypoints_2d"])


def test_a_fit_is_rendered_where_the_zoomed_image_shows_it(make_run, people):
    run = make_run(loop=False)
    (batch,) = run.loader.batches(range(1), 0)
    rows = [people.split.ids.index(key) for key in batch.ids]
    true = people.state._replace(**{name: part[rows] for name, part in people.state._asdict().items()})
    seen = to_view(true, batch.view, run.context.fitter.root_joint(true.betas))
    pose, betas, translation = zoom_fits(seen, batch.zoom, 4)
    back = unzoom_state(seen._replace(translation=translation), batch.zoom)
    assert torch.allclose(back.translation, seen.translation, rtol=1e-6)
    assert torch.equal(pose, seen.pose)
    assert torch.equal(betas, seen.betas)


def test_rows_are_means_of_their_windows(tmp_path):
    history = History(every=2)
    for step, loss in enumerate([1.0, 3.0, 10.0, 20.0, 7.0], start=1):
        history.add(step, {"total": loss})
    history.write(tmp_path / "h.csv", 5)
    assert (tmp_path / "h.csv").read_text() == "step,total\n2,2\n4,15\n5,7\n"


def test_a_resumed_history_writes_the_same_file(tmp_path):
    whole, first = History(every=3), History(every=3)
    values = [0.1 * step for step in range(1, 8)]
    for step, value in enumerate(values, start=1):
        whole.add(step, {"total": value})
        if step <= 4:
            first.add(step, {"total": value})
    second = History(every=3)
    second.load_state_dict(first.state_dict())
    for step in (5, 6, 7):
        second.add(step, {"total": values[step - 1]})
    whole.write(tmp_path / "whole.csv", 7)
    second.write(tmp_path / "resumed.csv", 7)
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "resumed.csv").read_bytes()
