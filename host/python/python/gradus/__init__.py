"""CT images from few, noisy measurements, by graduated optimisation with a learned diffusion prior.

>>> import gradus, numpy as np
>>> disc = np.hypot(*np.mgrid[-32:32, -32:32]) < 24
>>> scan = gradus.simulate(disc, angles=30, noise=0.05, seed=1)
>>> result = gradus.reconstruct(scan, method="tv")
>>> result.image.shape
(64, 64)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._gradus import Geometry, Prior, Projector, Reconstruction, Scan, read_scan, simulate
from ._gradus import reconstruct as _reconstruct

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Geometry",
    "Prior",
    "Projector",
    "Reconstruction",
    "Scan",
    "read_scan",
    "reconstruct",
    "simulate",
]


def reconstruct(
    sinogram: Scan | ArrayLike,
    geometry: Geometry | None = None,
    *,
    method: str = "preconditioned",
    prior: str | Prior | None = None,
    noise_std: float | None = None,
    photons: float | None = None,
    attenuation_per_unit_per_mm: float | None = None,
    device: str = "auto",
    progress: Callable[[int, int], object] | None = None,
    **settings: Any,
) -> Reconstruction:
    """Reconstruct an image from a sinogram.

    Parameters
    ----------
    sinogram
        A `Scan`, or line integrals [views, bins] without unit (-log of counts over counts without object).
    geometry
        Image grid, views, detector and beam; not with a `Scan`, which has its own.
    method
        "preconditioned", "gradient-like", "flow", "gradient-descent", "dds", "diffpir", "tv", "fbp".
    prior
        "ellipses", "ct", "disc", a weights file or a `Prior`; without it what the scan says, or "ct".
    noise_std, photons
        Standard deviation of Gaussian noise on the line integrals, or the photons that a ray without object would
        count; without either, the noise is estimated from the data.
    attenuation_per_unit_per_mm
        Attenuation in 1/mm of 1 in the prior's units; for "ct" in a body about 0.0814.
    device
        "auto", "cpu" or "cuda:N".
    progress
        Called with iterations done and in all, after each; what it raises ends the run. `tqdm` fits:
        ``lambda done, total: bar.update(done - bar.n)``.
    settings
        Fields of the method's table in `run.toml`, such as ``seed=3`` or ``average=8``. A field that the method does
        not read is a `ValueError`.

    Returns
    -------
    Reconstruction
        With `image` in 1/mm; the same bits as `gradus reconstruct` with these settings.

    Raises
    ------
    ValueError
        What was given makes no sense; the message says what, and what to do.
    RuntimeError
        The device or the run failed.
    """
    if isinstance(sinogram, Scan):
        stated = {
            "geometry": geometry,
            "noise_std": noise_std,
            "photons": photons,
            "attenuation_per_unit_per_mm": attenuation_per_unit_per_mm,
        }
        for name, value in stated.items():
            if value is not None:
                raise ValueError(f"{name} is the scan's own; leave it out, or give the sinogram as an array")
        scan = sinogram
    elif geometry is None:
        raise ValueError("the sinogram is an array, so its geometry is needed: gradus.Geometry.parallel(...)")
    else:
        scan = Scan(
            sinogram,
            geometry,
            noise_std=noise_std,
            photons=photons,
            attenuation_per_unit_per_mm=attenuation_per_unit_per_mm,
        )
    return _reconstruct(scan, method, prior, device, progress, settings)
