//! Likely causes of a misfit in words, each with its remedy as a command.

use gradus::trust::Cause;

/// The names that the words need.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The scan as it was given.
    pub input: &'a str,
    /// Side of a pixel: the geometry of a cause counts in these.
    pub pixel_mm: f64,
    /// The number in the scan of each view of the measurement.
    pub views: &'a [usize],
}

/// A warning for each cause, in their order; views are named together.
pub fn warnings(causes: &[Cause], names: Names<'_>) -> Vec<String> {
    let is_view = |cause: &Cause| matches!(cause, Cause::View { .. });
    let first = causes.iter().position(is_view);
    let named = causes.iter().enumerate().filter(|(at, cause)| !is_view(cause) || Some(*at) == first);
    named.map(|(_, cause)| if is_view(cause) { of_views(causes, names) } else { one(cause, names) }).collect()
}

fn one(cause: &Cause, names: Names<'_>) -> String {
    let command = |flags: &str| format!("gradus reconstruct {} {flags}", names.input);
    match cause {
        Cause::Axis { bins, offset } => {
            let offset_mm = offset * names.pixel_mm;
            let flags = format!("--detector-offset-mm {offset_mm:.4}");
            format!("the rotation axis is off by about {:.1} bins: {}", bins.abs(), command(&flags))
        }
        Cause::View { .. } => String::new(),
        Cause::Reversed => {
            format!("the angles run the other way, or the bins do: {}", command("--reverse-angles"))
        }
        Cause::Distances(factor) => format!(
            "source_to_axis_mm and source_to_detector_mm explain the data far better times {factor}: mend their unit \
             in {}",
            names.input
        ),
        Cause::Transposed => {
            format!("the sinogram has rows and columns exchanged: transpose it in {}, one row a view", names.input)
        }
        Cause::Logarithm => {
            format!("these are transmissions, not line integrals: take -ln of them in {}", names.input)
        }
        Cause::Noise(ratio) => {
            let flags = format!("--noise-times {ratio:.2}");
            format!("the noise is about {ratio:.1} times what is stated: {}", command(&flags))
        }
    }
}

fn of_views(causes: &[Cause], names: Names<'_>) -> String {
    let turned: Vec<(usize, f64)> = causes
        .iter()
        .filter_map(|cause| match cause {
            Cause::View { view, angle_rad } => Some((names.views.get(*view).copied()?, angle_rad.to_degrees())),
            _ => None,
        })
        .collect();
    let each: Vec<String> =
        turned.iter().map(|(view, degrees)| format!("view {view} to {degrees:.0} degrees")).collect();
    let numbers: Vec<String> = turned.iter().map(|(view, _)| view.to_string()).collect();
    format!(
        "views that fit to other angles than theirs: {}. Mend angles_rad, or leave them out: gradus reconstruct {} \
         --without-views {}",
        each.join(", "),
        names.input,
        numbers.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_remedy() {
        let view = |view, degrees: f64| Cause::View { view, angle_rad: degrees.to_radians() };
        let causes = [view(3, 40.0), Cause::Axis { bins: -3.0, offset: -4.5 }, view(1, 20.0), Cause::Noise(3.0)];
        let names = Names { input: "s.npz", pixel_mm: 2.0, views: &[0, 2, 4, 6] };
        let said = warnings(&causes, names);
        assert_eq!(said.len(), 3);
        assert!(said[0].contains("view 6 to 40 degrees, view 2 to 20") && said[0].ends_with("--without-views 6,2"));
        assert!(said[1].contains("3.0 bins") && said[1].ends_with("reconstruct s.npz --detector-offset-mm -9.0000"));
        assert!(said[2].ends_with("--noise-times 3.00"), "{}", said[2]);
        for cause in [Cause::Reversed, Cause::Distances(10.0), Cause::Transposed, Cause::Logarithm] {
            assert!(one(&cause, names).contains("s.npz"));
        }
    }
}
