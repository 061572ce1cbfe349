//! The trace comes out of the ring through defmt as it went in.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use defmt_decoder::{DecodeError, Table};
use firmware_checks::{defmt_image, qemu};
use firmware_problem::named_runs::{self, Buffers};
use firmware_problem::run::Observer;
use gradus_core::Record;

struct Shown(Vec<String>);

impl Observer for Shown {
    fn accepted(&mut self, _: &[u8], _: &[f32]) {}

    fn record(&mut self, record: &Record) {
        self.0.push(format!("{record:?}"));
    }
}

/// The messages of a run of the image with defmt.
fn messages(name: &str) -> Vec<String> {
    let image = defmt_image("firmware-image");
    let table = Table::parse(&std::fs::read(&image).unwrap()).unwrap().unwrap();
    let output = qemu(&image, name, 60);
    let mut decoder = table.new_stream_decoder();
    decoder.received(&output.stdout);
    let mut messages = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => messages.push(frame.display_message().to_string()),
            Err(DecodeError::UnexpectedEof) => return messages,
            Err(DecodeError::Malformed) => panic!("malformed after {messages:?}"),
        }
    }
}

/// Numbers of a text, and the text between them: floats are printed differently by defmt and by Rust.
fn parts(text: &str) -> (Vec<f32>, String) {
    let is_number = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
    let words: Vec<&str> = text.split(|c: char| !is_number(c)).filter(|word| word.parse::<f32>().is_ok()).collect();
    let frame = words.iter().fold(text.to_owned(), |text, word| text.replacen(word, "#", 1));
    (words.iter().map(|word| word.parse().unwrap()).collect(), frame)
}

#[test]
fn every_record_is_drained_and_decoded() {
    for name in ["toy", "reconstruct", "default"] {
        let mut here = Shown(Vec::new());
        let end = named_runs::run(name, &mut Buffers::new(), &mut here);
        here.0.push(format!("end {end:?}"));
        let there = messages(name);
        assert_eq!(there.len(), here.0.len(), "{name}");
        for (there, here) in there.iter().zip(&here.0) {
            assert_eq!(parts(there), parts(here), "{name}");
        }
        println!("{name}: {} messages; the last but one: {}", there.len(), there[there.len() - 2]);
    }
}
