# SPDX-License-Identifier: MIT
"""The estimated rate follows the entropy of what is coded; Gaussians that matter least are found."""

import numpy as np
import torch

from gscodec_cli.encoder.fit import fit_gop
from gscodec_cli.encoder.options import EncodeOptions, resolve
from gscodec_cli.encoder.rate import CountAim, Meter
from gscodec_cli.encoder.rate_model import LogisticMixture

from .conftest import moving_disc


def _entropy_bits(symbols):
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def test_a_trained_mixture_estimates_the_entropy_of_the_symbols():
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(3000, 1, generator=generator), 0.1 * torch.randn(3000, 1, generator=generator) + 4])
    step = torch.tensor([0.25])
    mixture = LogisticMixture(x, step)
    optimiser = torch.optim.Adam(mixture.learnables(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        mixture.bits(x, step).backward()
        optimiser.step()
    measured = _entropy_bits(torch.round(x / step).numpy())
    estimated = float(mixture.bits(torch.round(x / step) * step, step).detach())
    assert abs(estimated / measured - 1) < 0.1


def test_the_rate_pulls_values_to_where_bits_are_cheap():
    x = torch.tensor([[5.0]]).requires_grad_()
    mixture = LogisticMixture(torch.randn(100, 1, generator=torch.Generator().manual_seed(0)), torch.tensor([0.5]))
    mixture.bits(x, torch.tensor([0.5])).backward()
    assert x.grad.item() > 0


def _trainer(**options):
    plan = resolve(EncodeOptions(threads=1, key_iterations=40, joint_iterations=40, tune_iterations=30, **options))
    frames = torch.from_numpy(moving_disc(3)).permute(0, 3, 1, 2).contiguous()
    meter = Meter(cost=lambda _: None, psnr=lambda _: 0.0, most=1000)
    return fit_gop(frames, plan, CountAim(meter, 60), 0, lambda *a: None, None, None, lambda *a, **k: None)


def test_importance_agrees_with_leaving_each_gaussian_out():
    trainer = _trainer(profile="main", blend="sum", gop=3)
    model, view = trainer.model, {k: v.detach() for k, v in trainer.model.params.items()}
    pictures = [model.frame(i, view, 1) for i in range(3)]
    true = []
    for n in range(model.count):
        gain = torch.ones(model.count, 1)
        gain[n] = 0
        true.append(
            np.mean([float((model.frame(i, view, 1, gain=gain) - pictures[i]).square().sum()) for i in range(3)])
        )
    found = torch.stack([trainer.importance() for _ in range(20)]).mean(0)
    assert np.corrcoef(np.log(np.array(true) + 1e-6), np.log(found.numpy() + 1e-6))[0, 1] > 0.95


def test_drop_keeps_the_gaussians_that_matter():
    trainer = _trainer(profile="main", gop=3)
    with torch.no_grad():
        trainer.model.params["colour"][:5] = 0.5  # unlike their surroundings
        trainer.model.params["shape"][:5] = 1.5
    marked = trainer.model.params["mean"][:5].clone()
    trainer.drop(40)
    assert all(len(trainer.model.params[name]) == 40 for name in ("mean", "shape", "colour", "window", "motion"))
    kept = trainer.model.params["mean"]
    assert all((kept == mean).all(1).any() for mean in marked)
