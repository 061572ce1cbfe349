#!/usr/bin/env python3
"""Make the files of `codecs/`, and some of `units/`, from the phantom there: what other programs' encoders write.

    pip install pydicom pylibjpeg[all] pyjpegls tifffile imagecodecs h5py numpy
"""
import copy
import os

import h5py
import imagecodecs
import numpy as np
import pydicom
import tifffile
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

HERE = os.path.dirname(os.path.abspath(__file__))
SLICE = pydicom.dcmread(os.path.join(HERE, "units/08_truth_in_hu/slice.dcm"))
HU = np.load(os.path.join(HERE, "units/hu.ref.npy")).round().astype(np.int16)


def save(ds, name):
    ds.save_as(os.path.join(HERE, "codecs", name), enforce_file_format=True)


def with_stream(stream, syntax, **attributes):
    """The slice with one code stream in the place of its pixels."""
    ds = copy.deepcopy(SLICE)
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def signed():
    """The slice with HU stored as they are."""
    ds = copy.deepcopy(SLICE)
    ds.PixelRepresentation, ds.RescaleIntercept, ds.PixelData = 1, "0", HU.tobytes()
    return ds


def enhanced():
    """Three frames: HU, HU - 100 and HU - 200, the last of them by a Rescale Intercept of its own."""
    ds = signed()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2.1")
    place, direction = list(ds.ImagePositionPatient), list(ds.ImageOrientationPatient)
    for name in ("PixelSpacing", "RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(ds, name)
    ds.NumberOfFrames = 3
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, plane.ImageOrientationPatient = [0.8, 0.8], "2.5", direction
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence, frames = [shared], []
    for k, intercept in enumerate(["0", "0", "-200"]):
        frame, values, position = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = "1", intercept, "HU"
        position.ImagePositionPatient = [place[0], place[1], place[2] + 2.5 * k]
        frame.PixelValueTransformationSequence, frame.PlanePositionSequence = [values], [position]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.PixelData = np.stack([HU, HU - 100, HU]).tobytes()
    return ds


def dicom():
    stored = (HU.astype(np.int32) + 1024).astype(np.uint16)
    save(with_stream(imagecodecs.ljpeg_encode(stored), "1.2.840.10008.1.2.4.70"), "jpeg-lossless.dcm")
    ten_bits = imagecodecs.jpeg_encode(stored // 2, level=95, bitspersample=12)
    save(with_stream(ten_bits, "1.2.840.10008.1.2.4.51"), "jpeg-12-bits.dcm")
    eight = (stored // 8).astype(np.uint8)
    of_eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleSlope": "8"}
    save(with_stream(imagecodecs.jpeg_encode(eight, level=98), "1.2.840.10008.1.2.4.50", **of_eight), "jpeg.dcm")
    for name, syntax in (("jpeg-ls", JPEGLSLossless), ("jpeg-2000", JPEG2000Lossless)):
        for kind, ds in (("", copy.deepcopy(SLICE)), ("-signed", signed())):
            ds.compress(syntax)
            save(ds, f"{name}{kind}.dcm")
    near = signed()
    near.RescaleIntercept, near.PixelRepresentation, near.PixelData = "-1024", 0, stored.tobytes()
    near.compress(UID("1.2.840.10008.1.2.4.81"), jls_error=2)
    save(near, "jpeg-ls-near.dcm")
    save(enhanced(), "enhanced.dcm")
    ds = enhanced()
    ds.compress(RLELossless)
    save(ds, "enhanced-rle.dcm")
    # Frames in two parts each, which only an offset table or the starts of code streams tell apart.
    for name, has_table in (("enhanced-jpeg-2000.dcm", True), ("enhanced-no-table.dcm", False)):
        ds = enhanced()
        ds.compress(JPEG2000Lossless)
        streams = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=3))
        ds.PixelData = encapsulate(streams, fragments_per_frame=2, has_bot=has_table)
        save(ds, name)


def tiff():
    def write(name, array, **options):
        tifffile.imwrite(os.path.join(HERE, "codecs", name), array, **options)

    network = ((HU.astype(np.float64) * 0.01998 + 20) / 81.35858).astype(np.float32)
    write("white-is-zero.tif", network, photometric="miniswhite")
    write("zstd.tif", HU, compression="zstd", predictor=True, rowsperstrip=20, photometric="minisblack")
    write("zstd-tiles.tif", network, compression="zstd", predictor=True, tile=(32, 32), photometric="minisblack")
    write("big-zstd.tif", HU, compression="zstd", bigtiff=True, byteorder=">", photometric="minisblack")
    write("u32.tif", (HU.astype(np.int64) + 1024).astype(np.uint32), photometric="minisblack")
    write("i32.tif", HU.astype(np.int32), photometric="minisblack")
    write("pages.tif", np.stack([HU, HU - 100, HU - 200]), photometric="minisblack")


def hdf5():
    """Slices HU, HU - 100 and HU - 200, two to a chunk, beside a table; and a file of two stacks without units."""
    stack = np.stack([HU, HU - 100, HU - 200])
    with h5py.File(os.path.join(HERE, "codecs/volume.h5"), "w") as f:
        f["entry/angles"] = np.arange(3.0)
        data = f.create_dataset("entry/image", data=stack, chunks=(2, 32, 64), compression="gzip", shuffle=True)
        data.attrs["units"], data.attrs["pixel_mm"] = "HU", [0.8, 0.8]
    with h5py.File(os.path.join(HERE, "codecs/two.h5"), "w") as f:
        f["first"], f["second"] = HU[:32, :32], HU[None, :32, :32].astype(">f4") / 1000
        f["first"].attrs["unit"], f["second"].attrs["pixel_mm"] = "counts", [0.8, 1.6]


def units():
    """Files whose unit or size is said in words that are not understood, or by numbers that are none."""
    def path(name):
        return os.path.join(HERE, "units", name)

    small, mu = HU[::4, ::4].astype(np.float32), np.load(path("mu.ref.npy"))
    np.savez(path("07b_mu_cm.npz"), mu_cm=10 * mu[::4, ::4])
    np.savez(path("07e_upper_case_mu.npz"), Mu=10 * mu[::4, ::4])
    np.savez(path("07f_unit_unknown.npz"), image=small, unit="Hounsfield!")
    np.savez(path("17c_pixel_mm_0.npz"), hu=small, pixel_mm=0.0)
    np.save(path("18e_complex.npy"), small.astype(np.complex64))
    np.save(path("08b_truth_per_cm.npy"), 10 * mu.astype(np.float32))
    ds = copy.deepcopy(SLICE)
    ds[0x00280030] = RawDataElement(ds["PixelSpacing"].tag, "DS", 8, b"0,8\\0,8 ", 0, False, True)
    ds.save_as(path("17d_spacing_comma.dcm"), enforce_file_format=True)


dicom()
tiff()
hdf5()
units()
