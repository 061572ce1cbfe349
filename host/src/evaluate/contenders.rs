//! The methods that are compared, the two tables, and what the paper has in them.

use crate::reconstruct::{Method, Settings};

/// A method with its settings.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Short name, as in files.
    pub key: &'static str,
    /// Name in tables.
    pub title: &'static str,
    /// Whether it starts from noise, so that the start matters.
    pub has_starts: bool,
    /// What it makes of the settings of the evaluation; the second is the norm of the projector.
    settings: fn(Settings, f64) -> Settings,
}

impl Contender {
    /// Whether it has a learned prior.
    #[must_use]
    pub fn is_learned(&self) -> bool {
        self.settings(&Settings::default(), 1.0).method.is_learned()
    }

    /// The settings of a reconstruction, given those of the evaluation and the norm `|A|` of the projector.
    #[must_use]
    pub fn settings(&self, base: &Settings, projector_norm: f64) -> Settings {
        (self.settings)(base.clone(), projector_norm)
    }
}

/// The constant step of the flow, times `|A|^2`. Swept on `ellipses:101`, 1200 iterations: 0.2 gives 14.05 dB, 0.75 gives
/// 28.36 dB, 2.2 gives 29.40 dB, and 3.7 diverges at the first levels.
const CONSTANT_STEP: f64 = 2.0;
/// Iterations of the flow with a constant step over those with a line search, as in the paper: 1200 to 300.
const CONSTANT_STEP_ITERATIONS: u32 = 4;

fn with_method(method: Method) -> impl Fn(Settings) -> Settings {
    move |base| Settings { method, ..base }
}

/// All methods.
pub const CONTENDERS: [Contender; 7] = [
    Contender {
        key: "gradient-descent",
        title: "gradient descent on f",
        has_starts: true,
        settings: |base, _| with_method(Method::GradientDescent)(base),
    },
    Contender {
        key: "flow",
        title: "Algorithm 1, line search",
        has_starts: true,
        settings: |base, _| with_method(Method::Flow)(base),
    },
    Contender {
        key: "flow-constant",
        title: "Algorithm 1, constant step",
        has_starts: true,
        settings: |base, norm| Settings {
            method: Method::Flow,
            steps: base.steps * CONSTANT_STEP_ITERATIONS,
            constant_step: Some(CONSTANT_STEP / (norm * norm)),
            // The paper's weights: a constant step has to suit the largest, too.
            early_weight: 0.0,
            ..base
        },
    },
    Contender {
        key: "gradient-like",
        title: "Algorithm 2, gradient-like",
        has_starts: true,
        settings: |base, _| with_method(Method::GradientLike)(base),
    },
    Contender {
        key: "preconditioned",
        title: "preconditioned gradient-like",
        has_starts: true,
        // Its weight is the variance of the noise, as in the posterior density.
        settings: |base, _| Settings { method: Method::Preconditioned, alpha: None, ..base },
    },
    Contender {
        key: "tv",
        title: "total variation",
        has_starts: false,
        settings: |base, _| with_method(Method::Tv)(base),
    },
    Contender {
        key: "fbp",
        title: "filtered backprojection",
        has_starts: false,
        settings: |base, _| with_method(Method::Fbp)(base),
    },
];

/// The contender with this key.
#[must_use]
pub fn contender(key: &str) -> Option<&'static Contender> {
    CONTENDERS.iter().find(|contender| contender.key == key)
}

/// Numbers of the paper: means, and means of the standard deviations over starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// PSNR in dB.
    pub psnr_db: f64,
    /// Its deviation over starts.
    pub psnr_std: Option<f64>,
    /// SSIM.
    pub ssim: f64,
    /// Its deviation over starts.
    pub ssim_std: Option<f64>,
}

const fn over_starts(psnr_db: f64, psnr_std: f64, ssim: f64, ssim_std: f64) -> Option<Published> {
    Some(Published { psnr_db, psnr_std: Some(psnr_std), ssim, ssim_std: Some(ssim_std) })
}

const fn means(psnr_db: f64, ssim: f64) -> Option<Published> {
    Some(Published { psnr_db, psnr_std: None, ssim, ssim_std: None })
}

/// A row of a table: the contender's key, and the paper's numbers on ELLIPSES and on AAPM.
type RowKind = (&'static str, Option<Published>, Option<Published>);

/// A table of the paper.
#[derive(Debug, Clone, Copy)]
pub struct TableKind {
    /// 1 or 2.
    pub number: u8,
    /// What it compares.
    pub title: &'static str,
    /// Images of the paper's table.
    pub images: usize,
    /// Starts a method that has starts.
    pub starts: usize,
    /// Its rows.
    pub rows: &'static [RowKind],
}

/// The tables.
pub const TABLES: [TableKind; 2] = [
    TableKind {
        number: 1,
        title: "Table 1: robustness to the start",
        images: 10,
        starts: 10,
        rows: &[
            ("gradient-descent", over_starts(28.96, 0.43, 0.771, 0.019), over_starts(35.89, 0.032, 0.899, 0.032)),
            ("flow", over_starts(32.93, 0.10, 0.933, 0.001), over_starts(37.33, 0.028, 0.913, 0.0004)),
            ("gradient-like", None, None),
            ("preconditioned", None, None),
            ("tv", None, None),
            ("fbp", None, None),
        ],
    },
    TableKind {
        number: 2,
        title: "Table 2: constant against adaptive steps",
        images: 100,
        starts: 1,
        rows: &[
            ("flow-constant", means(30.82, 0.742), means(32.93, 0.748)),
            ("flow", means(33.21, 0.935), means(37.08, 0.896)),
            ("gradient-like", None, None),
            ("preconditioned", None, None),
            ("tv", None, None),
            ("fbp", None, None),
        ],
    },
];

/// The table with this number.
#[must_use]
pub fn table(number: u8) -> Option<&'static TableKind> {
    TABLES.iter().find(|table| table.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_contender_and_the_constant_step_is_compared_at_four_times_the_iterations() {
        for (key, _, _) in TABLES.iter().flat_map(|table| table.rows) {
            assert!(contender(key).is_some(), "{key}");
        }
        let base = Settings::default();
        let constant = contender("flow-constant").unwrap().settings(&base, 10.0);
        assert_eq!((constant.steps, constant.constant_step), (1200, Some(CONSTANT_STEP / 100.0)));
        let adaptive = contender("flow").unwrap().settings(&base, 10.0);
        assert_eq!((adaptive.steps, adaptive.constant_step), (300, None));
    }
}
