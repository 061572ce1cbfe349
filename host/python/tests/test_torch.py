"""The differentiable projector and denoiser, where PyTorch and deepinv are installed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_projector import geometries  # noqa: E402

import gradus  # noqa: E402
import gradus.torch  # noqa: E402


def noise(*shape, seed=1, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


@pytest.mark.parametrize("geometry", list(geometries()), ids=repr)
def test_gradients_are_the_adjoint(geometry):
    projector = gradus.torch.Projector(geometry)
    images = noise(2, 1, *geometry.image_shape).requires_grad_()
    # The map is linear and computed in f32, so a wide step loses nothing.
    bounds = {"eps": 0.5, "atol": 1e-5, "rtol": 1e-5, "fast_mode": True}
    assert torch.autograd.gradcheck(projector, images, **bounds)
    assert torch.autograd.gradgradcheck(projector, images, **bounds)
    sinograms = noise(2, 1, *geometry.sinogram_shape).requires_grad_()
    assert torch.autograd.gradcheck(projector.adjoint, sinograms, **bounds)


def test_every_entry_of_a_jacobian():
    projector = gradus.torch.Projector(gradus.Geometry.parallel((7, 9), 5))
    images = noise(3, 1, 7, 9).requires_grad_()
    assert torch.autograd.gradcheck(projector, images, eps=0.5, atol=1e-5, rtol=1e-5)


def test_layouts_and_types_are_kept():
    projector = gradus.torch.Projector(gradus.Geometry.parallel((12, 10), 5))
    images = noise(3, 2, 10, 12, dtype=torch.float32).transpose(-1, -2)
    expected = torch.stack([projector(image.contiguous()) for image in images.flatten(0, 1)])
    assert torch.equal(projector(images).flatten(0, 1), expected)
    assert projector(images.double()).dtype == torch.float64
    assert projector(images.half()).dtype == torch.float16
    with pytest.raises(ValueError, match=r"expected \[12, 10\]"):
        projector(images.transpose(-1, -2))


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


@pytest.fixture(scope="module")
def deepinv():
    pytest.importorskip("deepinv")
    import deepinv

    import gradus.deepinv

    return deepinv


@pytest.mark.parametrize("geometry", list(geometries()), ids=repr)
def test_deepinv_finds_the_adjoint_exact(deepinv, geometry):
    physics = gradus.deepinv.Tomography(geometry)
    torch.manual_seed(1)
    # An estimate of |A - B|/|A| in the Frobenius norm, whose own sums are in float64; what is left are weights of rays
    # in f32. Before deepinv 0.5 it was a difference of products.
    images = torch.empty(1, 1, *geometry.image_shape, dtype=torch.float64)
    error = physics.adjointness_test(images, num_samples=64)
    assert abs(error) < 2e-6
    start, options = noise(1, 1, *geometry.image_shape), {"squared": False, "verbose": False}
    norm = physics.compute_norm(start, max_iter=500, tol=1e-6, **options)
    assert abs(norm / gradus.Projector(geometry).norm() - 1) < 0.01


def test_deepinv_solves_with_it(deepinv):
    geometry = gradus.Geometry.parallel((24, 24), 40)
    physics = gradus.deepinv.Tomography(geometry, noise_model=deepinv.physics.GaussianNoise(0.01))
    truth = torch.zeros(2, 1, 24, 24)
    truth[:, :, 6:18, 8:14] = 0.5
    torch.manual_seed(1)
    data = physics(truth)
    assert data.shape == (2, 1, *geometry.sinogram_shape) and not torch.equal(data[0], data[1])
    solved = physics.prox_l2(torch.zeros_like(truth), data, gamma=1e4)
    assert (solved - truth).norm() < 0.05 * truth.norm()
    assert (physics.A_dagger(data) - truth).norm() < 0.4 * truth.norm()


def test_the_denoiser_takes_a_sigma_an_image_and_odd_sides(deepinv):
    denoiser = gradus.deepinv.PriorDenoiser("ellipses")
    clean = torch.zeros(2, 1, 33, 37)
    clean[..., 8:24, 8:24] = 0.5
    sigmas = torch.tensor([0.05, 0.2])
    noisy = clean + sigmas.reshape(2, 1, 1, 1) * noise(2, 1, 33, 37, dtype=torch.float32)
    for sigma in (sigmas, sigmas.reshape(2, 1, 1, 1)):
        denoised = denoiser(noisy, sigma)
        assert torch.equal(denoised[1], denoiser(noisy[1:], 0.2)[0])
        for before, after, truth in zip(noisy, denoised, clean):
            assert (after - truth).norm() < 0.5 * (before - truth).norm()
    # A distribution's mean minimises the error only at its own level.
    assert not torch.allclose(denoiser(noisy, 0.05)[1], denoised[1], atol=1e-3)
    with pytest.raises(ValueError, match="3 values for 2 images"):
        denoiser(noisy, torch.ones(3))
    with pytest.raises(ValueError, match="at least 0"):
        denoiser(noisy, -0.1)


def test_gradients_go_through_the_denoiser(deepinv):
    denoiser = gradus.deepinv.PriorDenoiser("ellipses")
    images = noise(2, 1, 13, 18).requires_grad_()
    sigma = torch.tensor([0.3, 0.1])
    # Computed in f32, and curved: neither a short step nor a long one is good to more.
    assert torch.autograd.gradcheck(
        lambda x: denoiser(x, sigma), images, eps=1e-2, atol=1e-2, rtol=1e-2, fast_mode=True, nondet_tol=0.0
    )


def test_deepinv_guides_its_samplers_through_the_denoiser(deepinv):
    geometry = gradus.Geometry.parallel((24, 24), 20)
    physics = gradus.deepinv.Tomography(geometry, noise_model=deepinv.physics.GaussianNoise(0.05))
    truth = torch.zeros(1, 1, 24, 24)
    truth[..., 6:18, 8:14] = 0.5
    torch.manual_seed(1)
    data, sigma = physics(truth), torch.tensor(0.2)
    noisy = truth + sigma * torch.randn_like(truth)
    fidelity = deepinv.sampling.DPSDataFidelity(gradus.deepinv.PriorDenoiser("ellipses"))
    gradient = fidelity.grad(noisy.clone(), data, physics, sigma)
    direction, step = gradient / gradient.norm(), 0.02
    up, down = (fidelity(noisy + s * direction, data, physics, sigma).item() for s in (step, -step))
    assert abs((up - down) / (2 * step) / gradient.norm().item() - 1) < 0.02
    sampler = deepinv.sampling.DPS(gradus.deepinv.PriorDenoiser("ellipses"), num_steps=5, rng=torch.Generator())
    image = sampler(data, physics, seed=1)
    assert image.shape == truth.shape and image.isfinite().all()
