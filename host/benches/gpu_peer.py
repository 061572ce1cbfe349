#!/usr/bin/env python3
"""Times of the energy network in PyTorch on a GPU: energies and scores, and steps of training, one JSON line each.

    python3 host/benches/gpu_peer.py host/weights/ellipses.safetensors

Eager, and as a recorded CUDA graph; with f32 and with TF32 factors. `SIDES`, `LANES`, `IMAGES` and `REPEATS` in the environment as
for `tests/gpu-check.sh`. Times are medians of the host's clock, from asking to having.
"""

import json
import os
import statistics
import sys
import time

import torch

from energy_network import EnergyNetwork

PATIENCE_S = 1.0


def numbers(name, otherwise):
    return [int(n) for n in os.environ.get(name, otherwise).split()]


def milliseconds(work):
    """Median of some runs, after those that choose and compile kernels."""
    repeats, times = numbers("REPEATS", "50")[0], []
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    while not times or (len(times) < repeats and time.perf_counter() - begin < PATIENCE_S):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def graph_of(work):
    """The launches of `work`, to be made again at once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def say(**line):
    print(json.dumps({"measured": "PyTorch", **line}), flush=True)


def set_tf32(on):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on


def training_step(network, n, side):
    """Denoising score matching with the score as a gradient: double backward, without the optimiser."""
    parameters = list(network.w.values())
    noise, t = torch.randn((n, 1, side, side), device="cuda"), torch.linspace(0.01, 1, n, device="cuda")
    nu = network.scales(t)[1][:, None, None, None]

    def step():
        for w in parameters:
            w.requires_grad_()
        _, score = network.energy_and_score(noise, t, create_graph=True)
        torch.autograd.grad((nu * score + noise).pow(2).mean(), parameters, allow_unused=True)
        for w in parameters:
            w.requires_grad_(False)

    return step


def main():
    network = EnergyNetwork(sys.argv[1])
    network.w = {name: tensor.cuda() for name, tensor in network.w.items()}
    torch.backends.cudnn.benchmark = True
    for n in numbers("LANES", "1 8 32"):
        for tf32 in (False, True):
            set_tf32(tf32)
            for side in numbers("SIDES", "128 256 512"):
                x, t = torch.rand((n, 1, side, side), device="cuda"), torch.full((n,), 0.1, device="cuda")
                work = lambda: network.energy_and_score(x, t)
                times = {"graph": milliseconds(graph_of(work))}
                if n == 1:
                    times["eager"] = milliseconds(work)
                say(side=side, images=n, tf32=tf32, ms_an_image={k: ms / n for k, ms in times.items()}, ms=times)
    for n in numbers("IMAGES", "4 16 32"):
        for tf32 in (False, True):
            set_tf32(tf32)
            side = numbers("SIDES", "128")[0]
            say(training_images=n, side=side, tf32=tf32, ms=milliseconds(training_step(network, n, side)))


if __name__ == "__main__":
    main()
