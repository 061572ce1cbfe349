//! Runs the firmware image in QEMU and reads what it printed. `run.sh` beside this workspace builds the images and says
//! by environment variables where they are.
#![allow(clippy::panic, clippy::expect_used, reason = "a check that cannot be made has failed")]

pub mod figures;

use firmware_problem::lines::{Lines, Written};
use firmware_problem::named_runs::{self, Buffers};
use gradus_core::Status;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Exit code of `timeout` when the time was up.
pub const TIMED_OUT: i32 = 124;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/firmware/run.sh"))
}

/// The image `name`, without defmt.
pub fn image(name: &str) -> PathBuf {
    PathBuf::from(variable("FIRMWARE_IMAGES")).join(name)
}

/// The image `name`, built with the feature `defmt`.
pub fn defmt_image(name: &str) -> PathBuf {
    PathBuf::from(variable("FIRMWARE_DEFMT_IMAGES")).join(name)
}

/// Runs `image` in QEMU with `argument` on its command line, for at most `seconds`; one instruction is one nanosecond.
pub fn qemu(image: &PathBuf, argument: &str, seconds: u32) -> Output {
    let semihosting = format!("enable=on,target=native,arg={argument}");
    Command::new("timeout")
        .arg(seconds.to_string())
        .args([&variable("FIRMWARE_QEMU"), "-L", &variable("FIRMWARE_QEMU_DATA")])
        .args(["-machine", "mps2-an386", "-cpu", "cortex-m4", "-nographic", "-monitor", "none", "-serial", "none"])
        .args(["-icount", "shift=0", "-semihosting-config", &semihosting, "-kernel"])
        .arg(image)
        .output()
        .expect("`timeout` starts QEMU")
}

/// Runs the main image for at most a minute; its exit code and lines.
pub fn run(argument: &str) -> (Option<i32>, Vec<Line>) {
    let output = qemu(&image("firmware-image"), argument, 60);
    let text = String::from_utf8(output.stdout).expect("lines of text");
    (output.status.code(), text.lines().map(Line::parse).collect())
}

/// A line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first word.
    pub name: String,
    /// Its words, any NaN with a positive sign.
    pub words: Vec<u32>,
}

impl Line {
    fn new(name: &str, words: impl Iterator<Item = u32>) -> Self {
        // IEEE 754 leaves the sign of a NaN open.
        let canonical = |word: u32| if f32::from_bits(word).is_nan() { word & !(1 << 31) } else { word };
        Self { name: name.to_owned(), words: words.map(canonical).collect() }
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.split_whitespace();
        let name = parts.next().unwrap_or_default();
        Self::new(name, parts.map(|word| u32::from_str_radix(word, 16).expect("a hexadecimal word")))
    }

    /// The only word of the line.
    pub fn value(&self) -> u32 {
        let [value] = self.words[..] else { panic!("{self:?} has not one word") };
        value
    }
}

#[derive(Default)]
struct Collected(Vec<Line>);

impl Lines for Collected {
    fn line(&mut self, name: &str, words: &[u32]) {
        self.0.push(Line::new(name, words.iter().copied()));
    }
}

/// The same run on this machine, as the image would print it.
pub fn run_here(name: &str) -> Vec<Line> {
    let mut lines = Collected::default();
    let end = named_runs::run(name, &mut Buffers::new(), &mut Written(&mut lines));
    lines.line(end.map_or_else(|fault| fault.name(), |status: Status| named_runs::status_name(status)), &[]);
    lines.0
}

/// Steps that were accepted in a run.
pub fn n_steps(lines: &[Line]) -> usize {
    // The tag at the start of a state, or for the toy each iterate of two numbers.
    lines.iter().filter(|line| line.name == "iterate" && line.words.len() == 2).count()
        + lines.iter().filter(|line| line.name == "state" && line.words.first().is_some_and(is_tag)).count()
}

fn is_tag(word: &u32) -> bool {
    [*b"GL03", *b"PG06"].contains(&word.to_le_bytes())
}

/// The output of a tool of the Arm binutils about an image.
pub fn binutils(tool: &str, arguments: &[&str], image: &PathBuf) -> String {
    let output = Command::new(format!("arm-none-eabi-{tool}")).args(arguments).arg(image).output();
    let output = output.expect("binutils-arm-none-eabi is installed");
    assert!(output.status.success(), "{tool} {}", image.display());
    String::from_utf8(output.stdout).expect("text")
}
