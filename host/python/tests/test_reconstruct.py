"""Reconstruction: results, errors, progress, and the bits of the command line."""

import os
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import gradus


@pytest.fixture(scope="module")
def scan():
    rows, columns = np.mgrid[-31.5:32, -31.5:32]
    disc = np.where(np.hypot(rows, columns) < 24, 0.5, 0.0) + np.where(np.hypot(rows - 4, columns + 6) < 6, 0.3, 0.0)
    return gradus.simulate(disc, angles=30, noise=0.05, seed=7, prior="ellipses")


def error(result, scan):
    return np.linalg.norm(result.relative_image - scan.truth) / np.linalg.norm(scan.truth)


def test_the_prior_beats_filtered_backprojection(scan):
    learned, fbp = gradus.reconstruct(scan), gradus.reconstruct(scan, method="fbp")
    assert error(learned, scan) < 0.5 * error(fbp, scan)
    assert learned.image.shape == (64, 64) and learned.iterations > 0
    np.testing.assert_allclose(
        learned.image, learned.relative_image * learned.attenuation_per_unit_per_mm, rtol=1e-6
    )
    assert len(learned.trace["t"]) == len(learned.trace["outcome"]) == learned.iterations
    assert np.all(np.diff(learned.trace["t"]) < 0)
    assert learned.certificate["every_step_descended"] and fbp.certificate is None
    assert learned._repr_png_().startswith(b"\x89PNG")


def test_results_are_held_against_their_data(scan):
    good = gradus.reconstruct(scan)
    assert 0.5 < good.chi_squared < 2 and good.warnings == []
    assert np.isclose(np.mean(good.residual.astype(float) ** 2), good.chi_squared, rtol=1e-3)
    turned = gradus.Geometry.parallel((64, 64), scan.geometry.angles_rad[::-1])
    stated = {"noise_std": scan.noise_std, "attenuation_per_unit_per_mm": scan.attenuation_per_unit_per_mm}
    wrong = gradus.reconstruct(scan.sinogram * np.linspace(0.5, 1.5, 30)[:, None], turned, prior="ellipses", **stated)
    assert wrong.chi_squared > 2 and any("chi squared" in warning for warning in wrong.warnings)


def test_averages_leave_a_deviation(scan):
    result = gradus.reconstruct(scan, average=2, seed=5)
    assert result.deviation.shape == result.image.shape and result.deviation.max() > 0


def test_one_run_has_no_intervals(scan):
    assert gradus.reconstruct(scan, prior="ct", steps=2).interval is None


def test_arrays_and_scans_are_the_same(scan):
    stated = {"noise_std": scan.noise_std, "attenuation_per_unit_per_mm": scan.attenuation_per_unit_per_mm}
    result = gradus.reconstruct(scan.sinogram, scan.geometry, method="tv", **stated)
    assert_array_equal(result.image, gradus.reconstruct(scan, method="tv").image)


@pytest.mark.skipif(not os.environ.get("GRADUS"), reason="GRADUS does not name the program")
def test_the_command_line_gives_the_same_bits(scan, tmp_path):
    scan.write(tmp_path / "scan.npz")
    out = tmp_path / "run"
    subprocess.run(
        [os.environ["GRADUS"], "reconstruct", tmp_path / "scan.npz", "--seed", "3", "--quiet", "-o", out], check=True
    )
    assert_array_equal(np.load(out / "image.npy"), gradus.reconstruct(scan, seed=3).image)
    again = gradus.read_scan(tmp_path / "scan.npz")
    assert_array_equal(again.sinogram, scan.sinogram)
    assert again.geometry == scan.geometry
    shutil.rmtree(out)


def test_progress_is_told_and_may_end_a_run(scan):
    seen = []
    gradus.reconstruct(scan, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1)) and seen[-1][1] >= len(seen)

    def stop(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        gradus.reconstruct(scan, progress=stop)


def test_control_c_ends_a_run(scan):
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        gradus.reconstruct(scan, method="gradient-like", steps=100_000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "magic"}, "magic"),
        ({"method": "tv", "solve_steps": 3}, "does not read `solve_steps`"),
        ({"method": "tv", "prior": "ct"}, "has no prior"),
        ({"sed": 3}, "there is no field `sed`"),
        ({"prior": "elipses"}, "one of: ellipses, ct"),
        ({"device": "gpu"}, "gpu"),
        ({"geometry": gradus.Geometry.parallel((64, 64), 30)}, "scan's own"),
    ],
)
def test_mistakes_are_value_errors(scan, arguments, words):
    with pytest.raises(ValueError, match=words):
        gradus.reconstruct(scan, **arguments)


def test_what_no_scan_is_made_of():
    geometry = gradus.Geometry.parallel((16, 16), 8)
    with pytest.raises(ValueError, match="geometry is needed"):
        gradus.reconstruct(np.zeros((8, 20)))
    with pytest.raises(ValueError, match=r"expected \[8, "):
        gradus.Scan(np.zeros((7, 20)), geometry)
    with pytest.raises(ValueError, match="NaN"):
        gradus.Scan(np.full(geometry.sinogram_shape, np.nan), geometry)
    with pytest.raises(FileNotFoundError):
        gradus.read_scan("nowhere.npz")


def test_the_prior_denoises_and_its_score_is_the_slope_of_its_energy():
    prior = gradus.Prior("ellipses")
    assert prior.suits == "images from 0 to 1"
    random = np.random.default_rng(3)
    clean = np.zeros((2, 32, 32), np.float32)
    clean[:, 8:24, 8:24] = 0.5
    mean_scale, std = prior.perturbation_kernel(0.05)
    noisy = mean_scale * clean + std * random.standard_normal(clean.shape, dtype=np.float32)
    assert np.linalg.norm(prior.denoise(noisy, 0.05) - clean) < 0.5 * np.linalg.norm(noisy / mean_scale - clean)
    direction = random.standard_normal((32, 32), dtype=np.float32)
    step = 1e-2
    up, down = (prior.energy(noisy[0] + s * direction, 0.05) for s in (step, -step))
    slope = (up - down) / (2 * step)
    expected = -np.vdot(prior.score(noisy[0], 0.05), direction)
    assert abs(slope[0] - expected) < 1e-2 * np.linalg.norm(prior.score(noisy[0], 0.05)) * np.linalg.norm(direction)
    with pytest.raises(ValueError, match="above 0"):
        prior.denoise(noisy, 0.0)


def test_the_derivative_of_the_denoiser_is_that_of_its_differences():
    prior = gradus.Prior("ellipses")
    random = np.random.default_rng(4)
    images = random.random((3, 21, 18), dtype=np.float32)
    vectors = random.standard_normal(images.shape, dtype=np.float32)
    levels = [0.02, 0.2, 0.6]
    products, step = prior.denoise_vjp(images, levels, vectors), 1e-2
    up, down = (prior.denoise(images + s * vectors, levels) for s in (step, -step))
    differences = (up - down) / (2 * step)
    assert np.all(np.linalg.norm(products - differences, axis=(1, 2)) < 1e-2 * np.linalg.norm(products, axis=(1, 2)))
    assert_array_equal(products[1], prior.denoise_vjp(images[1], 0.2, vectors[1]))
    for call, words in [
        (lambda: prior.denoise_vjp(images, 0.1, vectors[0]), r"vectors have shape \[21, 18\]"),
        (lambda: prior.denoise(images, [0.1, 0.2]), "2 levels for 3 images"),
        (lambda: prior.energy(images, [0.1, 0.2, 1.2]), "t is 1.2"),
        (lambda: prior.score(np.zeros(7), 0.1), r"expected \[..., rows, columns\]"),
        (lambda: prior.score(np.zeros((0, 5)), 0.1), "0"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def test_threads_may_share_a_prior():
    prior = gradus.Prior("ellipses")
    images = np.random.default_rng(5).random((6, 24, 24), dtype=np.float32)
    alone = [prior.score(image, 0.1) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: prior.score(image[:24, :20], 0.1), images))
        together = list(pool.map(lambda image: prior.score(image, 0.1), images))
    assert_array_equal(together, alone)
