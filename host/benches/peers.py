#!/usr/bin/env python3
"""Times of this program against PyTorch (network, training step) and ASTRA (projector), in one interleaved run.

    python3 -m venv target/peers
    target/peers/bin/pip install torch==2.15.0 astra-toolbox==2.5.0 numpy==2.4.6 safetensors==0.8.0
    cargo build --release --example peer_times
    target/peers/bin/python host/benches/peers.py

Both sides work in turn, round after round; the table gives medians, and the median over rounds of the ratio of each.
Exit status 1 when a ratio misses its bound. `--fans` times the fans' projectors only, without PyTorch; of their runs
each side's fastest counts, which other work on the machine disturbs least. `--golden` times nothing, but writes what
the tests compare the embedded prior with.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import astra
import numpy as np

if "--fans" not in sys.argv:
    import torch
    from energy_network import EnergyNetwork

ROOT = pathlib.Path(__file__).resolve().parents[2]
N_ANGLES = 60


class Astra:
    """A CPU projector and its transpose, in buffers made once; only `run` is timed: that of Joseph's kind ("linear"), and
    for fans, for which there is none, that of lengths in pixels ("line_fanflat")."""

    def __init__(self, size, angles, source=None):
        # Bins of equal width over the image's diagonal, as the other side's geometry has them.
        diagonal = size * math.sqrt(2)
        n_bins = 2 * math.ceil(diagonal / 2) + 1
        volume = astra.create_vol_geom(size, size)
        if source:
            to_axis, to_detector = source
            width = 2 * to_detector * math.tan(math.asin(diagonal / 2 / to_axis)) / n_bins
            beam = astra.create_proj_geom("fanflat", width, n_bins, angles, to_axis, to_detector - to_axis)
        else:
            beam = astra.create_proj_geom("parallel", diagonal / n_bins, n_bins, angles)
        self.image = np.zeros((size, size), np.float32)
        self.sinogram = np.zeros((len(angles), n_bins), np.float32)
        image, sinogram = astra.data2d.link("-vol", volume, self.image), astra.data2d.link("-sino", beam, self.sinogram)
        projector = astra.create_projector("line_fanflat" if source else "linear", beam, volume)
        forward, back = astra.astra_dict("FP"), astra.astra_dict("BP")
        forward.update(ProjectorId=projector, ProjectionDataId=sinogram, VolumeDataId=image)
        back.update(ProjectorId=projector, ProjectionDataId=sinogram, ReconstructionDataId=image)
        self.algorithms = [astra.algorithm.create(forward), astra.algorithm.create(back)]

    def forward(self):
        astra.algorithm.run(self.algorithms[0])

    def adjoint(self):
        astra.algorithm.run(self.algorithms[1])

    def project(self, x):
        self.image[:] = x
        self.forward()
        return self.sinogram.copy()

    def smear(self, y):
        self.sinogram[:] = y
        self.adjoint()
        return self.image.copy()


def angles():
    return (np.arange(N_ANGLES) + 0.5) * np.pi / N_ANGLES


def median_time(runs, work):
    work()
    return statistics.median(timed(work) for _ in range(runs))


def fastest_time(runs, work):
    work()
    return min(timed(work) for _ in range(runs))


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def close(name, found, expected, tolerance):
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    print(f"- {name}: relative difference {error:.1e}")
    if not error < tolerance:
        sys.exit(f"{name}: the two sides do not compute the same; the times would mean nothing")


def algorithm_2(network, operator, problem, folder, iterations, keep_graphs):
    """The gradient-like method with the same savings: one projection a search, grad f kept, and of the accepted trial h.

    With `keep_graphs` every trial records its graph, and the accepted one's gives grad f; without, trials are cheaper and
    grad f takes one more forward pass.
    """
    size, settings, alpha = problem["size"], problem["settings"], problem["alpha"]
    search = settings["line_search"]
    read = lambda name, shape: np.fromfile(folder / name, "<f4").reshape(shape)
    x, y = read("start.f32", (size, size)), read("sinogram.f32", (N_ANGLES, -1))
    levels = np.geomspace(settings["t_max"], settings["t_min"], settings["steps"])
    t_min = torch.tensor([settings["t_min"]], dtype=torch.float32)
    counts = {"network_forwards": 0, "network_vjps": 0, "projections": 1}

    def weight(t):
        gamma, nu = network.scales(torch.tensor(float(t), dtype=torch.float64))
        return alpha * (1 + settings["early_weight"] * float(nu) ** 2) * float(nu / gamma)

    def h_with_graph(x):
        image = torch.from_numpy(x.astype(np.float32))[None, None].requires_grad_()
        counts["network_forwards"] += 1
        with torch.set_grad_enabled(keep_graphs):
            return image, network.h(image, t_min)

    dot = lambda a, b: float(np.vdot(a.astype(np.float64), b.astype(np.float64)))
    prior = weight(settings["t_min"])
    residual = operator.project(x) - y
    image, h = h_with_graph(x)
    last_step, previous, done, fresh = None, None, 0, True
    start = None
    for t in levels[:iterations]:
        if fresh:
            data = operator.smear(residual)
            if not keep_graphs:
                counts["network_forwards"] += 1
                h = network.h(image, t_min)
            (at_min,) = torch.autograd.grad(h, image, h.detach())
            gradient = data + prior * at_min.numpy()[0, 0]
            counts["projections"] += 1
            counts["network_vjps"] += 1
            h, fresh = h.detach(), False
        _, score = network.energy_and_score(image.detach(), torch.tensor([t], dtype=torch.float32))
        counts["network_forwards"] += 1
        counts["network_vjps"] += 1
        direction = -t * (data - weight(t) * score.numpy()[0, 0])
        slope = dot(gradient, direction)
        done += 1
        if slope < 0:
            step = search["first"] if last_step is None else last_step
            if last_step is not None:
                difference = previous - direction
                quotient = last_step * dot(previous, difference) / dot(difference, difference)
                if np.isfinite(quotient) and quotient != 0:
                    step = min(max(search["factor"] * abs(quotient), 1e-6), 1e6)
            projected = operator.project(direction)
            counts["projections"] += 1
            linear, square = dot(residual, projected), dot(projected, projected)
            old = h.double()
            for _ in range(search["max_trials"]):
                trial = (x + step * direction).astype(np.float32)
                trial_image, trial_h = h_with_graph(trial)
                new = trial_h.detach().double()
                change = step * linear + 0.5 * step**2 * square + prior * 0.5 * float(((new - old) * (new + old)).sum())
                if change <= search["sufficient_decrease"] * step * slope:
                    x, image, h, fresh = trial, trial_image, trial_h, True
                    residual = (residual + step * projected).astype(np.float32)
                    previous, last_step = direction, step
                    break
                step *= search["shrink"]
        # As on the other side, the first iteration is not timed.
        start = start or time.perf_counter()
    seconds = time.perf_counter() - start
    objective = 0.5 * dot(residual, residual) + prior * 0.5 * float(h.detach().double().pow(2).sum())
    return {
        "seconds_per_iteration": seconds / max(done - 1, 1),
        "iterations": done,
        "counters": counts,
        "objective": objective,
    }


def training_step(network, batch, n):
    """Denoising score matching with the score as a gradient: double backward, without the optimiser."""
    parameters = list(network.w.values())
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand((batch, 1, n, n), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    t = torch.linspace(0.01, 1, batch)
    gamma, nu = (s[:, None, None, None] for s in network.scales(t))

    def step():
        for w in parameters:
            w.requires_grad_()
        _, score = network.energy_and_score(gamma * clean + nu * noise, t, create_graph=True)
        torch.autograd.grad((nu * score + noise).pow(2).mean(), parameters, allow_unused=True)
        # The other work is timed without graphs of the weights.
        for w in parameters:
            w.requires_grad_(False)

    return step


def bound(key):
    if key.startswith("training"):
        return 3
    if key.startswith("energy"):
        return 3 if "batch 1," in key else 2
    if key.startswith("fan"):
        return 8 if "1 thread" in key else 15
    return 4 if "1 thread" in key else 8


def fans(runs):
    times = {}
    for views in (60, 720):
        operator = Astra(256, 2 * np.pi * (np.arange(views) + 0.5) / views, (5.4 * 256, 7.3 * 256))
        operator.image[:] = np.random.default_rng(1).random((256, 256))
        for name, work in (("projector", operator.forward), ("adjoint", operator.adjoint)):
            seconds = fastest_time(max(runs // 4, 1) if views > 100 else runs, work)
            times |= {f"fan {name}, 256, {views} views, {threads} threads": seconds for threads in (1, 2)}
    return times


def rivals(network, runs):
    """One round of the other side's times, under the names that `peer_times` uses."""
    times, cores = fans(runs), {}
    torch.set_num_threads(2)
    for batch in (1, 8):
        x, t = torch.rand(batch, 1, 128, 128), torch.full((batch,), 0.3)
        with torch.no_grad():
            times[f"energy, batch {batch}, 2 threads"] = median_time(runs, lambda: network.energy(x, t))
        times[f"energy and score, batch {batch}, 2 threads"] = median_time(runs, lambda: network.energy_and_score(x, t))
    times["training step, batch 8, 2 threads"] = median_time(max(runs // 4, 1), training_step(network, 8, 128))
    for size in (128, 256):
        operator = Astra(size, angles())
        operator.image[:] = np.random.default_rng(1).random((size, size))
        for name, work in (("projector", operator.forward), ("adjoint", operator.adjoint)):
            wall, cpu = time.perf_counter(), time.process_time()
            seconds = median_time(runs, work)
            cores[f"{name}, {size}"] = (time.process_time() - cpu) / (time.perf_counter() - wall)
            for threads in (1, 2):
                times[f"{name}, {size}, {threads} threads"] = seconds
    return times, cores


def write_golden(weights, path):
    """The network in float64 at three smoothing levels, on diffused images that are not square."""
    network = EnergyNetwork(weights)
    network.w = {name: tensor.double() for name, tensor in network.w.items()}
    generator = torch.Generator().manual_seed(1)
    t = torch.tensor([0.001, 0.05, 0.5], dtype=torch.float64)
    clean = torch.rand((3, 1, 32, 48), generator=generator, dtype=torch.float64)
    gamma, nu = (s[:, None, None, None] for s in network.scales(t))
    x = gamma * clean + nu * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    energy, score = network.energy_and_score(x, t)
    h = network.h(x, t).detach()
    np.savez(path, **{k: v.numpy() for k, v in {"x": x, "t": t, "h": h, "log_density": -energy, "score": score}.items()})


HEAD = "\n| work | this program ms | peer ms | ratio | bound | |\n|---|---|---|---|---|---|"


def row(missed, name, own, other, wanted):
    median = statistics.median
    ratio = median(b / a for a, b in zip(own, other))
    missed.extend([name] if ratio < wanted else [])
    verdict = "ok" if ratio >= wanted else "MISSED"
    print(f"| {name} | {median(own) * 1e3:.3f} | {median(other) * 1e3:.3f} | {ratio:.1f} | {wanted} | {verdict} |")


def only_fans(arguments):
    command = [str(arguments.binary), "--rounds", str(arguments.runs), "--fans", "only"]
    print(f"ASTRA {astra.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    rounds, missed = [], []
    for _ in range(arguments.rounds):
        mine = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["seconds"]
        rounds.append((mine, fans(arguments.runs)))
    print(HEAD)
    for key in rounds[0][1]:
        name = key.replace("1 threads", "1 thread")
        row(missed, name, [mine[key] for mine, _ in rounds], [theirs[key] for _, theirs in rounds], bound(name))
    sys.exit(1 if missed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=11, help="runs of which each round takes the median")
    parser.add_argument("--iterations", type=int, default=20, help="of Algorithm 2; rounding parts the paths later")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/examples/peer_times")
    parser.add_argument("--fans", action="store_true", help="time the fans' projectors only")
    parser.add_argument("--golden", action="store_true", help="write tests/golden/ellipses_prior.npz, and end")
    arguments = parser.parse_args()
    if arguments.fans:
        only_fans(arguments)
    torch.set_num_threads(2)
    folder = ROOT / "target/peer_problem"
    weights, golden = ROOT / "host/weights/ellipses.safetensors", ROOT / "tests/golden/ellipses_prior.npz"
    if arguments.golden:
        write_golden(weights, golden)
        return
    network = EnergyNetwork(weights)

    def ours(*extra):
        command = [arguments.binary, "--rounds", arguments.runs, "--iterations", arguments.iterations, *extra]
        return json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True).stdout)

    print(f"PyTorch {torch.__version__}, ASTRA {astra.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    ours("--problem", folder)
    problem = json.loads((folder / "problem.json").read_text())
    check = np.load(golden)
    energy, score = network.energy_and_score(*(torch.from_numpy(check[k]).float() for k in ("x", "t")))
    close("energy against the golden file", -energy, check["log_density"], 1e-4)
    close("score against the golden file", score, check["score"], 1e-4)
    operator = Astra(problem["size"], np.array(problem["angles_rad"]))
    image = np.fromfile(folder / "image.f32", "<f4").reshape(operator.image.shape)
    projected = np.fromfile(folder / "projected.f32", "<f4").reshape(operator.sinogram.shape)
    close("projector of the two sides", operator.project(image), projected, 1e-4)
    smeared = np.fromfile(folder / "smeared.f32", "<f4").reshape(operator.image.shape)
    close("adjoint of the two sides", operator.smear(projected), smeared, 1e-4)

    rounds = []
    for _ in range(arguments.rounds):
        times, cores = rivals(network, arguments.runs)
        mine = ours()
        both = [algorithm_2(network, operator, problem, folder, arguments.iterations, keep) for keep in (True, False)]
        theirs = min(both, key=lambda run: run["seconds_per_iteration"])
        rounds.append((mine, times, cores, theirs))

    missed = []
    print(HEAD)
    for key in rounds[0][1]:
        own = [mine["seconds"][key] for mine, *_ in rounds]
        name = key.replace("1 threads", "1 thread")
        row(missed, name, own, [times[key] for _, times, *_ in rounds], bound(name))
    own = [mine["algorithm_2"]["seconds_per_iteration"] for mine, *_ in rounds]
    row(missed, "iteration of Algorithm 2, 2 threads", own, [theirs["seconds_per_iteration"] for *_, theirs in rounds], 5)
    print()
    mine, _, cores, theirs = rounds[-1]
    for side, run in (("this program", mine["algorithm_2"]), ("peer", theirs)):
        print(f"- Algorithm 2, {side}: {run['iterations']} iterations, {run['counters']}, f = {run['objective']:.2f}")
    print(f"- cores that ASTRA kept busy: { {k: round(v, 2) for k, v in cores.items()} }")
    print(f"- load at the end {os.getloadavg()[0]:.1f}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
