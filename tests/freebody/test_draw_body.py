import cv2

from spinloop.body import model as reference
from spinloop.body.files import save_body
from spinloop.stages.draw_body import run

PARAMS = """body:
  source: free
  smpl_folder: null
  engine: smplx
  seed: 0
  n_bodies: 300
  n_rig_bodies: 100
  n_held_out: 40
  youngest_years: 18.0
  oldest_years: 80.0
"""


def test_all_pictures_are_drawn_by_the_named_engine(free_bodies, repository, tmp_path, monkeypatch):
    posed = []

    class Recorded(reference.SmplxBodyModel):
        def _pose(self, rotations, betas):
            posed.append(len(rotations))
            return super()._pose(rotations, betas)

    monkeypatch.setattr(reference, "SmplxBodyModel", Recorded)
    (tmp_path / "params.yaml").write_text(PARAMS)
    save_body(tmp_path / "neutral.npz", free_bodies.files["neutral"])
    run(
        body=tmp_path / "neutral.npz",
        prior=repository / "src" / "spinloop" / "assets" / "cmu_mixture.npz",
        out=tmp_path / "body.html",
        pictures=tmp_path / "body",
        params=tmp_path / "params.yaml",
    )
    # Thirty shapes one by one; ten bends, ten recorded and ten drawn poses at once.
    assert (posed.count(1), posed.count(10)) == (32, 3)
    names = sorted(path.stem for path in (tmp_path / "body").iterdir())
    assert names == ["bends", "landmarks", "parts", "poses", "rest", "samples", "shapes"]
    assert (tmp_path / "body.html").read_text().count("<img") == len(names)
    for name in names:
        covered = (cv2.imread(str(tmp_path / "body" / f"{name}.png")) < 250).any(axis=2).mean()
        assert 0.05 < covered < 0.8, name
