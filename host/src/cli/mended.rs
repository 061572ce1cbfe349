//! A scan with less views, and without the mistakes that a run says it has.

use crate::config::RunConfig;
use crate::ending::Failure;
use gradus::data::scan::Scan;
use miette::miette;

/// Puts right in a scan what a run says of its views and its noise; returns the numbers of the views that are left.
pub fn mend(run: &RunConfig, scan: &mut Scan) -> Result<Vec<usize>, Failure> {
    let (n_views, n_bins) = (scan.geometry.angles_rad.len(), scan.geometry.n_bins);
    if run.every_view == 0 {
        return Err(miette!("every_view is 0; give 1 for all views"));
    }
    if let Some(view) = run.without_views.iter().find(|view| **view >= n_views) {
        return Err(miette!("without_views names view {view}, and {} has views 0 to {}", run.input, n_views - 1));
    }
    let wanted = |view: &usize| !run.without_views.contains(view);
    let views: Vec<usize> = (0..n_views).filter(wanted).step_by(run.every_view).collect();
    if views.is_empty() {
        return Err(miette!("without_views names all views of {}; leave some", run.input));
    }
    scan.sinogram = views.iter().flat_map(|view| &scan.sinogram[view * n_bins..][..n_bins]).copied().collect();
    let turn = if run.reverse_angles { -1.0 } else { 1.0 };
    scan.geometry.angles_rad = views.iter().map(|view| turn * scan.geometry.angles_rad[*view]).collect();
    if let Some(times) = run.noise_times {
        if !(times.is_finite() && times > 0.0) {
            return Err(miette!("noise_times is {times}; give a positive number, such as 2 for twice the noise"));
        }
        scan.noise_std = scan.noise_std.map(|std| times * std);
        scan.photons = scan.photons.map(|photons| photons / (times * times));
    }
    Ok(views)
}
