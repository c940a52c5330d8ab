# SPDX-License-Identifier: MIT
"""Quantisers: what is trained is what is written, and gradients pass."""

import numpy as np
import torch

from gscodec_cli.encoder.quantise import ResidualVector, Symmetric, Uniform, fake_symmetric


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


def test_symmetric_uses_a_step_per_part():
    x = torch.cat([_values(10, 2), 100 * _values(6, 2, seed=1)])
    quantiser = Symmetric(((0, 10), (10, 16)), 8)
    steps = quantiser.steps(x)
    assert steps[1] > 10 * steps[0]
    parts = quantiser.symbols(x)
    decoded = torch.cat([part.float() * step for part, step in zip(parts, steps, strict=True)])
    torch.testing.assert_close(fake_symmetric({"x": quantiser}, {"x": x}, noise=False)["x"], decoded)
    assert max(int(part.abs().max()) for part in parts) == 127
