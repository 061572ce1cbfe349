//! The page of a run.

use super::finished::Finished;
use super::{certificate, fit};
use gradus::image::{GreyWindow, Image};
use gradus::reconstruct::{Method, NoiseSource};
use gradus::report::{Picture, Report, Section, Status};

/// The page of a run, with the file that repeats it.
pub fn report(finished: &Finished, window: GreyWindow, toml: String) -> Report {
    let method = finished.run.reconstruction.method();
    let quality = finished.quality(&finished.result.image);
    let mut highlights = Vec::new();
    if let Some(quality) = quality {
        highlights.push(("PSNR".to_owned(), format!("{:.2} dB", quality.psnr)));
        highlights.push(("SSIM".to_owned(), format!("{:.3}", quality.ssim)));
        highlights.push(("Data range of both".to_owned(), quality.range_in(finished.unit)));
    }
    highlights.push(("Chi squared a ray".to_owned(), fit::chi_squared(finished)));
    highlights.push(("Iterations".to_owned(), finished.result.iterations.to_string()));
    highlights.push(("Seconds".to_owned(), format!("{:.1}", finished.seconds)));
    Report {
        title: format!("{} by {method}", finished.run.input),
        method: method.to_string(),
        status: Status { text: finished.status(), reached_goal: finished.reached_goal() },
        highlights,
        warnings: finished.problem.scan.warnings.iter().cloned().chain(finished.own_warnings()).collect(),
        pictures: pictures(finished, window).into_iter().chain(fit::picture(finished)).collect(),
        curves: finished.result.course(&finished.psnrs),
        settings: vec![
            scan_section(finished),
            method_section(finished),
            section("Certificate", &certificate::rows(finished.result.certificate.as_ref())),
        ],
        toml,
        versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..Report::default()
    }
}

/// Truth, results and differences.
pub fn pictures(finished: &Finished, window: GreyWindow) -> Vec<Picture> {
    let truth = finished.problem.scan.truth.as_ref();
    let ends = finished.unit.express(&Image { height: 1, width: 2, pixels: vec![window.lo, window.hi] });
    let show = |caption: &str, image: &Image| {
        let shown = finished.unit.express(image);
        let picture = Picture::new(caption, shown, GreyWindow::of(&ends));
        // Figures of merit are those of network units, whatever unit is shown.
        let quality = finished.quality(image).filter(|_| caption != TRUTH);
        Picture {
            unit: finished.unit.name().to_owned(),
            psnr_db: quality.map(|quality| quality.psnr),
            ssim: quality.map(|quality| quality.ssim),
            ..picture
        }
    };
    let mut pictures: Vec<Picture> = truth.iter().map(|truth| show(TRUTH, truth)).collect();
    if finished.run.reconstruction.method() != Method::Fbp {
        pictures.push(show("Filtered backprojection", &finished.fbp));
    }
    pictures.push(show(&finished.run.reconstruction.method().to_string(), &finished.result.image));
    pictures.extend(truth.and_then(|truth| Picture::error_of(&finished.result.image, truth)));
    pictures.extend(finished.result.deviation.as_ref().map(|deviation| {
        let shown = finished.unit.express_difference(deviation);
        let window = GreyWindow::of(&shown);
        let picture = Picture::new("Deviation between runs", shown, window);
        Picture { unit: finished.unit.name().to_owned(), ..picture }
    }));
    pictures
}

const TRUTH: &str = "Truth";

fn section(title: &str, rows: &[(&str, String)]) -> Section {
    let rows = rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Section { title: title.to_owned(), rows }
}

fn scan_section(finished: &Finished) -> Section {
    let (g, scan, m) = (&finished.problem.scan.geometry, &finished.problem.scan, &finished.measurement);
    let source = match m.noise_source {
        NoiseSource::Scan => "from the scan",
        NoiseSource::Photons => "from the photon counts",
        NoiseSource::Estimated => "estimated from the sinogram",
    };
    section(
        "Scan",
        &[
            ("Origin", if finished.problem.simulated { "simulated here".into() } else { finished.run.input.clone() }),
            ("Beam", g.beam.to_string()),
            ("Views", g.angles_rad.len().to_string()),
            ("Detector", format!("{} bins of {:.4} mm, offset {} mm", g.n_bins, g.bin_width_mm, g.detector_offset_mm)),
            ("Image", format!("{} x {} pixels of {} mm", g.height, g.width, g.pixel_mm)),
            ("Photons a bin", scan.photons.map_or_else(|| "not given".into(), |photons| photons.to_string())),
            (
                "Noise of a line integral",
                format!("{:.4e} ({source})", m.noise_std * m.attenuation_per_unit * g.pixel_mm),
            ),
            ("Network unit 1", format!("{:.6} 1/mm", m.attenuation_per_unit)),
        ],
    )
}

fn method_section(finished: &Finished) -> Section {
    let (result, c) = (&finished.result, finished.result.counters);
    let optional = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| format!("{value:.6}"));
    section(
        "Method",
        &[
            ("Weight of the prior", optional(result.weight)),
            ("Objective", optional(result.objective)),
            ("Network forward passes", c.network_forwards.to_string()),
            ("Network products", c.network_vjps.to_string()),
            ("Projections and adjoints", c.projections.to_string()),
            ("Device", format!("{}, {} precision", result.device, result.precision)),
            ("Threads", rayon::current_num_threads().to_string()),
        ],
    )
}
