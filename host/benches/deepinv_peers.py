#!/usr/bin/env python3
"""Plug-and-play and diffusion samplers of deepinv, with a prior of this program as their denoiser, beside its own.

    python3 -m venv target/peers
    target/peers/bin/pip install ./host/python torch==2.15.0 deepinv==0.5.0
    cargo build --release
    target/peers/bin/python host/benches/deepinv_peers.py

Same scan, same network, same projector: what differs is the method. The default method runs by its defaults; of the
others each setting is shown that stands in `own` and `peers`, so that the best of each is chosen by the true image,
which is in their favour. deepinv's data term wants a map of norm 1: its projector and data are divided by the norm.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

import deepinv
import numpy as np
import torch

import gradus
from gradus.deepinv import PriorDenoiser, Tomography

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCANS = [("ellipses:1", "ellipses", 0.1), ("spine", "ct", 0.05)]
# lambda and zeta of DiffPIR: weight of the denoised image, share of fresh noise.
DIFFPIR = [(0.3, 1.0), (1.0, 0.3), (1.0, 1.0), (3.0, 1.0), (7.0, 1.0)]


class Counted(PriorDenoiser):
    """The prior as a denoiser that counts its passes."""

    passes = 0

    def forward(self, x, sigma, **options):
        self.passes += 1
        return super().forward(x, sigma, **options)


class Normed(Tomography):
    """The projector divided by its norm, on images in the prior's units."""

    def __init__(self, scan, norm):
        self.norm = norm
        sigma = scan.noise_std / scan.attenuation_per_unit_per_mm / norm
        super().__init__(scan.geometry, noise_model=deepinv.physics.GaussianNoise(sigma))

    def A(self, x, **options):
        return super().A(x, **options) / self.norm

    def A_adjoint(self, y, **options):
        return super().A_adjoint(y, **options) / self.norm

    def A_dagger(self, y, **options):
        return super().A_dagger(y * self.norm, **options)


def own(sigma):
    """This program's methods with their settings; sigma is the noise of the data, lengths in pixels."""
    yield "preconditioned", {}
    yield "dds", {}
    for std in (0.01, 0.03, 0.1):
        yield "dds", {"gamma": (std / sigma) ** 2}
    yield "diffpir", {}
    for weight, zeta in DIFFPIR:
        yield "diffpir", {"lambda": weight, "zeta": zeta}
    yield "tv", {}
    yield "fbp", {}


def peers(denoiser, sigma, steps):
    """deepinv's methods: (name, setting, method of data and physics); sigma is the noise of the data."""
    data_fidelity, prior = deepinv.optim.L2(), deepinv.optim.PnP(denoiser)
    for factor in (0.5, 1, 2):
        told = factor * sigma
        yield "DPIR", f"sigma times {factor}", deepinv.optim.DPIR(told, denoiser)
    for level in (0.01, 0.02, 0.05):
        start = {"custom_init": lambda y, physics: physics.A_dagger(y)}
        pgd = deepinv.optim.PGD(data_fidelity, prior, stepsize=1.0, g_param=level, max_iter=100, **start)
        yield "PnP, proximal gradient", f"sigma_denoiser {level}", pgd
    for weight, zeta in DIFFPIR:
        method = deepinv.sampling.DiffPIR(denoiser, data_fidelity, sigma=sigma, lambda_=weight, zeta=zeta)
        restore = lambda y, physics, method=method: method(y, physics, seed=1, x_init=physics.A_dagger(y))
        yield "DiffPIR", f"lambda {weight}, zeta {zeta}", restore
    for weight in (100, 300, 1000):
        method = deepinv.sampling.DPS(denoiser, num_steps=steps, weight=weight, rng=torch.Generator())
        restore = lambda y, physics, method=method: method(y, physics, seed=1)
        yield "DPS", f"weight {weight}, {steps} steps", restore


def psnr(truth, image):
    return -10 * np.log10(np.mean((image.astype(np.float64) - truth) ** 2))


def row(name, setting, truth, work, passes=None):
    before, begin, processor = passes and passes(), time.perf_counter(), time.process_time()
    image = work()
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    made = passes() - before if passes else ""
    print(f"| {name} | {setting} | {psnr(truth, image):.2f} | {seconds:.2f} | {processor:.2f} | {made} |", flush=True)


def compare(scan, steps, only):
    print("| method | setting | PSNR dB | s | processor s | denoised |\n|---|---|---|---|---|---|")
    truth, per_unit = scan.truth, scan.attenuation_per_unit_per_mm
    for method, settings in own(scan.noise_std / per_unit / scan.geometry.pixel_mm):
        words = ", ".join(f"{name} {value:.3g}" for name, value in settings.items())
        run = lambda: gradus.reconstruct(scan, method=method, **settings).relative_image
        if only in f"gradus, {method}":
            row(f"gradus, {method}", words, truth, run)
    norm = gradus.Projector(scan.geometry).norm()
    physics, denoiser = Normed(scan, norm), Counted(scan.prior)
    data = torch.from_numpy(scan.sinogram / np.float32(per_unit * norm))[None, None]
    for name, setting, method in peers(denoiser, float(physics.noise_model.sigma), steps):
        if only in name:
            # DPS asks for gradients where it needs them.
            with torch.no_grad():
                row(name, setting, truth, lambda: method(data, physics)[0, 0].numpy(), lambda: denoiser.passes)
    try:
        deepinv.sampling.DDRM(denoiser)(data, physics)
    except AttributeError as error:
        print(f"\nDDRM asks for a singular value decomposition, which a projector has not: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/gradus")
    parser.add_argument("--steps", type=int, default=1000, help="of DPS")
    parser.add_argument("--only", default="", help="methods with this in their name")
    arguments = parser.parse_args()
    versions = f"PyTorch {torch.__version__}, deepinv {deepinv.__version__}"
    print(f"{versions}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for image, prior, noise in SCANS:
            path = pathlib.Path(folder) / f"{prior}.npz"
            command = [arguments.binary, "simulate", image, "--angles", "60", "--noise", str(noise), "-o", path]
            subprocess.run(command, check=True, capture_output=True)
            scan = gradus.read_scan(path)
            assert scan.prior == prior and scan.photons is None
            print(f"\n{image}, 60 views, {100 * noise:.0f} % noise, prior `{prior}`\n")
            compare(scan, arguments.steps, arguments.only)


if __name__ == "__main__":
    main()
