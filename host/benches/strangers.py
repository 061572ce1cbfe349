#!/usr/bin/env python3
"""A third of the patients kept from the training of a prior, for intervals by patients whom it never saw.

    target/peers/bin/python host/benches/strangers.py OUT SLICES VALIDATION.npz DM4CT.tif
    cargo run --release -- train host/benches/twin.toml --data OUT/known --validation-data VALIDATION -o OUT/twin

SLICES is a folder of npz stacks with `hu256`, 256 x 256 in HU, beside or below a `manifest.csv` with the columns
`file`, `patient` and `pixel_mm`, the side of a pixel of the 512 x 512 which the slices had. OUT receives `known`, links
to the stacks of two thirds of the patients, and lists for `calibrate`: `strangers.txt` with the middle slice of the
first series of each patient of the other third, `others.txt` with the same as the role `learned`, six slices of the
validation patient, and DM4CT's, averaged to 256 x 256.
"""

import csv
import pathlib
import sys

import numpy as np
from PIL import Image

VALIDATION_SLICES = (2, 7, 12, 17, 22, 27)
# What DM4CT's slice had at -1 and 1, in HU (its file says twice the stored value over 4590, less 1).
LEAST_HU, RANGE_HU = -1024, 4590
DM4CT_PIXEL_MM = 1.5


def patients(slices):
    """The files and the pixel's side of each patient, in the order of their names."""
    manifest = next(folder / "manifest.csv" for folder in (slices, slices.parent) if (folder / "manifest.csv").exists())
    lines = {pathlib.Path(line["file"]).name: line for line in csv.DictReader(manifest.open())}
    found = {}
    for path in sorted(slices.glob("*.npz")):
        line = lines[path.name]
        found.setdefault(line["patient"], []).append((path.resolve(), 2 * float(line["pixel_mm"])))
    return manifest, dict(sorted(found.items()))


def middle(path):
    return f"{path}:[{len(np.load(path)['hu256']) // 2}]"


def main(out, slices, validation, dm4ct):
    out, slices = pathlib.Path(out), pathlib.Path(slices)
    (out / "known").mkdir(parents=True, exist_ok=True)
    manifest, found = patients(slices)
    (out / "manifest.csv").write_text(manifest.read_text())
    strangers, others = [], []
    for k, (name, files) in enumerate(found.items()):
        name = name.replace(" ", "_")
        if k % 3 == 1:
            path, pixel_mm = files[0]
            strangers.append(f"calibration {name} {middle(path)} {pixel_mm}")
            others.append(f"learned learned-{name} {middle(path)} {pixel_mm}")
        else:
            for path, _ in files:
                link = out / "known" / path.name
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    validation = pathlib.Path(validation).resolve()
    pixel_mm = 2 * float(np.load(validation)["pixel_mm_512"])
    others += [f"validation validation-{k} {validation}:[{k}] {pixel_mm}" for k in VALIDATION_SLICES]
    image = (np.asarray(Image.open(dm4ct), np.float32) + 1) / 2 * RANGE_HU + LEAST_HU
    np.save(out / "dm4ct.npy", image.reshape(256, 2, 256, 2).mean(axis=(1, 3)))
    others.append(f"dm4ct dm4ct {(out / 'dm4ct.npy').resolve()} {DM4CT_PIXEL_MM}")
    (out / "strangers.txt").write_text("\n".join(strangers) + "\n")
    (out / "others.txt").write_text("\n".join(others) + "\n")
    print(f"{len(found) - len(strangers)} patients to learn from, {len(strangers)} strangers")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
