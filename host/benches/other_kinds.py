#!/usr/bin/env python3
"""Images of other kinds than a prior was trained on, and slices of its own, for `calibrate -- unlike`.

    target/peers/bin/pip install scikit-image==0.26.0
    target/peers/bin/python host/benches/other_kinds.py OUT SLICES.npz
    cargo run --release --example calibrate -- unlike ct OUT/kind*.npy
    cargo run --release --example calibrate -- unlike ct OUT/named-256/*.npy
    cargo run --release --example calibrate -- unlike ct OUT/other-256/*.npy

SLICES.npz holds slices of 256 x 256 in HU as `hu256`. OUT receives them, their mirror images and shifted ones, 100 in
all, in network units, and folders of pictures of N x N pixels: `named-N`, what RESULTS.md has a row for (text,
checkerboard, photograph, disc, HU as 0 to 1 and more), and `other-N`, 17 of scikit-image's and 8 patterns at three
brightnesses.
"""

import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage import color, data
from skimage.transform import resize

SIZES, BRIGHTNESSES = (256, 128), (1, 0.5, 0.25)
SLICE = 12
PICTURES = """astronaut brick chelsea clock coffee coins cell grass gravel horse hubble_deep_field microaneurysms moon
              page text retina rocket""".split()


def in_size(image, n):
    return resize(np.asarray(image, np.float32), (n, n), anti_aliasing=True).astype(np.float32)


def network_units(hu):
    """Network units of HU, by the constants of host/src/ct/hounsfield.rs: 20 / m for water, 0.01998 / m a HU."""
    return np.clip((hu * 0.01998 + 20) / 81.35858, 0, None).astype(np.float32)


def text(n):
    image = Image.new("F", (n, n), 0)
    drawing = ImageDraw.Draw(image)
    for row in range(n // 12):
        line = "The quick brown fox jumps over the lazy dog 0123456789"[: n // 6 - 1]
        drawing.text((4, 2 + 12 * row), line, fill=1.0)
    return np.asarray(image, np.float32)


def named(n, hu):
    """Name and picture of what a row of RESULTS.md is about."""
    y, x = np.mgrid[:n, :n]
    disc = (np.hypot(x - n / 2, y - n / 2) < 0.35 * n).astype(np.float32)
    board = ((x // (n // 16)) + (y // (n // 16))) % 2
    bright = {"text": text(n), "board": board, "photo": in_size(data.camera() / 255.0, n), "disc": disc}
    for name, picture in bright.items():
        yield from ((f"{name}-{part}", picture * part) for part in BRIGHTNESSES)
    hu = in_size(hu, n)
    yield "hu01-window", np.clip((hu + 160) / 400, 0, 1)
    yield "hu01-range", (hu - hu.min()) / (hu.max() - hu.min())
    yield "hu01-1000", np.clip((hu + 1000) / 2000, 0, 1)
    yield "shepp-logan", in_size(data.shepp_logan_phantom(), n)
    yield "faint-text", disc * (0.25 + 0.02 * text(n))


def others():
    """Name and picture, from 0 to 1."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256] / 256
    radius, angle = np.hypot(x - 0.5, y - 0.5), np.arctan2(y - 0.5, x - 0.5) / np.pi
    pictures = {name: getattr(data, name)() for name in PICTURES}
    pictures |= {"noise": random.normal(size=(256, 256)), "ramp": x, "ring": abs(radius - 0.35) < 0.02}
    pictures |= {"bars": np.floor(x * 16) % 2, "square": np.maximum(abs(x - 0.5), abs(y - 0.5)) < 0.3}
    pictures |= {"star": (np.floor((angle + 1) * 18) % 2) * (radius < 0.45)}
    pictures |= {"smooth": gaussian_filter(random.normal(size=(256, 256)), 6), "blobs": data.binary_blobs(256, rng=1)}
    for name, picture in pictures.items():
        picture = np.asarray(color.rgb2gray(picture[..., :3]) if picture.ndim == 3 else picture, np.float32)
        yield name, (picture - picture.min()) / (picture.max() - picture.min())


def main():
    out, hu = pathlib.Path(sys.argv[1]), np.load(sys.argv[2])["hu256"].astype(np.float32)
    for n in SIZES:
        for kind in ("named", "other"):
            (out / f"{kind}-{n}").mkdir(parents=True, exist_ok=True)
        for name, picture in named(n, hu[SLICE]):
            np.save(out / f"named-{n}/{name}.npy", picture.astype(np.float32))
        for name, picture in others():
            for part in BRIGHTNESSES:
                np.save(out / f"other-{n}/{name}-{part}.npy", in_size(picture, n) * np.float32(part))
    units = network_units(hu)
    kind = [units, units[:, :, ::-1], units[:, ::-1], np.roll(units, 6, axis=2)[::3]]
    for index, images in enumerate(kind):
        np.save(out / f"kind-{index}.npy", np.ascontiguousarray(images))


if __name__ == "__main__":
    main()
