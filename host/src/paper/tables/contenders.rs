//! The methods that are compared.

use super::{Dataset, EvaluateError};
use crate::ct::{Geometry, Projector};
use crate::reconstruct::{
    FbpSettings, FlowSettings, GradientDescentSettings, GradientLikeSettings, GraduatedSettings, Method,
    ReconstructError, Settings, SolvedSettings, Start, TvSettings,
};
use std::collections::BTreeMap;

/// Iterations of the estimate of `|A|`.
const NORM_ITERATIONS: usize = 100;
/// The constant step of the flow, times `|A|^2`. Swept on `ellipses:101`, 1200 iterations: 0.2 gives 14.05 dB, 0.75
/// gives 28.36 dB, 2.2 gives 29.40 dB, and 3.7 diverges at the first levels.
const CONSTANT_STEP: f64 = 2.0;
/// Iterations of the flow with a constant step over those with a line search, as in the paper: 1200 to 300.
const CONSTANT_STEP_ITERATIONS: u32 = 4;

/// The size of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Iterations of the methods with a line search.
    pub steps: u32,
    /// Iterations of total variation.
    pub tv_iterations: u32,
    /// `|A|`.
    pub projector_norm: f64,
}

impl Scale {
    /// The scale of comparisons on a data set, scanned from so many views.
    ///
    /// # Errors
    /// When the images cannot be scanned.
    pub fn of(dataset: &Dataset, views: usize, steps: u32, tv_iterations: u32) -> Result<Self, EvaluateError> {
        let image = dataset.swept_image(1);
        let geometry = Geometry::covering(image.height, image.width, views);
        let projector_norm = Projector::new(geometry).map_err(ReconstructError::from)?.norm(NORM_ITERATIONS);
        Ok(Self { steps, tv_iterations, projector_norm })
    }

    fn graduated(&self) -> GraduatedSettings {
        // The paper's start.
        GraduatedSettings { steps: self.steps, start: Start::Noise, ..GraduatedSettings::default() }
    }
}

/// A method with its settings.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Short name, as in files.
    pub key: &'static str,
    /// Name in tables.
    pub title: &'static str,
    /// It starts from noise, so that the start matters.
    pub has_starts: bool,
    settings: fn(&Scale) -> Settings,
}

/// All methods.
pub const CONTENDERS: [Contender; 7] = [
    Contender {
        key: "gradient-descent",
        title: "gradient descent on f",
        has_starts: true,
        settings: |scale| {
            let graduated = scale.graduated();
            Settings::GradientDescent(GradientDescentSettings { graduated, ..GradientDescentSettings::default() })
        },
    },
    Contender {
        key: "flow",
        title: "Algorithm 1, line search",
        has_starts: true,
        settings: |scale| Settings::Flow(FlowSettings { graduated: scale.graduated(), ..FlowSettings::default() }),
    },
    Contender {
        key: "flow-constant",
        title: "Algorithm 1, constant step",
        has_starts: true,
        settings: |scale| {
            let steps = scale.steps * CONSTANT_STEP_ITERATIONS;
            // The paper's weights: a constant step has to suit the largest, too.
            let graduated = GraduatedSettings { steps, early_weight: 0.0, ..scale.graduated() };
            let constant_step = Some(CONSTANT_STEP / (scale.projector_norm * scale.projector_norm));
            Settings::Flow(FlowSettings { graduated, constant_step, ..FlowSettings::default() })
        },
    },
    Contender {
        key: "gradient-like",
        title: "Algorithm 2, gradient-like",
        has_starts: true,
        settings: |scale| {
            let graduated = scale.graduated();
            Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() })
        },
    },
    Contender {
        key: Method::Solved.name(),
        title: Method::Solved.name(),
        has_starts: true,
        settings: |_| Settings::Solved(SolvedSettings::default()),
    },
    Contender {
        key: "tv",
        title: "total variation",
        has_starts: false,
        settings: |scale| Settings::Tv(TvSettings { tv_iterations: scale.tv_iterations, ..TvSettings::default() }),
    },
    Contender {
        key: "fbp",
        title: "filtered backprojection",
        has_starts: false,
        settings: |_| Settings::Fbp(FbpSettings::default()),
    },
];

/// The contender with this key.
#[must_use]
pub fn contender(key: &str) -> Option<&'static Contender> {
    CONTENDERS.iter().find(|contender| contender.key == key)
}

/// The settings of all contenders, by key.
#[must_use]
pub fn methods(scale: &Scale) -> BTreeMap<String, Settings> {
    CONTENDERS.iter().map(|contender| (contender.key.to_owned(), (contender.settings)(scale))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_step_is_compared_at_four_times_the_iterations() {
        let methods = methods(&Scale { steps: 300, tv_iterations: 5, projector_norm: 10.0 });
        let flow = |key: &str| match &methods[key] {
            Settings::Flow(flow) => (flow.graduated.steps, flow.constant_step),
            other => panic!("{other:?}"),
        };
        assert_eq!(flow("flow-constant"), (1200, Some(CONSTANT_STEP / 100.0)));
        assert_eq!(flow("flow"), (300, None));
    }
}
