from dataclasses import replace

import pytest
import torch

from spinloop.errors import UserError


def _stream(make_run, workers: int) -> list:
    return list(make_run(loop=False).batches.stream(range(1, 4), workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_stream(make_run, workers):
    alone, prefetched = _stream(make_run, 0), _stream(make_run, workers)
    assert len(alone) == len(prefetched) == 3
    for one, other in zip(alone, prefetched, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.keypoints, other.keypoints)
        assert torch.equal(one.zoom, other.zoom)
        assert all(torch.equal(a, b) for a, b in zip(one.view, other.view, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(one.annotated, other.annotated, strict=True))


def test_images_keep_their_memory_format_on_the_way_from_a_worker(make_run):
    (first, *_) = _stream(make_run, 1)
    assert first.images.is_contiguous(memory_format=torch.channels_last)


def test_the_global_generator_is_left_alone(make_run):
    batches = make_run(loop=False).batches
    before = torch.get_rng_state()
    list(batches.stream(range(2), 0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_fault_is_told_in_one_line_whoever_meets_it(make_run, people, workers):
    def damaged(row: int) -> None:
        raise UserError(f"crops.h5: jpeg[{row}]: damaged")

    run = make_run(loop=False, split=replace(people.split, packed=damaged))
    with pytest.raises(UserError, match=r"^crops\.h5: jpeg\[\d+\]: damaged$"):
        list(run.batches.stream(range(1), workers))
