"""Weights of the regressor: spinloop's own files, SPIN's checkpoint, ImageNet weights of the backbone.

A file of spinloop is `{"model": state dict, "network": sizes}`. All files are read with `weights_only`, so a
file that would run code is refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from spinloop.errors import UserError
from spinloop.files import output, read_weights
from spinloop.params.training import NetworkParams
from spinloop.progress import say
from spinloop.regression.hmr import Hmr, MeanParameters

# The network of the published checkpoint.
OFFICIAL = NetworkParams(
    backbone="resnet50",
    width=64,
    head_width=1024,
    image_px=224,
    n_iterations=3,
    dropout=0.5,
    compat="official",
)
_FIX = "name a network of `spinloop train`"
_FIX_OFFICIAL = "fetch SPIN's model_checkpoint.pt, or name another file"
_FIX_IMAGENET = "fetch torchvision's weights of this backbone, or leave them out"
_STATES = ("model", "state_dict", "model_state_dict", "network")
_PREFIXES = re.compile(r"^(?:(?:module|model|_orig_mod|network|hmr|regressor|backbone|head)\.)+")
_BESIDE = {"smpl", "body_model", "body_model_train", "body_model_test", "discriminator"}
_HEAD = ("init_", "fc1.", "fc2.", "decpose.", "decshape.", "deccam.")


def save_network(path: Path, network: Hmr, params: NetworkParams) -> None:
    """Write weights and sizes; the same network gives the same bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with output(path) as stream:
        torch.save({"model": state, "network": params.model_dump()}, stream)


def load_network(path: Path) -> tuple[Hmr, NetworkParams]:
    """Read a file of `save_network`; returns the network in evaluation mode on the CPU, and its sizes.

    Raises:
        UserError: the file is absent, damaged, of another kind, or its weights do not fit its sizes.
    """
    saved = read_weights(path, _FIX)
    if not isinstance(saved, dict) or set(saved) != {"model", "network"}:
        raise UserError(f"{path}: {_describe_other_file(saved)}")
    if not isinstance(saved["model"], Mapping):
        raise UserError(f"{path}: model: expected a state dict; {_FIX}")
    try:
        params = NetworkParams.model_validate(saved["network"])
    except ValidationError as error:
        raise UserError(f"{path}: network: {error.errors()[0]['msg']}; train the network again") from None
    return build_network(params, saved["model"], path), params


def load_initial_network(path: Path, params: NetworkParams) -> Hmr:
    """Read a trained network as the initial weights of a training, with the dropout of `params`.

    Raises:
        UserError: as `load_network`, or another parameter of the network differs from `params`.
    """
    network, found = load_network(path)
    for key, wanted in params.model_dump(exclude={"dropout"}).items():
        if getattr(found, key) != wanted:
            raise UserError(
                f"{path}: {key}: {getattr(found, key)}, but network.{key} is {wanted}; make them the same"
            )
    network.dropout = params.dropout
    return network


def build_network(params: NetworkParams, state: Mapping[str, Any], path: Path) -> Hmr:
    """Build a network with the given weights, in evaluation mode.

    Args:
        params: sizes of the network.
        state: state dict; exactly the network's entries.
        path: file of the weights, for messages.

    Raises:
        UserError: an entry is missing, superfluous or of another shape.
    """
    zeros = MeanParameters(*(np.zeros(size, np.float32) for size in (144, 10, 3)))
    with torch.device("meta"):  # takes no memory, whatever sizes the file claims
        check_entries(state, Hmr(params, zeros, torch.Generator("cpu")).state_dict(), path)
    network = Hmr(params, zeros, torch.Generator())
    network.load_state_dict(dict(state))
    return network.eval()


def read_official(path: Path) -> dict[str, Tensor]:
    """Read the state dict of SPIN's network and check its 331 entries.

    It may stand alone or under one of `_STATES`, and its names may have prefixes: of `DataParallel`
    (`module.`), of Lightning (`model.`), of mmhuman3d (`backbone.`, `head.`). Arrays of a body beside the
    network are left out with a word.

    Raises:
        UserError: the file is absent, damaged, holds more than tensors, or is of another network.
    """
    saved = read_weights(path, _FIX_OFFICIAL)
    held = next(
        (key for key in _STATES if isinstance(saved, dict) and isinstance(saved.get(key), Mapping)), None
    )
    entries: Any = saved if held is None else saved[held]
    is_bare = isinstance(entries, Mapping) and any(isinstance(value, Tensor) for value in entries.values())
    if held is None and not is_bare:
        raise UserError(f"{path}: no key 'model', so this is no checkpoint of SPIN; {_FIX_OFFICIAL}")
    state: dict[str, Any] = {}
    beside = []
    for name, value in entries.items():
        plain = _PREFIXES.sub("", str(name))
        if plain.partition(".")[0] in _BESIDE:
            beside.append(str(name))
        elif plain in state:
            raise UserError(f"{path}: {name}: a second {plain}; save one network alone")
        else:
            state[plain] = value
    if beside:
        say(f"{path}: {len(beside)} entries are no part of the network and left out: {beside[0]}, …")
    build_network(OFFICIAL, state, path)
    return state


def load_imagenet(network: Hmr, path: Path) -> None:
    """Replace the backbone's weights by torchvision's ImageNet weights (its `fc` is left out).

    Raises:
        UserError: the file is absent, damaged, or of another backbone.
    """
    saved = read_weights(path, _FIX_IMAGENET)
    if not isinstance(saved, Mapping) or not all(isinstance(name, str) for name in saved):
        raise UserError(f"{path}: not a state dict; {_FIX_IMAGENET}")
    state = {name: tensor for name, tensor in saved.items() if not name.startswith("fc.")}
    backbone = {k: v for k, v in network.state_dict().items() if not k.startswith(_HEAD)}
    # torchvision's older files have no batch counters.
    for name, tensor in backbone.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
    check_entries(state, backbone, path)
    network.load_state_dict(state, strict=False)


def check_entries(state: Mapping[str, Any], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Check the names and shapes of a state dict, and that all its numbers are finite.

    Raises:
        UserError: the first fault is named.
    """
    fix = "use weights of this network, or change the section `network`"
    for name, tensor in wanted.items():
        if not isinstance(state.get(name), Tensor):
            raise UserError(f"{path}: {name}: missing; {fix}")
        found = state[name]
        if found.shape != tensor.shape:
            shapes = f"expected {tuple(tensor.shape)}, found {tuple(found.shape)}"
            raise UserError(f"{path}: {name}: {shapes}; {fix}")
        if not bool(torch.isfinite(found).all()):
            raise UserError(f"{path}: {name}: not all numbers are finite; fetch the file again")
    for name in state:
        if name not in wanted:
            raise UserError(f"{path}: {name}: not an entry of this network; {fix}")


def _describe_other_file(saved: Any) -> str:
    """What a file of another kind is, and how to fix it."""
    keys = set(saved) if isinstance(saved, Mapping) else set()
    if "lifter" in keys:
        return f"a lifter, no network; {_FIX}"
    if "model" in keys:
        return "not a spinloop network; convert SPIN's checkpoint with `spinloop import_checkpoint`"
    return f"not a spinloop network; {_FIX}"
