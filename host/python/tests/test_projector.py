"""The projector: an exact pair, batches, any layout."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradus

FLAT = {"source_to_axis_mm": 90.0, "source_to_detector_mm": 140.0}


def geometries():
    """Odd and even sizes, offsets, few and many views, every beam and detector."""
    for height, width in [(13, 29), (32, 32), (31, 48)]:
        for views in [1, 7, 40]:
            yield gradus.Geometry.parallel((height, width), views, detector_offset_mm=0.7)
            yield gradus.Geometry.fan((height, width), views, **FLAT)
    angles = np.array([0.3, -1.2, 2.9, 0.31])
    yield gradus.Geometry.parallel((40, 24), angles, n_bins=21, bin_width_mm=2.5, pixel_mm=1.3)
    yield gradus.Geometry.fan((40, 24), angles, detector="curved", detector_offset_mm=-2.0, **FLAT)


@pytest.mark.parametrize("geometry", list(geometries()), ids=repr)
def test_the_adjoint_is_the_transpose(geometry):
    random = np.random.default_rng(1)
    projector = gradus.Projector(geometry)
    x = random.standard_normal(geometry.image_shape, dtype=np.float32)
    y = random.standard_normal(geometry.sinogram_shape, dtype=np.float32)
    ax, aty = projector.forward(x), projector.adjoint(y)
    left, right = np.vdot(ax.astype(float), y), np.vdot(x.astype(float), aty)
    assert abs(left - right) < 1e-6 * projector.norm() * np.linalg.norm(x) * np.linalg.norm(y)
    assert abs(left) > 0


def test_batches_and_layouts_give_the_same_bits():
    geometry = gradus.Geometry.parallel((20, 28), 9)
    projector = gradus.Projector(geometry)
    images = np.random.default_rng(2).random((2, 3, 20, 28), dtype=np.float32)
    sinograms = projector.forward(images)
    assert sinograms.shape == (2, 3, 9, geometry.sinogram_shape[1]) and sinograms.dtype == np.float32
    for index in np.ndindex(2, 3):
        assert_array_equal(sinograms[index], projector.forward(images[index]))
    assert_array_equal(sinograms, projector.forward(np.asfortranarray(images)))
    assert_array_equal(sinograms[0, 0], projector.forward(images[0, 0].astype(np.float64)))
    assert_array_equal(sinograms[0, 0], projector.forward(images[0, 0].tolist()))
    assert projector.forward(np.zeros((0, 20, 28))).shape == (0, *geometry.sinogram_shape)


def test_a_given_array_receives_the_result():
    projector = gradus.Projector(gradus.Geometry.parallel((20, 28), 9))
    images = np.random.default_rng(3).random((2, 20, 28), dtype=np.float32)
    sinograms = np.full((2, *projector.geometry.sinogram_shape), np.nan, np.float32)
    assert projector.forward(images, out=sinograms) is sinograms
    assert_array_equal(sinograms, projector.forward(images))
    for back in (projector.adjoint, projector.fbp):
        into = np.full_like(images, np.nan)
        assert back(sinograms, out=into) is into
        assert_array_equal(into, back(sinograms))
    # The second half of a larger array.
    larger = np.zeros((4, *projector.geometry.sinogram_shape), np.float32)
    projector.forward(images, out=larger[2:])
    assert_array_equal(larger[2:], sinograms)
    assert not larger[:2].any()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (np.zeros((20, 21), np.float32), r"out has shape \[20, 21\]; expected a row-major array of shape \[20, 20\]"),
        (np.zeros((20, 20), np.float32, order="F"), "not row by row"),
        (np.zeros((40, 20), np.float32)[::2], "not row by row"),
        (np.broadcast_to(np.float32(0), (20, 20)), "not row by row"),
    ],
)
def test_an_unfit_receiver_is_refused(out, words):
    projector = gradus.Projector(gradus.Geometry.parallel((20, 20), 20, n_bins=20))
    with pytest.raises(ValueError, match=words):
        projector.adjoint(np.ones((20, 20), np.float32), out=out)
    assert not out.any()


def test_a_receiver_is_not_what_is_read():
    projector = gradus.Projector(gradus.Geometry.parallel((20, 20), 20, n_bins=20))
    same = np.ones((20, 20), np.float32)
    with pytest.raises(ValueError, match="out cannot be written to"):
        projector.forward(same, out=same)
    same.flags.writeable = False
    with pytest.raises(ValueError, match="out cannot be written to"):
        projector.forward(np.ones((20, 20), np.float32), out=same)
    with pytest.raises(TypeError):
        projector.forward(same, out=np.zeros((20, 20)))


def test_threads_of_python_work_side_by_side():
    """Many on one projector, too: none may wait for itself."""
    projectors = [gradus.Projector(gradus.Geometry.parallel((60, 60), views)) for views in (3, 8, 40)]
    image = np.random.default_rng(4).random((60, 60), dtype=np.float32)
    expected = [projector.forward(image) for projector in projectors] * 200
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda projector: projector.forward(image), projectors * 200))
    for one, other in zip(expected, found, strict=True):
        assert_array_equal(one, other)


def test_a_disc_comes_back():
    rows, columns = np.mgrid[-63.5:64, -63.5:64]
    disc = np.where(np.hypot(rows, columns) < 40, 0.02, 0).astype(np.float32)
    projector = gradus.Projector(gradus.Geometry.parallel(disc.shape, 180))
    image = projector.fbp(projector.forward(disc))
    inside = np.hypot(rows, columns) < 30
    assert abs(image[inside].mean() / 0.02 - 1) < 0.01
    assert not np.array_equal(image, projector.fbp(projector.forward(disc), window="ramp"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p.forward(np.zeros((20, 21))), r"shape \[20, 21\]; expected \[20, 28\]"),
        (lambda p: p.adjoint(np.zeros(5)), r"the sinogram has shape \[5\]"),
        (lambda p: p.fbp(np.zeros(p.geometry.sinogram_shape), window="blackman"), "choose `ramp`"),
        (lambda p: gradus.Geometry.parallel((8, 8), np.arange(0.0, 180.0)), "look like degrees"),
        (lambda p: gradus.Geometry.parallel((0, 8), 4), "height"),
        (lambda p: gradus.Geometry.fan((8, 8), 4, **FLAT, detector="round"), '"flat" or "curved"'),
    ],
)
def test_mistakes_are_value_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call(gradus.Projector(gradus.Geometry.parallel((20, 28), 9)))
