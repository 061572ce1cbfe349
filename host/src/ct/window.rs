//! Windows that tame the ramp filter.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// A window that tames the ramp filter's high frequencies; f is in cycles per bin, at most 1/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// 1: sharpest, noisiest.
    #[default]
    Ramp,
    /// sin(pi f) / (pi f): 0.64 at the highest frequency.
    SheppLogan,
    /// (1 + cos(2 pi f)) / 2: 0 at the highest frequency, smoothest.
    Hann,
}

impl Window {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Ramp, "ramp"), (Self::SheppLogan, "shepp-logan"), (Self::Hann, "hann")];

    /// The factor on the frequency f.
    pub(super) fn gain(self, f: f64) -> f64 {
        match self {
            Self::Ramp => 1.0,
            Self::SheppLogan if f == 0.0 => 1.0,
            Self::SheppLogan => (PI * f).sin() / (PI * f),
            Self::Hann => 0.5 + 0.5 * (2.0 * PI * f).cos(),
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(Self::ALL.iter().find(|(window, _)| window == self).map_or("", |(_, name)| name))
    }
}

/// A name that is no window's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a filter window; choose `ramp`, `shepp-logan` or `hann`")]
pub struct UnknownWindow(pub String);

impl std::str::FromStr for Window {
    type Err = UnknownWindow;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|&(window, _)| window).ok_or_else(|| UnknownWindow(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_names() {
        for (window, name) in Window::ALL {
            assert_eq!((name.parse(), window.to_string()), (Ok(window), name.to_owned()));
            assert_eq!(serde_json::to_string(&window).unwrap(), format!("\"{name}\""));
        }
        assert!("cosine".parse::<Window>().unwrap_err().to_string().contains("`cosine`"));
    }
}
