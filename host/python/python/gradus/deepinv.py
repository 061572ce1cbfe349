"""The projector as physics of deepinv, and the prior as a denoiser of it."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.models import Denoiser
from deepinv.physics import LinearPhysics

from . import Geometry, Prior
from .torch import Projector, _floats

__all__ = ["PriorDenoiser", "Tomography"]


class Tomography(LinearPhysics):
    """Tomography in one geometry: images [batch, channel, rows, columns] in 1/mm, exact adjoint."""

    def __init__(self, geometry: Geometry, **options: Any) -> None:
        super().__init__(img_size=(1, *geometry.image_shape), **options)
        self._projector = Projector(geometry)

    def A(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        """Sinograms [batch, channel, views, bins]."""
        return self._projector(x)

    def A_adjoint(self, y: torch.Tensor, **_: Any) -> torch.Tensor:
        """A^T y."""
        return self._projector.adjoint(y)

    def A_dagger(self, y: torch.Tensor, **_: Any) -> torch.Tensor:
        """Filtered backprojection."""
        return self._projector.fbp(y)


class _Denoise(torch.autograd.Function):
    """E[x_0 | x_t] with its exact derivative; not to be derived twice."""

    @staticmethod
    def forward(ctx: Any, noisy: torch.Tensor, prior: Prior, levels: list[float]) -> torch.Tensor:
        ctx.save_for_backward(noisy)
        ctx.prior, ctx.levels = prior, levels
        return torch.from_numpy(prior.denoise(_floats(noisy), levels)).to(noisy.device, noisy.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (noisy,) = ctx.saved_tensors
        product = ctx.prior.denoise_vjp(_floats(noisy), ctx.levels, _floats(gradient))
        return torch.from_numpy(product).to(gradient.device, gradient.dtype), None, None


class PriorDenoiser(Denoiser):
    """A learned prior as a denoiser of images in its own units, by the noise's standard deviation.

    Gradients go through it, exact ones, so that it serves samplers that guide by them (DPS, PiGDM).
    """

    #: Levels among which that of a standard deviation is looked for.
    _STEPS = 60

    def __init__(self, prior: Prior | str) -> None:
        super().__init__()
        self.prior = Prior(prior) if isinstance(prior, str) else prior

    def level(self, sigma: float) -> float:
        """The level t at which std over mean_scale is sigma, by bisection; the nearest where there is none."""
        if not sigma >= 0:
            raise ValueError(f"sigma is {sigma}; give a standard deviation of at least 0")
        low, high = 1e-6, 1.0
        for _ in range(self._STEPS):
            middle = (low * high) ** 0.5
            mean_scale, std = self.prior.perturbation_kernel(middle)
            low, high = (middle, high) if std / mean_scale < sigma else (low, middle)
        return high

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor, **_: Any) -> torch.Tensor:
        """E[x_0 | x_0 + sigma z = x] of images [batch, channel, rows, columns]; one sigma, or one an image."""
        sigmas = torch.as_tensor(sigma).flatten().tolist()
        if len(sigmas) not in (1, len(x)):
            raise ValueError(f"sigma has {len(sigmas)} values for {len(x)} images; give one, or one an image")
        levels = [self.level(sigma) for sigma in sigmas] * (len(x) // len(sigmas))
        mean_scales = torch.tensor([self.prior.perturbation_kernel(t)[0] for t in levels], dtype=x.dtype)
        noisy = x * mean_scales.to(x.device).reshape(-1, *[1] * (x.ndim - 1))
        n_channels = noisy[0, ..., 0, 0].numel() if len(x) else 1
        return _Denoise.apply(noisy, self.prior, [t for t in levels for _ in range(n_channels)])
