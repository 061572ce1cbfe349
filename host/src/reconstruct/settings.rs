//! Methods by name, and a method with its settings.

use super::method_settings::{
    FbpSettings, FlowSettings, GradientDescentSettings, GradientLikeSettings, GraduatedSettings, SolvedSettings,
    TvSettings,
};
use super::sampler_settings::{DdsSettings, DiffPirSettings};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to reconstruct.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Algorithm 2 along directions for which the data term is solved, after an untested approach.
    #[default]
    #[serde(rename = "preconditioned")]
    Solved,
    /// Algorithm 2: graduated, and every step certified to descend.
    GradientLike,
    /// Algorithm 1: the graduated non-convexity flow.
    Flow,
    /// Gradient descent on the objective itself, with the same line search.
    GradientDescent,
    /// Decomposed diffusion sampling, a rival with the same prior.
    Dds,
    /// Plug-and-play restoration with a diffusion model, another.
    #[serde(rename = "diffpir")]
    DiffPir,
    /// Filtered backprojection.
    Fbp,
    /// Total variation by a primal-dual method.
    Tv,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Solved,
        Self::GradientLike,
        Self::Flow,
        Self::GradientDescent,
        Self::Dds,
        Self::DiffPir,
        Self::Fbp,
        Self::Tv,
    ];

    /// The name that files give it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Solved => "preconditioned",
            Self::GradientLike => "gradient-like",
            Self::Flow => "flow",
            Self::GradientDescent => "gradient-descent",
            Self::Dds => "dds",
            Self::DiffPir => "diffpir",
            Self::Fbp => "fbp",
            Self::Tv => "tv",
        }
    }

    /// Its row in a help.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Solved => {
                "Algorithm 2 along directions for which the data term is solved: the first of its few steps choose \
                 where the descent starts, the last ones are certified to descend"
            }
            Self::GradientLike => "Algorithm 2: every step certified to descend",
            Self::Flow => "Algorithm 1: the graduated non-convexity flow",
            Self::GradientDescent => "gradient descent on the objective itself, with the same line search",
            Self::Dds => "decomposed diffusion sampling, a rival with the same prior",
            Self::DiffPir => "plug-and-play restoration between noise levels, a rival with the same prior",
            Self::Fbp => "filtered backprojection",
            Self::Tv => "total variation by a primal-dual method",
        }
    }

    /// True if it needs a prior.
    #[must_use]
    pub fn is_learned(self) -> bool {
        !matches!(self, Self::Fbp | Self::Tv)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A method with its settings, in files one table with the field `method`; of a field that is not there the default is
/// taken, and one that the method does not read is refused. Lengths of steps are in network units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", try_from = "toml::Table")]
pub enum Settings {
    /// [`Method::Solved`].
    #[serde(rename = "preconditioned")]
    Solved(SolvedSettings),
    /// [`Method::GradientLike`].
    GradientLike(GradientLikeSettings),
    /// [`Method::Flow`].
    Flow(FlowSettings),
    /// [`Method::GradientDescent`].
    GradientDescent(GradientDescentSettings),
    /// [`Method::Dds`].
    Dds(DdsSettings),
    /// [`Method::DiffPir`].
    #[serde(rename = "diffpir")]
    DiffPir(DiffPirSettings),
    /// [`Method::Fbp`].
    Fbp(FbpSettings),
    /// [`Method::Tv`].
    Tv(TvSettings),
}

impl Settings {
    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Solved(_) => Method::Solved,
            Self::GradientLike(_) => Method::GradientLike,
            Self::Flow(_) => Method::Flow,
            Self::GradientDescent(_) => Method::GradientDescent,
            Self::Dds(_) => Method::Dds,
            Self::DiffPir(_) => Method::DiffPir,
            Self::Fbp(_) => Method::Fbp,
            Self::Tv(_) => Method::Tv,
        }
    }

    /// The settings that the methods that step along gradients share.
    #[must_use]
    pub fn graduated_mut(&mut self) -> Option<&mut GraduatedSettings> {
        match self {
            Self::GradientLike(own) => Some(&mut own.graduated),
            Self::Flow(own) => Some(&mut own.graduated),
            Self::GradientDescent(own) => Some(&mut own.graduated),
            Self::Solved(_) | Self::Dds(_) | Self::DiffPir(_) | Self::Fbp(_) | Self::Tv(_) => None,
        }
    }

    /// The last smoothing level, at which the objective is defined, of methods that have levels.
    #[must_use]
    pub fn t_min(&self) -> Option<f64> {
        match self {
            Self::Solved(own) => Some(own.t_min),
            Self::Dds(own) => Some(own.t_min),
            Self::DiffPir(own) => Some(own.t_min),
            other => other.clone().graduated_mut().map(|graduated| graduated.t_min),
        }
    }

    /// The seed of the starting noise, where there is any.
    #[must_use]
    pub fn seed_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Solved(own) => Some(&mut own.seed),
            Self::Dds(own) => Some(&mut own.seed),
            Self::DiffPir(own) => Some(&mut own.seed),
            other => other.graduated_mut().map(|graduated| &mut graduated.seed),
        }
    }

    /// The number of runs of which the result is the mean, of methods that can take one.
    #[must_use]
    pub fn average_mut(&mut self) -> Option<&mut u32> {
        match self {
            Self::Solved(own) => Some(&mut own.average),
            Self::Dds(own) => Some(&mut own.average),
            Self::DiffPir(own) => Some(&mut own.average),
            Self::GradientLike(_) | Self::Flow(_) | Self::GradientDescent(_) | Self::Fbp(_) | Self::Tv(_) => None,
        }
    }

    /// Sets that seed.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed_mut().into_iter().for_each(|own| *own = seed);
    }
}

/// The defaults of a method.
impl From<Method> for Settings {
    fn from(method: Method) -> Self {
        match method {
            Method::Solved => Self::Solved(SolvedSettings::default()),
            Method::GradientLike => Self::GradientLike(GradientLikeSettings::default()),
            Method::Flow => Self::Flow(FlowSettings::default()),
            Method::GradientDescent => Self::GradientDescent(GradientDescentSettings::default()),
            Method::Dds => Self::Dds(DdsSettings::default()),
            Method::DiffPir => Self::DiffPir(DiffPirSettings::default()),
            Method::Fbp => Self::Fbp(FbpSettings::default()),
            Method::Tv => Self::Tv(TvSettings::default()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Method::default().into()
    }
}
