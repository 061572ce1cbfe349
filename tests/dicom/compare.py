#!/usr/bin/env python3
"""Compare the DICOM reader with pydicom, on all test files and samples that come with pydicom.

    pip install pydicom pydicom-data pylibjpeg[all] pyjpegls numpy
    tests/dicom/compare.py target/release/gradus [FOLDER ...]

Each file is read by `gradus simulate` (whose scan holds the image) and by pydicom with its Modality LUT. A file counts as

    right        same pixels, to 0.01 of a unit (lossy JPEG and JPEG 2000: to one stored unit)
    refused      exit code 2, and the message names what the attributes say
    wrong        other pixels, or a picture where pydicom finds none
    misleading   exit code 2, and the message names something else

Exit code 1 if any is wrong or misleading.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut

AIR_HU, BELOW_AIR_HU = -1000.0, -1200.0
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.81"}
# The constants of host/src/ct/hounsfield.rs.
PER_HU, WATER, LARGEST = 0.01998, 20.0, 81.35858


def files():
    import data_store
    import pydicom.data

    roots = [os.path.dirname(pydicom.data.__file__), os.path.dirname(data_store.__file__)]
    for root in sys.argv[2:] or roots:
        for folder, _, names in sorted(os.walk(root)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    start = file.read(132)
                if start[128:] == b"DICM" or name.endswith(".dcm"):
                    yield path


def reason(ds):
    """Words of the message that refuses this data set for what it is; None if it should be read."""
    if "FloatPixelData" in ds or "DoubleFloatPixelData" in ds:
        return ["floating point"]
    if "PixelData" not in ds:
        return ["no pixel data", "is not a whole DICOM file"]
    if ds.get("SamplesPerPixel", 1) != 1:
        return ["samples"]
    if "MONOCHROME" not in str(ds.get("PhotometricInterpretation", "")):
        return [str(ds.get("PhotometricInterpretation", ""))]
    if ds.BitsAllocated not in (8, 16):
        return [f"bits stored in {ds.BitsAllocated}"]
    spacing = ds.get("PixelSpacing") or ds.get("PixelAspectRatio")
    if spacing and len(spacing) == 2 and float(spacing[1]) > 0 and abs(float(spacing[0]) / float(spacing[1]) - 1) > 1e-3:
        return ["square pixels"]
    return None


def expected(ds, frame):
    """Pixels of a frame as values, padding and what lies below all air made air."""
    stored = ds.pixel_array
    stored = stored[frame] if stored.ndim == 3 else stored
    values = apply_modality_lut(stored, ds).astype(np.float64)
    groups = [g for g in (ds.get("PerFrameFunctionalGroupsSequence"), ds.get("SharedFunctionalGroupsSequence")) if g]
    for group in groups:
        item = group[frame if len(group) > 1 else 0]
        if "PixelValueTransformationSequence" in item:
            rescale = item.PixelValueTransformationSequence[0]
            values = stored * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)
            break
    if "PixelPaddingValue" in ds:
        # Some files write a negative value as unsigned.
        wrap = lambda v: v - 65536 if ds.PixelRepresentation and v > 32767 else v
        ends = sorted(wrap(v) for v in (ds.PixelPaddingValue, ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue)))
        values[(stored >= ends[0]) & (stored <= ends[1])] = AIR_HU
    values[values < BELOW_AIR_HU] = AIR_HU
    return values


def read(program, path, folder):
    """The pixels that the program reads, or its message."""
    scan = os.path.join(folder, "scan.npz")
    if os.path.exists(scan):
        os.remove(scan)
    command = [program, "simulate", path, "--angles", "1", "--noise", "0", "--unit", "hu", "-o", scan, "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        truth = np.load(scan)["truth"].astype(np.float64)
        return (truth * LARGEST - WATER) / PER_HU, " ".join(run.stderr.split())
    return None, f"[{run.returncode}] " + " ".join(run.stderr.replace("│", " ").split())


def judge(program, path, folder):
    """Verdicts of a file: one for each frame that is looked at."""
    ds = pydicom.dcmread(path, force=True)
    why = reason(ds)
    try:
        n_frames = int(ds.get("NumberOfFrames", 1) or 1)
    except (TypeError, ValueError):
        n_frames = 1
    frames = [None] if n_frames == 1 else [0, n_frames - 1]
    for frame in frames:
        pixels, said = read(program, path if frame is None else f"{path}:[{frame}]", folder)
        if why is not None:
            if pixels is not None:
                yield "wrong", f"read in spite of {why}"
            else:
                yield ("refused" if any(word in said for word in why) else "misleading"), said
            continue
        try:
            truth = expected(ds, frame or 0)
        except Exception as error:  # pydicom refuses in many ways
            verdict = "refused" if pixels is None and "[2]" in said else "wrong"
            yield verdict, f"pydicom: {str(error)[:90]}; gradus: {said[:160]}"
            continue
        if pixels is None:
            named = "[2]" in said and ("compressed with" in said or "have some from" in said)
            yield ("refused" if named else "misleading"), said
        else:
            lossy = str(getattr(ds.file_meta, "TransferSyntaxUID", "")) in LOSSY if hasattr(ds, "file_meta") else False
            unit = abs(float(ds.get("RescaleSlope", 1) or 1))
            worst = np.abs(pixels - truth).max() if pixels.shape == truth.shape else np.inf
            bound = (1.01 * unit if lossy else 0) + 0.01 + 2e-7 * np.abs(truth).max()
            yield ("right" if worst <= bound else "wrong"), f"largest difference {worst:.3g}"


def main():
    warnings.simplefilter("ignore")
    program, counts = os.path.abspath(sys.argv[1]), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in files():
            for verdict, said in judge(program, path, folder):
                counts[verdict] += 1
                if verdict in ("wrong", "misleading") or os.environ.get("VERBOSE"):
                    print(f"{verdict:11} {os.path.basename(path)}: {said}")
    print(json.dumps(counts))
    sys.exit(1 if counts["wrong"] or counts["misleading"] else 0)


if __name__ == "__main__":
    main()
