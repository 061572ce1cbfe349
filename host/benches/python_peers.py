#!/usr/bin/env python3
"""Times of the Python projector against ASTRA's, scikit-image's and the library's own, on the same arrays in one run.

    python3 -m venv target/peers
    target/peers/bin/pip install ./host/python astra-toolbox==2.5.0 scikit-image==0.26.0
    cargo build --release --example peer_times
    RAYON_NUM_THREADS=2 target/peers/bin/python host/benches/python_peers.py

Each side writes into arrays made once. The sides work in turn, round after round. Of each round the fastest run
counts, which other work on the machine disturbs least; the table gives medians over rounds of these times and of their
ratios.
Exit status 1 when a ratio misses its bound.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
from skimage.transform import radon

import gradus

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE, VIEWS, ROUNDS, RUNS = 256, 60, 31, 99


def astra_pair(geometry):
    """ASTRA's CPU projector of Joseph's kind and its transpose, in buffers made once; arrays to write into, and work."""
    import astra

    volume = astra.create_vol_geom(*geometry.image_shape)
    beam = astra.create_proj_geom("parallel", geometry.bin_width_mm, geometry.sinogram_shape[1], geometry.angles_rad)
    image, sinogram = (np.zeros(shape, np.float32) for shape in (geometry.image_shape, geometry.sinogram_shape))
    projector = astra.create_projector("linear", beam, volume)
    data = astra.data2d.link("-vol", volume, image), astra.data2d.link("-sino", beam, sinogram)
    forward = {"type": "FP", "ProjectorId": projector, "ProjectionDataId": data[1], "VolumeDataId": data[0]}
    adjoint = {"type": "BP", "ProjectorId": projector, "ProjectionDataId": data[1], "ReconstructionDataId": data[0]}
    algorithms = [astra.algorithm.create({**astra.astra_dict(item["type"]), **item}) for item in (forward, adjoint)]
    return image, sinogram, [lambda a=a: astra.algorithm.run(a) for a in algorithms]


def fastest(work, runs=RUNS):
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def library():
    """Times of the library itself, without Python."""
    binary = ROOT / "target/release/examples/peer_times"
    command = [binary, "--projectors", "only", "--rounds", str(RUNS // 3)]  # three runs a round
    report = subprocess.run(command, check=True, capture_output=True).stdout
    seconds, threads = json.loads(report)["seconds"], os.environ.get("RAYON_NUM_THREADS", str(os.cpu_count()))
    return [seconds.get(f"fastest {name}, {SIZE}, {threads} threads", float("nan")) for name in ("projector", "adjoint")]


def call():
    """Time of a call that has nothing to do."""
    projector = gradus.Projector(gradus.Geometry.parallel((2, 2), 1))
    image, sinogram = np.ones((2, 2), np.float32), np.empty(projector.geometry.sinogram_shape, np.float32)
    times = []
    for _ in range(3000):
        start = time.perf_counter()
        projector.forward(image, out=sinogram)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    geometry = gradus.Geometry.parallel((SIZE, SIZE), VIEWS)
    projector = gradus.Projector(geometry)
    x = np.random.default_rng(1).random(geometry.image_shape, dtype=np.float32)
    y = projector.forward(x)
    image, sinogram, (forward, adjoint) = astra_pair(geometry)
    image[:] = x
    forward()
    error = np.linalg.norm(sinogram - y) / np.linalg.norm(y)
    print(f"relative difference between the two sinograms {error:.1e}")
    if not error < 1e-4:
        sys.exit("the two sides do not compute the same; the times would mean nothing")
    degrees = np.rad2deg(geometry.angles_rad)
    rows = {"forward, ASTRA": 8, "adjoint, ASTRA": 8, "forward, scikit-image": 8}
    rows |= {"forward, library": 0.95, "adjoint, library": 0.95}
    ratios = {name: [] for name in rows}
    own = {"forward": [], "adjoint": []}
    into = np.empty_like(x), np.empty_like(y)
    for _ in range(ROUNDS):
        mine = [fastest(lambda: projector.forward(x, out=into[1])), fastest(lambda: projector.adjoint(y, out=into[0]))]
        theirs = [fastest(forward), fastest(adjoint), fastest(lambda: radon(x, degrees, circle=False), 3)]
        others = [*theirs, *library()]
        for (name, times), seconds in zip(ratios.items(), others):
            times.append(seconds / mine[name.startswith("adjoint")])
        own["forward"].append(mine[0])
        own["adjoint"].append(mine[1])
    for name, seconds in own.items():
        print(f"{name}: {statistics.median(seconds) * 1e3:.3f} ms")
    print(f"a call that has nothing to do: {call() * 1e6:.1f} us")
    print("\n| against | ratio | bound | |\n|---|---|---|---|")
    missed = False
    for name, bound in rows.items():
        ratio = statistics.median(ratios[name])
        missed |= not ratio >= bound
        print(f"| {name} | {ratio:.2f} | {bound} | {'ok' if ratio >= bound else 'MISSED'} |")
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
