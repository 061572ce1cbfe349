#!/usr/bin/env python3
"""Ways to a mean of reconstructions for fewer passes of the network than the mean of whole runs.

    pip install ./host/python
    cargo build --release
    python3 host/benches/means.py ellipses ellipses:101-108
    python3 host/benches/means.py ct spine

The default method without its tests of descent and without extrapolation, written out in numpy with the package's
projector and prior, on scans of 60 views with 10 % noise, or 5 % for `ct`. All ways start from the iterate of one run.
Prints mean PSNR and passes (a denoised image takes two).
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import gradus

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: Levels of a run, and noise.
PRIORS = {"ellipses": (8, 0.1), "ct": (12, 0.05)}
SOLVES = 12


class Problem:
    """A scan with its prior, in the prior's units."""

    def __init__(self, scan, prior):
        self.prior, self.projector = prior, gradus.Projector(scan.geometry)
        self.data = scan.sinogram / np.float32(scan.attenuation_per_unit_per_mm)
        self.variance = (scan.noise_std / scan.attenuation_per_unit_per_mm) ** 2
        self.shape, self.passes = scan.geometry.image_shape, 0

    def std(self, t):
        mean_scale, std = self.prior.perturbation_kernel(t)
        return std / mean_scale

    def denoised(self, images, t, turn=0):
        """E[x_0 | x_0 + sigma_t z = image] of a batch, seen in one of the four mirrors."""
        flips = [(), (-1, -2), (-2,), (-1,)][turn % 4]
        mean_scale, _ = self.prior.perturbation_kernel(t)
        self.passes += 2 * len(images)
        return np.flip(self.prior.denoise(np.flip(images, flips) * np.float32(mean_scale), t), flips)

    def solved(self, anchor, t, start):
        """The minimiser of |A x - y|^2 / 2 + mu |x - anchor|^2 / 2 by conjugate gradients from `start`."""
        forward, adjoint = self.projector.forward, self.projector.adjoint
        mu = np.float32(self.variance / self.std(t) ** 2)
        x, residual = start.copy(), adjoint(self.data - forward(start)) + mu * (anchor - start)
        direction, square = residual.copy(), np.vdot(residual, residual)
        for _ in range(SOLVES):
            product = adjoint(forward(direction)) + mu * direction
            step = square / np.vdot(direction, product)
            x += step * direction
            residual -= step * product
            square, before = np.vdot(residual, residual), square
            direction = residual + square / before * direction
        return x

    def run(self, x, levels, turn=0):
        """Levels of the approach, and the last two from the iterate itself, as tested steps go."""
        for t in levels[:-2]:
            anchor = self.denoised(x[None], t, turn)[0]
            x, turn = self.solved(anchor, t, anchor), turn + 1
        for t in levels[-2:]:
            x = self.solved(self.denoised(x[None], t)[0], t, x)
        return x


def noise(problem, count, paired):
    """Standard normal images; `paired` ones are followed by their negatives."""
    random = np.random.default_rng(1)
    if not paired:
        return random.standard_normal((count, *problem.shape), dtype=np.float32)
    draws = random.standard_normal(((count + 1) // 2, *problem.shape), dtype=np.float32)
    return np.stack([draws, -draws], axis=1).reshape(-1, *problem.shape)[:count]


def runs(problem, x, count, paired=False, t=0.02, levels=3):
    """The mean of x and of runs from x under noise."""
    noisy = x + np.float32(problem.std(t)) * noise(problem, count, paired)
    others = [problem.run(image, np.geomspace(t, 1e-3, levels), turn) for turn, image in enumerate(noisy)]
    return np.mean([x, *others], axis=0)


def anchors(problem, x, count, paired=False, t=0.02, mirrors=False, noiseless=False):
    """One run from x whose first anchor is the mean of denoised images, each under noise of its own."""
    noisy = x + np.float32(0 if noiseless else problem.std(t)) * noise(problem, count, paired)
    looks = [problem.denoised(image[None], t, turn if mirrors else 0)[0] for turn, image in enumerate(noisy)]
    anchor = np.mean(looks, axis=0)
    return problem.run(problem.solved(anchor, t, anchor), np.geomspace(t, 1e-3, 3)[1:])


WAYS = {
    "one run": lambda problem, x: x,
    "mean of 2 runs": lambda problem, x: runs(problem, x, 1),
    "mean of 3 runs": lambda problem, x: runs(problem, x, 2),
    "mean of 4 runs": lambda problem, x: runs(problem, x, 3),
    "mean of 8 runs": lambda problem, x: runs(problem, x, 7),
    "mean of 3 runs, two with opposite noise": lambda problem, x: runs(problem, x, 2, paired=True),
    "mean of 4 runs, two with opposite noise": lambda problem, x: runs(problem, x, 3, paired=True),
    "mean of 5 runs, four with opposite noise": lambda problem, x: runs(problem, x, 4, paired=True),
    "mean of 9 runs, eight with opposite noise": lambda problem, x: runs(problem, x, 8, paired=True),
    "mean of 3 runs, two with opposite noise, of 4 levels": lambda problem, x: runs(problem, x, 2, True, levels=4),
    "mean of 5 runs, four with opposite noise, of 4 levels": lambda problem, x: runs(problem, x, 4, True, levels=4),
    "mean of 4 runs of 4 levels": lambda problem, x: runs(problem, x, 3, levels=4),
    "mean of 3 runs, two with opposite noise, from t = 0.01": lambda problem, x: runs(problem, x, 2, True, t=0.01),
    "one more run, anchor a mean of 4": lambda problem, x: anchors(problem, x, 4),
    "the same, opposite noise": lambda problem, x: anchors(problem, x, 4, paired=True),
    "the same, opposite noise, four mirrors": lambda problem, x: anchors(problem, x, 4, paired=True, mirrors=True),
    "the same, four mirrors without noise": lambda problem, x: anchors(problem, x, 4, mirrors=True, noiseless=True),
}


def images(names):
    """The images of `kind:first-last`, or just one."""
    kind, _, span = names.partition(":")
    if "-" not in span:
        return [names]
    first, last = map(int, span.split("-"))
    return [f"{kind}:{number}" for number in range(first, last + 1)]


def main():
    name, names = sys.argv[1:]
    (levels, level), program = PRIORS[name], ROOT / "target/release/gradus"
    prior, found = gradus.Prior(name), {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(images(names)):
            path = pathlib.Path(folder) / f"{number}.npz"
            command = [program, "simulate", image, "--noise", str(level), "-o", path]
            subprocess.run(command, check=True, capture_output=True)
            scan = gradus.read_scan(path)
            problem = Problem(scan, prior)
            x = problem.run(np.zeros(problem.shape, np.float32), np.geomspace(0.5, 1e-3, levels))
            for name, way in WAYS.items():
                before = problem.passes
                image = way(problem, x)
                psnr = -10 * np.log10(np.mean((image.astype(float) - scan.truth) ** 2))
                found[name].append((psnr, problem.passes - before + 2 * levels))
    print("| way | PSNR dB | passes |\n|---|---|---|")
    for name, values in found.items():
        psnr, passes = np.mean(values, axis=0)
        print(f"| {name} | {psnr:.2f} | {passes:.0f} |")


if __name__ == "__main__":
    main()
