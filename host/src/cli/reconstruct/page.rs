//! The page of a run.

use super::finished::{Finished, Merits, Quality};
use super::{findings, fit, parts, statements};
use gradus::image::{GreyWindow, Image};
use gradus::reconstruct::{Method, NoiseSource};
use gradus::report::{Picture, Report, Section, Status};

/// The page of a run, with the file that repeats it.
pub fn report(finished: &Finished, quality: Option<Quality>, pictures: Vec<Picture>, toml: String) -> Report {
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
        title: finished.run.input.clone(),
        method: method_in_words(finished),
        status: Status { text: findings::status(finished), reached_goal: finished.reached_goal() },
        highlights,
        warnings: finished.problem.scan.warnings.iter().cloned().chain(finished.own_warnings()).collect(),
        findings: findings::of(finished),
        pictures: pictures.into_iter().chain(fit::picture(finished)).collect(),
        curves: finished.result.course(&finished.psnrs),
        settings: vec![scan_section(finished), method_section(finished)],
        toml,
        versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..Report::default()
    }
}

/// The method, its prior and what it had to go on.
fn method_in_words(finished: &Finished) -> String {
    let method = finished.run.reconstruction.method();
    let prior = finished.run.prior.as_ref().filter(|_| method.is_learned());
    let prior = prior.map_or_else(String::new, |prior| format!(" with the prior {prior}"));
    let views = finished.problem.scan.geometry.angles_rad.len();
    format!("Reconstructed from {views} views by {method}{prior}: {}", method.summary())
}

/// Truth, results and differences, in the unit of the result.
pub fn pictures(finished: &Finished, merits: Merits, window: GreyWindow) -> Vec<Picture> {
    let (unit, pixel_mm) = (finished.unit, Some(finished.problem.scan.geometry.pixel_mm));
    let ends = unit.express(&Image { height: 1, width: 2, pixels: vec![window.lo, window.hi] });
    let placed = |picture: Picture| Picture { unit: unit.name().to_owned(), pixel_mm, ..picture.pooled() };
    let show = |caption: String, image: &Image, quality: Option<Quality>| {
        let picture = placed(Picture::new(caption, unit.express(image), GreyWindow::of(&ends)));
        // Figures of merit are those of network units, whatever unit is shown.
        let (psnr_db, ssim) = (quality.map(|quality| quality.psnr), quality.map(|quality| quality.ssim));
        Picture { psnr_db, ssim, ..picture }
    };
    let (truth, method) = (finished.problem.scan.truth.as_ref(), finished.run.reconstruction.method());
    let result = &finished.result.image;
    let mut pictures: Vec<Picture> = truth.iter().map(|truth| show("Truth".to_owned(), truth, None)).collect();
    if method != Method::Fbp {
        pictures.push(show("Filtered backprojection".to_owned(), &finished.fbp, merits.fbp));
    }
    pictures.push(show(format!("Result, {method}"), result, merits.result));
    let error = truth.and_then(|truth| Picture::error_of(&unit.express(result), &unit.express(truth)));
    pictures.extend(error.map(placed));
    pictures.extend(finished.result.deviation.as_ref().map(|deviation| {
        let shown = unit.express_difference(deviation);
        let window = GreyWindow::new(0.0, shown.range().1);
        placed(Picture::map("Deviation between runs", shown, window))
    }));
    pictures.extend(statements::picture(finished).map(placed));
    pictures.extend(parts::pictures(finished, GreyWindow::of(&ends)).into_iter().map(placed));
    pictures
}

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
