"""The projector as a differentiable layer of PyTorch.

`Projector(geometry)` is a module: its forward pass is A, its backward pass the exact A^T, so that gradients through
it are gradients. Tensors may have any leading axes; values are computed in float32 on the CPU and come back with the
dtype and device of what was given.
"""

from __future__ import annotations

from typing import Any

import torch

from . import Geometry
from . import Projector as _Projector

__all__ = ["Projector"]


def _floats(tensor: torch.Tensor) -> Any:
    return tensor.detach().to("cpu", torch.float32).numpy()


def _apply(map_: Any, tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(map_(_floats(tensor))).to(tensor.device, tensor.dtype)


class _Linear(torch.autograd.Function):
    """A linear map whose derivative is its adjoint; the adjoint's is the map again, so that it can be derived twice."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, map_: Any, adjoint: Any) -> torch.Tensor:
        ctx.maps = (adjoint, map_)
        return _apply(map_, tensor)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Linear.apply(gradient, *ctx.maps), None, None


class Projector(torch.nn.Module):
    """A for one geometry: images [..., rows, columns] in 1/mm to sinograms [..., views, bins]."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self._projector = _Projector(geometry)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """A x."""
        return _Linear.apply(images, self._projector.forward, self._projector.adjoint)

    def adjoint(self, sinograms: torch.Tensor) -> torch.Tensor:
        """A^T y, differentiable as well."""
        return _Linear.apply(sinograms, self._projector.adjoint, self._projector.forward)

    def fbp(self, sinograms: torch.Tensor, window: str = "hann") -> torch.Tensor:
        """Filtered backprojection; no gradient goes through it."""
        return _apply(lambda values: self._projector.fbp(values, window), sinograms)
