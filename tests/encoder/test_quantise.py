# SPDX-License-Identifier: MIT
"""Quantisers: what is trained is what is written, and gradients pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gscodec_cli.encoder.compression import WINDOW_DENOMINATOR, mean_fraction_bits, motion_step
from gscodec_cli.encoder.model import WINDOW_EDGE
from gscodec_cli.encoder.presets import MAIN, STGV
from gscodec_cli.encoder.quantise import Symmetric, Uniform, fake
from gscodec_cli.encoder.rvq import EntropyConstrained, ResidualVector


def _values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_uniform_fake_equals_its_symbols_dequantised_in_float32():
    x = _values(500, 3)
    quantiser = Uniform.asymmetric(x, 8)
    symbols = quantiser.symbols(x)
    assert symbols.min() >= 0
    assert symbols.max() <= 255
    step, offset = quantiser.step().detach().numpy(), quantiser.offset.detach().numpy()
    decoded = symbols.numpy().astype(np.float32) * step + offset
    np.testing.assert_allclose(quantiser.fake(x, noise=False).detach().numpy(), decoded, atol=1e-6)


def test_learned_step_and_offset_receive_gradients():
    x = _values(500, 3)
    quantiser = Uniform.asymmetric(x, 4)
    quantiser.fake(x, noise=False).square().sum().backward()
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in quantiser.learnables())


def test_training_steps_lowers_the_error_of_a_coarse_quantiser():
    x = _values(2000, 1) ** 3
    quantiser = Uniform.asymmetric(x, 3)
    optimiser = torch.optim.Adam(quantiser.learnables(), lr=0.02)
    before = float((quantiser.fake(x, noise=False) - x).square().mean().detach())
    for _ in range(100):
        optimiser.zero_grad()
        (quantiser.fake(x, noise=False) - x).square().mean().backward()
        optimiser.step()
    assert float((quantiser.fake(x, noise=False) - x).square().mean().detach()) < 0.9 * before


def test_fixed_steps_stay_exact_powers_of_two():
    assert Uniform.fixed(torch.tensor([0.03125])).step().item() == 0.03125


def test_noise_stays_within_half_a_step():
    x = _values(1000, 2)
    quantiser = Uniform.fixed(torch.tensor([0.5, 0.25]))
    error = (quantiser.fake(x, noise=True) - x).abs()
    assert (error <= torch.tensor([0.2501, 0.1251])).all()
    assert error.mean() > 0.05


def test_rvq_stages_lower_the_error_and_pass_gradients():
    x = _values(800, 3)
    errors = []
    for stages in (1, 2, 3):
        quantiser = ResidualVector(x, stages, 16, torch.Generator().manual_seed(1))
        errors.append(float((quantiser.fake(x, noise=False) - x).square().mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    y = x.clone().requires_grad_()
    quantiser.fake(y, noise=False).sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))
    assert float(quantiser.commitment.detach()) > 0


def test_rvq_symbols_decode_to_what_was_trained():
    x = _values(300, 3)
    quantiser = ResidualVector(x, 2, 8, torch.Generator().manual_seed(2))
    symbols = quantiser.symbols(x)
    decoded = sum(
        quantiser.entry_symbols(m)[symbols[:, m]].float() * torch.tensor(quantiser.entry_steps[m]) for m in range(2)
    )
    books = [quantiser.coded_book(m) for m in range(2)]
    torch.testing.assert_close(decoded, sum(books[m][symbols[:, m]] for m in range(2)))


def _entropy(symbols):
    """Bits of one row of indices [N, M]."""
    counts = [torch.bincount(index).double() for index in symbols.unbind(1)]
    return sum(float(-torch.xlogy(n / n.sum(), n / n.sum()).sum() / np.log(2)) for n in counts)


def _constrained(x, size, slope):
    """A quantiser that has been fitted to x: (it, its indices, bits of a row, squared error of a row)."""
    quantiser = EntropyConstrained(2, size, 0.05, slope, torch.Generator().manual_seed(1))
    symbols = quantiser.symbols(x)
    return quantiser, symbols, _entropy(symbols), float((_decoded(quantiser, symbols) - x).square().sum(1).mean())


def _decoded(quantiser, symbols):
    books, indices = quantiser.coded(symbols)
    assert all((book[:, 0].diff() >= 0).all() for book in books)
    return sum(books[m][indices[:, m]].float() * quantiser.entry_steps[m] for m in range(len(books)))


def test_an_entropy_constraint_lowers_the_bits_of_indices_at_equal_error():
    x = _values(1000, 3) * torch.where(torch.arange(1000) % 5 > 0, 0.15, 1.0)[:, None]
    _, _, bits, error = _constrained(x, 16, 0.0)
    _, _, fewer, no_more = _constrained(x, 32, 0.01)
    assert no_more < error
    assert fewer < 0.9 * bits


def test_what_is_trained_through_is_what_the_codewords_give():
    x = _values(500, 3)
    quantiser, _, _, before = _constrained(x, 16, 0.02)
    for _ in range(30):
        symbols = quantiser.symbols(x)
        torch.testing.assert_close(quantiser.fake(x, noise=False), _decoded(quantiser, symbols))
    y = x.clone().requires_grad_()
    quantiser.fake(y, noise=False).sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))
    assert (quantiser.fake(x, noise=True) - x).abs().max() <= 0.0251
    assert float((quantiser.fake(x, noise=False) - x).square().sum(1).mean()) < 1.1 * before


def test_codewords_follow_what_they_stand_for_and_unused_ones_begin_anew():
    x = _values(500, 3)
    quantiser = _constrained(x, 16, 0.02)[0]
    moved = x + 5
    first = float((quantiser.fake(moved, noise=False) - moved).square().mean())
    for _ in range(300):
        quantiser.fake(moved, noise=False)
    symbols = quantiser.symbols(moved)
    assert float((quantiser.fake(moved, noise=False) - moved).square().mean()) < 0.1 * first
    assert len(symbols[:, 1].unique()) >= 12


def test_symmetric_uses_a_step_per_part():
    x = torch.cat([_values(10, 2), 100 * _values(6, 2, seed=1)])
    quantiser = Symmetric(((0, 10), (10, 16)), 8)
    steps = quantiser.steps(x)
    assert steps[1] > 10 * steps[0]
    parts = quantiser.symbols(x)
    decoded = torch.cat([part.float() * step for part, step in zip(parts, steps, strict=True)])
    torch.testing.assert_close(fake({"x": quantiser}, {"x": x}, noise=False)["x"], decoded)
    assert max(int(part.abs().max()) for part in parts) == 127


@pytest.mark.parametrize("amplitude_step", [0.05, 0.2, 0.45])
@pytest.mark.parametrize("tools", [MAIN.tools, replace(MAIN.tools, mean_bits=9), replace(STGV.tools, motion_degree=1)])
def test_velocities_move_means_by_whole_grid_positions(tools, amplitude_step):
    tools = replace(tools, amplitude_step=amplitude_step)
    for size in ((96, 64), (640, 1280)):
        positions = motion_step(size, tools) * 2 ** mean_fraction_bits(size, tools)
        assert positions >= 1
        assert float(positions).is_integer()


def test_velocities_are_coarser_where_amplitudes_are():
    fine, coarse = (motion_step((64, 64), replace(MAIN.tools, amplitude_step=step)) for step in (0.15, 0.4))
    assert fine < coarse


def test_lives_that_reach_across_a_gop_stay_whole_when_they_are_rounded():
    assert (WINDOW_EDGE / 2 * WINDOW_DENOMINATOR).is_integer()
