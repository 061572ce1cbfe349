"""The projector as physics of deepinv, and the prior as a denoiser of it."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.models import Denoiser
from deepinv.physics import LinearPhysics

from . import Geometry, Prior
from .torch import Projector

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


class PriorDenoiser(Denoiser):
    """A learned prior as a denoiser of images in its own units, by the noise's standard deviation."""

    #: Levels among which that of a standard deviation is looked for.
    _STEPS = 60

    def __init__(self, prior: Prior | str) -> None:
        super().__init__()
        self.prior = Prior(prior) if isinstance(prior, str) else prior

    def level(self, sigma: float) -> float:
        """The level t at which std over mean_scale is sigma, by bisection."""
        low, high = 1e-6, 1.0
        for _ in range(self._STEPS):
            middle = (low * high) ** 0.5
            mean_scale, std = self.prior.perturbation_kernel(middle)
            low, high = (middle, high) if std / mean_scale < sigma else (low, middle)
        return high

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor, **_: Any) -> torch.Tensor:
        """E[x_0 | x_0 + sigma z = x]."""
        t = self.level(float(torch.as_tensor(sigma).flatten()[0]))
        mean_scale, _std = self.prior.perturbation_kernel(t)
        noisy = (x * mean_scale).detach().to("cpu", torch.float32).numpy()
        return torch.from_numpy(self.prior.denoise(noisy, t)).to(x.device, x.dtype)
