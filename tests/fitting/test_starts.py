"""The adaptive anchor finds the variance that it is shown."""

import pytest
import torch

from spinloop.fitting.starts import AdaptiveAnchor


def _noisy(sigma, n, seed):
    generator = torch.Generator().manual_seed(seed)
    start = torch.zeros(n, 72)
    return start, sigma * torch.randn(n, 72, generator=generator)


def test_the_weight_is_the_ratio_of_the_variances():
    anchor = AdaptiveAnchor(noise_px=3.0)
    for seed in range(20):
        anchor.update(*_noisy(0.1, 200, seed), torch.ones(200, dtype=torch.bool))
    assert anchor.weight().mean().item() == pytest.approx(9 / 0.01, rel=0.05)


def test_all_weights_are_zero_before_the_first_update():
    anchor = AdaptiveAnchor(noise_px=3.0)
    anchor.update(*_noisy(0.1, 4, 0), torch.zeros(4, dtype=torch.bool))
    assert (anchor.weight() == 0).all()


def test_the_weight_follows_a_start_that_gets_better():
    anchor = AdaptiveAnchor(noise_px=3.0, memory=0.5)
    everyone = torch.ones(50, dtype=torch.bool)
    anchor.update(*_noisy(0.5, 50, 0), everyone)
    poor = anchor.weight()
    for seed in range(1, 8):
        anchor.update(*_noisy(0.05, 50, seed), everyone)
    assert (anchor.weight() > 5 * poor).all()


def test_bad_fits_do_not_count():
    start, fitted = _noisy(0.1, 50, 0)
    fitted[10:] = 2.0
    anchor, clean = AdaptiveAnchor(3.0), AdaptiveAnchor(3.0)
    anchor.update(start, fitted, torch.arange(50) < 10)
    clean.update(start[:10], fitted[:10], torch.ones(10, dtype=torch.bool))
    assert torch.equal(anchor.weight(), clean.weight())


def test_a_resumed_anchor_has_the_same_weight():
    anchor, again = AdaptiveAnchor(3.0), AdaptiveAnchor(3.0)
    anchor.update(*_noisy(0.2, 30, 0), torch.ones(30, dtype=torch.bool))
    again.load_state_dict(anchor.state_dict())
    assert torch.equal(anchor.weight(), again.weight())


def test_starts_that_the_fit_leaves_alone_do_not_make_the_weight_infinite():
    anchor = AdaptiveAnchor(3.0)
    anchor.update(torch.zeros(3, 72), torch.zeros(3, 72), torch.ones(3, dtype=torch.bool))
    assert torch.isfinite(anchor.weight()).all()
