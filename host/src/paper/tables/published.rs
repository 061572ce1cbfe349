//! The two tables, and what the paper has in them.

use crate::reconstruct::Method;

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
    /// The subject of the comparison.
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
            (Method::Solved.name(), None, None),
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
            (Method::Solved.name(), None, None),
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
    use super::super::contender;
    use super::*;

    #[test]
    fn every_row_has_its_contender() {
        for (key, _, _) in TABLES.iter().flat_map(|table| table.rows) {
            assert!(contender(key).is_some(), "{key}");
        }
    }
}
