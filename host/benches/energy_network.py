"""The energy network of a weights file in PyTorch, for comparisons."""

import json
import math

import torch
import torch.nn.functional as F
from safetensors import safe_open


class EnergyNetwork:
    """h(x, t) of a weights file: the U-Net of guided diffusion under the "residual" parametrisation."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            meta = {k: json.loads(v) for k, v in file.metadata().items() if k != "provenance"}
            self.w = {name: file.get_tensor(name) for name in file.keys()}
        self.a, self.kernel, self.p = meta["architecture"], meta["perturbation_kernel"], meta["parametrisation"]
        assert self.p["kind"] == "residual" and not self.a["attention_resolutions"]

    def scales(self, t):
        """gamma_t and nu_t."""
        b0, b1 = self.kernel["beta_min"], self.kernel["beta_max"]
        log_gamma = -t * t * (b1 - b0) / 4 - t * b0 / 2
        return torch.exp(log_gamma), torch.sqrt(-torch.expm1(2 * log_gamma))

    def conv(self, name, x, **options):
        weight = self.w[name + ".weight"]
        return F.conv2d(x, weight, self.w[name + ".bias"], padding=weight.shape[-1] // 2, **options)

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def norm(self, name, x):
        return F.group_norm(x, self.a["norm_groups"], self.w[name + ".weight"], self.w[name + ".bias"], self.a["norm_eps"])

    def residual(self, name, x, embedding):
        y = self.conv(name + ".in_layers.2", F.silu(self.norm(name + ".in_layers.0", x)))
        y = y + self.linear(name + ".emb_layers.1", F.silu(embedding))[:, :, None, None]
        y = self.conv(name + ".out_layers.3", F.silu(self.norm(name + ".out_layers.0", y)))
        skip = name + ".skip_connection"
        return y + (self.conv(skip, x) if skip + ".weight" in self.w else x)

    def attention(self, name, x):
        n, c, height, width = x.shape
        flat = x.reshape(n, c, -1)
        qkv = F.conv1d(self.norm(name + ".norm", flat), self.w[name + ".qkv.weight"], self.w[name + ".qkv.bias"])
        q, k, v = qkv.chunk(3, dim=1)
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q, k) / math.sqrt(c), dim=-1)
        mixed = torch.einsum("bts,bcs->bct", weights, v)
        out = F.conv1d(mixed, self.w[name + ".proj_out.weight"], self.w[name + ".proj_out.bias"])
        return (flat + out).reshape(n, c, height, width)

    def unet(self, x, t):
        half = self.a["model_channels"] // 2
        rate = torch.exp(-math.log(self.a["max_period"]) * torch.arange(half, dtype=t.dtype, device=t.device) / half)
        arguments = t[:, None] * rate
        embedding = torch.cat([arguments.cos(), arguments.sin()], 1)
        embedding = self.linear("time_embed.2", F.silu(self.linear("time_embed.0", embedding)))
        y = self.conv("input_blocks.0.0", F.pixel_unshuffle(x, self.a["pixel_unshuffle"]))
        stack, block, levels = [y], 1, len(self.a["channel_mult"])
        for level in range(levels):
            for _ in range(self.a["num_res_blocks"]):
                y = self.residual(f"input_blocks.{block}.0", y, embedding)
                stack.append(y)
                block += 1
            if level + 1 < levels:
                y = self.conv(f"input_blocks.{block}.0.op", y, stride=2)
                stack.append(y)
                block += 1
        y = self.residual("middle_block.0", y, embedding)
        y = self.attention("middle_block.1", y)
        y = self.residual("middle_block.2", y, embedding)
        block = 0
        for level in reversed(range(levels)):
            for i in range(self.a["num_res_blocks"] + 1):
                y = self.residual(f"output_blocks.{block}.0", torch.cat([y, stack.pop()], 1), embedding)
                if level > 0 and i == self.a["num_res_blocks"]:
                    y = self.conv(f"output_blocks.{block}.1.conv", F.interpolate(y, scale_factor=2, mode="nearest"))
                block += 1
        y = self.conv("out.2", F.silu(self.norm("out.0", y)))
        return F.pixel_shuffle(y, self.a["pixel_unshuffle"])

    def h(self, x, t):
        gamma, nu = (s[:, None, None, None] for s in self.scales(t))
        mean, spread = self.p["data_mean"], self.p["data_std"]
        sigma = nu / gamma
        total = torch.sqrt(sigma**2 + spread**2)
        scaled = (x / gamma - mean) / total
        return sigma / total * scaled - spread / total * self.unet(scaled, t)

    def energy(self, x, t):
        return 0.5 * self.h(x, t).pow(2).sum((1, 2, 3))

    def energy_and_score(self, x, t, create_graph=False):
        x = x.detach().requires_grad_()
        energy = self.energy(x, t)
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=create_graph)
        return energy.detach(), -gradient
