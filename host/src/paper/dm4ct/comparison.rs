//! A comparison in its folder.

use super::benchmark::{Benchmark, Judged};
use super::contenders::{Contender, Way, contenders};
use crate::backend::{DeviceChoice, Precision};
use crate::data::folder_error::FolderError;
use crate::data::hidden::is_hidden;
use crate::data::write_once;
use crate::paper::row_file;
use crate::paper::tables::{EvaluateError, checksum, differences};
use crate::reconstruct::{Observer, PlacedPrior, Settings};
use crate::report::Table;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PROTOCOL: &str = "dm4ct.toml";
const RESULTS: &str = "results.csv";

/// Everything that determines a number, as a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// FNV-1a of the slice's pixels.
    pub image_checksum: String,
    /// Name or file of the prior.
    pub prior: String,
    /// FNV-1a of its file.
    pub prior_checksum: String,
    /// The device of the learned methods.
    pub device: DeviceChoice,
    /// The factors of convolutions there.
    pub precision: Precision,
    /// Version of the program.
    pub version: String,
    /// The settings of every method that has some.
    pub methods: BTreeMap<String, Settings>,
}

impl Protocol {
    /// The protocol of a slice and a prior, the bytes of whose file are given.
    #[must_use]
    pub fn new(benchmark: &Benchmark, prior: &PlacedPrior<'_>, bytes: &[u8]) -> Self {
        let pixels: Vec<u8> = benchmark.truth().pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        let settings = |contender: Contender| match contender.way {
            Way::Settings(settings) => {
                Some((contender.key.to_owned(), settings.suiting(prior.prior, benchmark.measurement())))
            }
            Way::Sirt => None,
        };
        Self {
            image_checksum: checksum(&pixels),
            prior: prior.prior.name().to_owned(),
            prior_checksum: checksum(bytes),
            device: prior.opened.choice(),
            precision: prior.opened.precision(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            methods: contenders().into_iter().filter_map(settings).collect(),
        }
    }
}

/// A finished method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Key of the method.
    pub method: String,
    /// PSNR in dB, data range 2.
    pub psnr_db: f64,
    /// SSIM with a uniform 7 x 7 window, data range 2.
    pub ssim: f64,
    /// Passes through the network, forwards and back.
    pub passes: u64,
    /// Projections and adjoints.
    pub projections: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// A comparison in its folder.
#[derive(Debug)]
pub struct Comparison {
    folder: PathBuf,
    rows: Vec<Row>,
}

impl Comparison {
    /// Begins a comparison in `folder`, or goes on with the one that is there.
    ///
    /// # Errors
    /// [`EvaluateError::OtherSettings`] when it has other settings, and [`EvaluateError`] in general.
    pub fn open(folder: &Path, protocol: &Protocol) -> Result<Self, EvaluateError> {
        let path = folder.join(PROTOCOL);
        let file = FolderError::file(&path);
        std::fs::create_dir_all(folder).map_err(&file)?;
        if !path.exists() {
            let mut entries = std::fs::read_dir(folder).map_err(&file)?.flatten();
            if !entries.all(|entry| is_hidden(&entry.path())) {
                return Err(EvaluateError::NotAnEvaluation { folder: folder.to_owned(), file: PROTOCOL });
            }
            write_once(&path, toml::to_string(protocol).unwrap_or_default().as_bytes()).map_err(&file)?;
        }
        let text = std::fs::read_to_string(&path).map_err(&file)?;
        let there: Protocol = toml::from_str(&text).map_err(|error| FolderError::damaged(&path)(error.message()))?;
        if there != *protocol {
            let differences = differences(protocol, &there);
            return Err(EvaluateError::OtherSettings { folder: folder.to_owned(), differences });
        }
        Ok(Self { folder: folder.to_owned(), rows: row_file::read(&folder.join(RESULTS))? })
    }

    /// The finished methods, in the order of [`contenders`].
    #[must_use]
    pub fn rows(&self) -> Vec<&Row> {
        let of = |contender: Contender| self.row(contender.key);
        contenders().into_iter().filter_map(of).collect()
    }

    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.method == key)
    }

    /// The methods that are not finished.
    #[must_use]
    pub fn pending(&self) -> Vec<Contender> {
        contenders().into_iter().filter(|contender| self.row(contender.key).is_none()).collect()
    }

    /// Makes a method and keeps its row; false when the observer ended it.
    ///
    /// # Errors
    /// Those of the method, and of the folder.
    pub fn add(
        &mut self,
        contender: &Contender,
        (benchmark, prior): (&Benchmark, &PlacedPrior<'_>),
        observer: Observer<'_>,
    ) -> Result<bool, EvaluateError> {
        let Some((_, judged)) = benchmark.judge(&contender.way, prior, observer)? else { return Ok(false) };
        let Judged { psnr_db, ssim, passes, projections, seconds } = judged;
        let row = Row { method: contender.key.to_owned(), psnr_db, ssim, passes, projections, seconds };
        let add = |rows: &mut Vec<Row>| {
            rows.retain(|other| other.method != row.method);
            rows.push(row);
            rows.sort_by_key(|row| contenders().iter().position(|contender| contender.key == row.method));
        };
        self.rows = row_file::add(&self.folder.join(RESULTS), &self.folder.join(PROTOCOL), add)?;
        Ok(true)
    }

    /// The finished methods as a table.
    #[must_use]
    pub fn table(&self) -> Table {
        let header = ["", "PSNR (dB)", "SSIM", "passes", "projections", "seconds"].map(str::to_owned).to_vec();
        let row = |contender: Contender| {
            let Row { psnr_db, ssim, passes, projections, seconds, .. } = self.row(contender.key)?;
            let numbers = [format!("{psnr_db:.2}"), format!("{ssim:.3}"), passes.to_string(), projections.to_string()];
            let cells = [contender.title.to_owned()].into_iter().chain(numbers).chain([format!("{seconds:.1}")]);
            Some(cells.collect())
        };
        Table {
            title: "DM4CT, 40 views without noise".to_owned(),
            header,
            rows: contenders().into_iter().filter_map(row).collect(),
            note: "Data range 2. Passes are those through the network, forwards and back.".to_owned(),
        }
    }
}
