//! The slices of a series that are meant.
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

/// All slices of a series, or those from one number to before another, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SliceRange {
    /// All.
    All,
    /// From the first number to before the second.
    Part(usize, usize),
}

/// A range that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// No range.
    #[error("`{0}` names no slices; give all, or A:B for those from A to before B, such as 10:20")]
    Unknown(String),
    /// Beyond the series.
    #[error("slices {range} are asked for, and the series has {length}{}", last(*length))]
    Beyond {
        /// The slices that were asked for.
        range: SliceRange,
        /// Slices of the series.
        length: usize,
    },
}

/// `, from 0 to 2`, where there are slices.
fn last(length: usize) -> String {
    length.checked_sub(1).map_or_else(String::new, |last| format!(", from 0 to {last}"))
}

impl SliceRange {
    /// The numbers of the slices, of a series of at least one.
    ///
    /// # Errors
    /// [`RangeError::Beyond`].
    pub fn within(self, length: usize) -> Result<Range<usize>, RangeError> {
        match self {
            Self::All => Ok(0..length),
            Self::Part(from, to) if to <= length => Ok(from..to),
            Self::Part(..) => Err(RangeError::Beyond { range: self, length }),
        }
    }
}

impl FromStr for SliceRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text == "all" {
            return Ok(Self::All);
        }
        let ends = text.split_once(':').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let part = ends.filter(|(from, to)| from < to).map(|(from, to)| Self::Part(from, to));
        part.ok_or_else(|| RangeError::Unknown(text.to_owned()))
    }
}

impl TryFrom<String> for SliceRange {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<SliceRange> for String {
    fn from(range: SliceRange) -> Self {
        range.to_string()
    }
}

impl Display for SliceRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Part(from, to) => write!(f, "{from}:{to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_back_and_stay_within() {
        for text in ["all", "0:1", "10:20"] {
            assert_eq!(text.parse::<SliceRange>().unwrap().to_string(), text);
        }
        for nonsense in ["", "3", "3:3", "4:3", ":", "a:b", "-1:2", "0:1:2"] {
            assert!(nonsense.parse::<SliceRange>().unwrap_err().to_string().contains("all, or A:B"), "{nonsense}");
        }
        assert_eq!(SliceRange::All.within(3), Ok(0..3));
        assert_eq!(SliceRange::Part(1, 3).within(3), Ok(1..3));
        let beyond = SliceRange::Part(1, 4).within(3).unwrap_err().to_string();
        assert!(beyond.contains("1:4") && beyond.contains("from 0 to 2"), "{beyond}");
    }
}
