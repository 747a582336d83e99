import pytest

from spinloop.errors import UserError
from spinloop.params.loader import load_section
from spinloop.params.mirror import CocoParams, Pw3dParams


def test_the_projects_parameters_load(repository):
    coco = load_section(repository / "params.yaml", "mirror_coco", CocoParams)
    pw3d = load_section(repository / "params.yaml", "mirror_pw3d", Pw3dParams)
    assert coco.picture.blur_px.bounds[0] <= coco.picture.blur_px.bounds[1]
    assert pw3d.n_frames >= 2


def test_bounds_the_wrong_way_round_are_named(repository, tmp_path):
    text = (repository / "params.yaml").read_text()
    changed = tmp_path / "params.yaml"
    changed.write_text(
        text.replace("height_m: { low: 0.7, high: 1.9 }", "height_m: { low: 2.7, high: 1.9 }", 1)
    )
    with pytest.raises(UserError, match=r"mirror_coco\.camera\.height_m: .*low \(2\.7\)"):
        load_section(changed, "mirror_coco", CocoParams)
