//! The figures of the docs: measured, printed as a table, and held against the table that is checked in.

use crate::{Line, binutils, defmt_image, image, run};
use std::path::{Path, PathBuf};

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The count.
    pub value: u32,
    /// `B` or `instructions`.
    pub unit: String,
}

impl Figure {
    fn new(name: &str, value: u32, unit: &str) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned() }
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |", self.name, self.value, self.unit)
    }

    /// A row of the table; `None` for any other line.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, value, unit, _] = cells[..] else { return None };
        Some(Self::new(name, value.parse().ok()?, unit))
    }
}

const HEAD: &str = "| what | how much | unit |\n|---|---|---|";

/// The table that is included in the docs of the core.
pub fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../core/src/firmware_figures.md")
}

/// The table as text.
pub fn table(figures: &[Figure]) -> String {
    let rows: Vec<_> = figures.iter().map(Figure::row).collect();
    format!("{HEAD}\n{}\n", rows.join("\n"))
}

/// The figures that are checked in.
pub fn checked_in() -> Vec<Figure> {
    let text = std::fs::read_to_string(table_path()).unwrap_or_default();
    text.lines().filter_map(Figure::parse).collect()
}

/// Bytes in flash (code, constants, initial values) and in RAM (static variables) of an image.
fn sizes(image: &PathBuf) -> (u32, u32) {
    let text = binutils("size", &[], image);
    let numbers: Vec<u32> =
        text.lines().nth(1).unwrap_or_default().split_whitespace().map_while(|n| n.parse().ok()).collect();
    let [text, data, bss, ..] = numbers[..] else { panic!("`size` printed {text}") };
    (text + data, data + bss)
}

/// Flash of an image beyond the start-up code.
fn flash(name: &str) -> u32 {
    sizes(&image(name)).0 - sizes(&image("size_nothing")).0
}

/// Everything, measured now.
pub fn measured() -> Vec<Figure> {
    let (code, lines) = run("measure");
    assert_eq!(code, Some(0), "{lines:?}");
    let counts = |name: &str| lines.iter().filter(|line| line.name == name).map(Line::value).collect::<Vec<_>>();
    let count = |name: &str| counts(name).first().copied().unwrap_or_else(|| panic!("no {name} in {lines:?}"));
    let most = |name: &str| counts(name).into_iter().max().unwrap_or_default();
    let mean = |name: &str| {
        let counts = counts(name);
        counts.iter().sum::<u32>() / u32::try_from(counts.len().max(1)).unwrap_or(1)
    };
    // Two runs of the same solver, with 1 and with 20 trials in each iteration.
    let trial = (count("trial-20") - count("trial-1")) / 19;
    let static_ram = sizes(&image("size_algorithm_2")).1 - sizes(&image("size_nothing")).1;
    let defmt = sizes(&defmt_image("size_defmt")).0 - sizes(&image("size_algorithm_2")).0;
    let bytes = |name, value| Figure::new(name, value, "B");
    let instructions = |name, value| Figure::new(name, value, "instructions");
    vec![
        bytes("flash: Algorithm 2, its schedules, weights and step sizes, with `libm`", flash("size_algorithm_2")),
        bytes("flash: Algorithm 1 instead, with its line search", flash("size_algorithm_1")),
        bytes("flash: the default method, `Preconditioned`, instead", flash("size_default")),
        bytes("flash: more for `to_bytes` and `from_bytes`", flash("size_saved_state") - flash("size_algorithm_2")),
        bytes(
            "flash: `GaussianMixture` alone, 16 dimensions, with `libm` and 1.1 kB of test data",
            flash("size_mixture"),
        ),
        bytes("flash: `Preview` alone (feature `micromath`), likewise", flash("size_preview")),
        bytes("flash: more for feature `defmt`, every record logged", defmt),
        bytes("RAM: `GradientLike`, all that Algorithm 2 keeps", static_ram),
        bytes("RAM: `GraduatedFlow`", count("ram-graduated-flow")),
        bytes("RAM: `Preconditioned`", count("ram-preconditioned")),
        bytes("RAM: a `Record` in a ring", count("ram-record")),
        bytes("stack: Algorithm 2 alone, and what measures it", count("stack-solver")),
        bytes("stack: the reconstruction, its prior of 1.1 kB included", count("stack-reconstruction")),
        instructions("solver, mean iteration with one trial", count("trial-1")),
        instructions("solver, longest iteration with one trial", count("trial-1-longest")),
        instructions("solver, each further trial", trial),
        instructions("solver, `to_bytes` and `from_bytes`", count("save-restore")),
        instructions("`Buffers`, a pixel in an iteration", count("vectors-per-pixel")),
        instructions("`GaussianMixture::score`, 15 components in 16 dimensions", count("score-exact")),
        instructions("`Preview::score`, likewise", count("score-preview")),
        instructions("reconstruction, mean iteration", mean("iteration")),
        instructions("reconstruction, longest iteration", most("iteration")),
        instructions("reconstruction by the default method, mean iteration", mean("default-iteration")),
        instructions("reconstruction by the default method, longest iteration", most("default-iteration")),
    ]
}
