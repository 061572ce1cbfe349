//! The record of a slice that is done, and the table of all.
use serde::{Deserialize, Serialize};

/// A slice that is done, or that cannot be made. Nothing in it depends on when, where or beside which others it was
/// made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the series.
    pub slice: usize,
    /// The end of its run, or why there is none.
    pub status: String,
    /// True if its run got to its end, and its picture belongs to the data.
    pub reached_goal: bool,
    /// True if there is no image of it.
    pub failed: bool,
    /// In dB, where the truth is known.
    pub psnr: Option<f64>,
    /// Structural similarity to the truth.
    pub ssim: Option<f64>,
    /// Euclidean distance from the truth over its norm.
    pub nrmse: Option<f64>,
    /// Of a ray: 1 where only the noise is left.
    pub chi_squared: Option<f64>,
    /// Iterations made.
    pub iterations: u64,
    /// Forward passes of the network.
    pub network_forwards: u64,
    /// Its products.
    pub network_vjps: u64,
    /// Projections and their adjoints.
    pub projections: u64,
    /// Along the normal of the slices, where their files say it.
    pub place_mm: Option<f64>,
    /// Findings that a reader must know.
    pub warnings: Vec<String>,
}

/// The records as a table for other programs.
#[must_use]
pub fn csv(records: &[Record]) -> String {
    let mut csv = String::from(
        "slice,status,psnr,ssim,nrmse,chi_squared,iterations,network_forwards,network_vjps,projections,place_mm,\
         warnings\n",
    );
    for record in records {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let text = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let cells = [
            record.slice.to_string(),
            text(&record.status),
            number(record.psnr),
            number(record.ssim),
            number(record.nrmse),
            number(record.chi_squared),
            record.iterations.to_string(),
            record.network_forwards.to_string(),
            record.network_vjps.to_string(),
            record.projections.to_string(),
            number(record.place_mm),
            text(&record.warnings.join("; ")),
        ];
        csv.push_str(&cells.join(","));
        csv.push('\n');
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_record() {
        let record = Record { slice: 3, status: "done, \"so to say\"".into(), psnr: Some(31.5), ..Record::default() };
        let text = csv(&[record]);
        assert!(text.ends_with("\n3,\"done, \"\"so to say\"\"\",31.5,,,,0,0,0,0,,\"\"\n"), "{text}");
    }
}
