"""The differentiable projector, where PyTorch is installed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import gradus  # noqa: E402
import gradus.torch  # noqa: E402


def test_gradients_are_the_adjoint():
    geometry = gradus.Geometry.parallel((12, 10), 5)
    projector = gradus.torch.Projector(geometry)
    images = torch.rand(2, 1, 12, 10, dtype=torch.float64, requires_grad=True)
    # The map is linear and computed in f32, so a wide step loses nothing.
    assert torch.autograd.gradcheck(projector, images, eps=0.5, atol=1e-4, rtol=1e-4)
    assert torch.autograd.gradgradcheck(projector, images, eps=0.5, atol=1e-4, rtol=1e-4)


def test_a_loss_descends_through_it():
    geometry = gradus.Geometry.fan((16, 16), 12, source_to_axis_mm=40.0, source_to_detector_mm=60.0)
    projector = gradus.torch.Projector(geometry)
    truth = torch.zeros(16, 16)
    truth[4:12, 6:10] = 1.0
    data, image = projector(truth), torch.zeros(16, 16, requires_grad=True)
    optimiser = torch.optim.Adam([image], lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (projector(image) - data).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


def test_deepinv_finds_the_adjoint_exact():
    pytest.importorskip("deepinv")
    import gradus.deepinv

    physics = gradus.deepinv.Tomography(gradus.Geometry.parallel((24, 24), 15))
    images = torch.rand(2, 1, 24, 24)
    norm = gradus.Projector(physics._projector.geometry).norm()
    assert abs(physics.adjointness_test(images)) < 1e-5 * norm * float(images.square().sum())
    denoiser = gradus.deepinv.PriorDenoiser("ellipses")
    clean = torch.zeros(1, 1, 32, 32)
    clean[..., 8:24, 8:24] = 0.5
    noisy = clean + 0.1 * torch.from_numpy(np.random.default_rng(1).standard_normal(clean.shape)).float()
    assert (denoiser(noisy, 0.1) - clean).norm() < 0.5 * (noisy - clean).norm()
