"""Small raw measurements, as other programs write them: python make.py, with numpy 2.4, h5py 3.16, scipy 1.17.

A disc and a smaller, denser one in it, whose axis is at bin 21.25 of 40 bins of 1 mm: counts of 1e4 photons without
noise, 3 counts a photon, on a dark current of 50. `chunk_beyond_file.h5` is `dxchange.h5` damaged by `tests/fuzz`: a
chunk claims 4 GB.
"""
import h5py
import numpy as np
import scipy.io

VIEWS, BINS, AXIS = 24, 40, 21.25
DEGREES = np.arange(VIEWS) * 180.0 / VIEWS
DISCS = [(0.03, 14.0, 2.0, -1.0), (0.05, 4.0, -3.0, 5.0)]


def sinogram():
    place = np.arange(BINS) - AXIS
    sums = np.zeros((VIEWS, BINS))
    for value, radius, x, y in DISCS:
        for view, degrees in enumerate(DEGREES):
            a = np.deg2rad(degrees)
            # Means over a bin, by 16 places in it.
            for part in (np.arange(16) + 0.5) / 16 - 0.5:
                away = place + part - (x * np.cos(a) + y * np.sin(a))
                sums[view] += 2 * value * np.sqrt(np.maximum(radius**2 - away**2, 0)) / 16
    return sums


def dxchange(path):
    flat = 3e4 * (1 + 0.1 * np.cos(np.arange(BINS) / 9))
    counts = 50 + flat * np.exp(-sinogram())
    rows = np.stack([np.full_like(counts, 50 + 1e4), counts], axis=1)
    # Frames of the beam whose differences have the variance of 1e4 photons of 3 counts.
    noise = np.sqrt(3 * flat / 2)
    signs = (-1.0) ** np.arange(BINS)
    white = np.stack([50 + flat + sign * signs * noise for sign in (1, -1, 1, -1)])
    with h5py.File(path, "w") as f:
        f["implements"] = "exchange"
        group = f.create_group("exchange")
        kind = dict(dtype="u2", compression="gzip", shuffle=True)
        group.create_dataset("data", data=np.rint(rows), chunks=(6, 2, BINS), **kind)
        group.create_dataset("data_white", data=np.rint(np.stack([white, white], axis=1)), **kind)
        group.create_dataset("data_dark", data=np.full((3, 2, BINS), 50), **kind)
        group["theta"] = DEGREES
        group["theta"].attrs["units"] = "degrees"


def fips():
    angles = np.arange(VIEWS + 1) * 360.0 / VIEWS
    values = np.add.outer(np.arange(VIEWS + 1.0) / 100, np.arange(BINS) / 1000)
    parameters = dict(
        projectName="disc_", geometryType="Cone", distanceUnit="mm", distanceSourceOrigin=400.0,
        distanceSourceDetector=600.0, pixelSizePost=0.3, angles=angles,
    )
    return dict(type="2D", sinogram=values, parameters=parameters)


def matlab73(path, data):
    with h5py.File(path, "w", userblock_size=512) as f:
        def put(group, name, value):
            if isinstance(value, dict):
                inner = group.create_group(name)
                inner.attrs["MATLAB_class"] = np.bytes_("struct")
                for key in value:
                    put(inner, key, value[key])
            elif isinstance(value, str):
                group[name] = np.array([[ord(c)] for c in value], "u2")
                group[name].attrs["MATLAB_class"] = np.bytes_("char")
            else:
                group[name] = np.atleast_2d(np.asarray(value, float)).T
                group[name].attrs["MATLAB_class"] = np.bytes_("double")
        put(f, "CtData", data)
    mark = b"MATLAB 7.3 MAT-file, Platform: none, Created on: never HDF5 schema 1.00 ."
    with open(path, "r+b") as f:
        f.write(mark.ljust(124) + b"\x00\x02IM")


if __name__ == "__main__":
    dxchange("dxchange.h5")
    scipy.io.savemat("fips.mat", {"CtData": fips()}, do_compression=True)
    matlab73("fips73.mat", fips())
