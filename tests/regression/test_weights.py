import numpy as np
import pytest
import torch

from spinloop.errors import UserError
from spinloop.regression.hmr import Hmr
from spinloop.regression.weights import (
    OFFICIAL,
    load_imagenet,
    load_initial_network,
    load_network,
    read_official,
    save_network,
)
from spinloop.stages import import_checkpoint


def test_saved_network_loads_with_equal_weights_and_sizes(tiny, tiny_params, tmp_path):
    save_network(tmp_path / "net.pt", tiny, tiny_params)
    loaded, params = load_network(tmp_path / "net.pt")
    assert params == tiny_params
    assert not loaded.training
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_saving_twice_gives_the_same_bytes_under_any_name(tiny, tiny_params, tmp_path):
    save_network(tmp_path / "a.pt", tiny, tiny_params)
    save_network(tmp_path / "other.pt", tiny, tiny_params)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


@pytest.fixture(scope="module")
def official(mean) -> Hmr:
    return Hmr(OFFICIAL, mean, torch.Generator().manual_seed(0))


def test_official_form_round_trips(official, tmp_path):
    torch.save({"model": official.state_dict(), "epoch": 3}, tmp_path / "model_checkpoint.pt")
    import_checkpoint.run(checkpoint=tmp_path / "model_checkpoint.pt", out=tmp_path / "ours.pt")
    loaded, params = load_network(tmp_path / "ours.pt")
    assert params == OFFICIAL
    for name, tensor in official.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    "layout",
    [
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: state,
        lambda state: {"state_dict": {f"model.{k}": v for k, v in state.items()}, "hyper_parameters": {}},
        lambda state: {"state_dict": {_mmhuman3d(k): v for k, v in state.items()}, "meta": {}},
        lambda state: {"model": state, "dataset_perm": np.arange(5), "epoch": np.int64(3)},
        lambda state: {"model": {**state, "smpl.faces_tensor": torch.zeros(3)}, "epoch": 1},
    ],
    ids=["data_parallel", "bare", "lightning", "mmhuman3d", "numpy_beside", "body_beside"],
)
def test_layouts_of_other_programs_give_the_same_weights(layout, official, tmp_path):
    torch.save(layout(dict(official.state_dict())), tmp_path / "theirs.pt")
    read = read_official(tmp_path / "theirs.pt")
    assert set(read) == set(official.state_dict())
    assert all(torch.equal(read[name], tensor) for name, tensor in official.state_dict().items())


def _mmhuman3d(name):
    return ("head." if name.startswith(("fc", "dec", "init")) else "backbone.") + name


def test_the_object_in_the_way_is_named_and_two_networks_are_not_mixed(official, tmp_path):
    torch.save(official, tmp_path / "whole.pt")
    with pytest.raises(UserError, match=r"whole\.pt: .*spinloop\.regression\.hmr\.Hmr.*save the state dict"):
        read_official(tmp_path / "whole.pt")
    state = dict(official.state_dict())
    torch.save({"model": {**state, "module.fc1.bias": state["fc1.bias"]}}, tmp_path / "two.pt")
    with pytest.raises(UserError, match=r"two\.pt: module\.fc1\.bias: a second fc1\.bias"):
        read_official(tmp_path / "two.pt")


def test_checkpoint_of_another_network_is_refused_by_name(tiny, tmp_path):
    torch.save({"model": tiny.state_dict()}, tmp_path / "small.pt")
    with pytest.raises(UserError, match=r"small\.pt: conv1\.weight: expected \(64, 3, 7, 7\)"):
        read_official(tmp_path / "small.pt")


def test_superfluous_and_missing_entries_are_refused(official, tmp_path):
    state = official.state_dict()
    torch.save({"model": state | {"fc.weight": torch.zeros(2)}}, tmp_path / "more.pt")
    with pytest.raises(UserError, match=r"fc\.weight: not an entry"):
        read_official(tmp_path / "more.pt")
    state.pop("deccam.bias")
    torch.save({"model": state}, tmp_path / "less.pt")
    with pytest.raises(UserError, match=r"deccam\.bias: missing"):
        read_official(tmp_path / "less.pt")


class _Bomb:
    def __reduce__(self):
        return (print, ("ran",))


def test_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"model": _Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(UserError, match="not readable as plain weights"):
        read_official(tmp_path / "bomb.pt")
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weights": {}}, "no key 'model'"),
        ([1, 2], "no key 'model'"),
        ({"model": {}}, r"init_pose: missing"),
        ({"model": {"init_pose": [1.0, 2.0]}}, r"init_pose: missing"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(content, reason, tmp_path):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UserError, match=rf"other\.pt: {reason}"):
        import_checkpoint.run(checkpoint=tmp_path / "other.pt", out=tmp_path / "ours.pt")
    assert not (tmp_path / "ours.pt").exists()


def test_an_absent_checkpoint_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "absent.pt", tmp_path):
        with pytest.raises(
            UserError, match=r"(no such file|a folder, not a file); fetch SPIN's model_checkpoint"
        ):
            import_checkpoint.run(checkpoint=path, out=tmp_path / "ours.pt")


def test_weights_that_are_not_finite_are_refused(official, tmp_path):
    state = official.state_dict() | {"fc1.bias": torch.full((1024,), torch.nan)}
    torch.save({"model": state}, tmp_path / "nan.pt")
    with pytest.raises(UserError, match=r"nan\.pt: fc1\.bias: not all numbers are finite"):
        read_official(tmp_path / "nan.pt")


def test_training_starts_from_a_network_of_the_same_sizes_only(tiny, tiny_params, tmp_path):
    save_network(tmp_path / "net.pt", tiny, tiny_params)
    started = load_initial_network(tmp_path / "net.pt", tiny_params.model_copy(update={"dropout": 0.1}))
    assert started.dropout == 0.1
    assert torch.equal(started.fc1.weight, tiny.fc1.weight)
    for key, value in (("backbone", "resnet34"), ("image_px", 64), ("compat", "official")):
        with pytest.raises(UserError, match=rf"net\.pt: {key}: .*, but network\.{key} is {value}"):
            load_initial_network(tmp_path / "net.pt", tiny_params.model_copy(update={key: value}))


def test_truncated_file_is_refused_in_one_line(tiny, tiny_params, tmp_path):
    save_network(tmp_path / "net.pt", tiny, tiny_params)
    data = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError) as error:
        load_network(tmp_path / "net.pt")
    assert "\n" not in str(error.value)


def test_imagenet_weights_fill_the_backbone_only(tiny, tiny_params, mean, tmp_path):
    other = Hmr(tiny_params, mean, torch.Generator().manual_seed(9))
    head = ("init_", "fc1.", "fc2.", "dec")
    state = {k: v for k, v in other.state_dict().items() if not k.startswith(head)}
    old_style = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old_style | {"fc.weight": torch.zeros(5, 32), "fc.bias": torch.zeros(5)}, tmp_path / "in.pth")
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    load_imagenet(tiny, tmp_path / "in.pth")
    for name, tensor in tiny.state_dict().items():
        wanted = before[name] if name.startswith(head) else state[name]
        assert torch.equal(tensor, wanted), name


def test_imagenet_weights_of_another_backbone_are_refused(tiny, official, tmp_path):
    state = {k: v for k, v in official.state_dict().items() if k.startswith(("conv1", "bn1", "layer"))}
    torch.save(state, tmp_path / "r50.pth")
    with pytest.raises(UserError, match=r"conv1\.weight: expected"):
        load_imagenet(tiny, tmp_path / "r50.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"weights": torch.tensor(np.zeros(3))},
            r"not a spinloop network; name a network of `spinloop train`",
        ),
        (
            {"model": {}, "epoch": 3},
            "not a spinloop network; convert SPIN's checkpoint with `spinloop import",
        ),
        ({"lifter": {}, "network": {}}, "a lifter, no network; name a network of `spinloop train`"),
        ({"model": 3, "network": OFFICIAL.model_dump()}, "model: expected a state dict"),
    ],
)
def test_foreign_file_is_refused_by_its_kind(content, message, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=rf"x\.pt: {message}"):
        load_network(tmp_path / "x.pt")


def test_an_empty_file_is_refused_by_every_reader(tiny, tmp_path):
    (tmp_path / "x.pt").touch()
    readers = (load_network, read_official, lambda path: load_imagenet(tiny, path))
    for read in readers:
        with pytest.raises(UserError, match=r"x\.pt: not readable as plain weights \(the file is empty\); "):
            read(tmp_path / "x.pt")
