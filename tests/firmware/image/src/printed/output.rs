//! Lines of hexadecimal words on QEMU's standard output, written without formatting code.

use cortex_m_semihosting::hio::{self, HostStream};
use firmware_problem::lines::{Lines, WORDS};

/// A space and eight digits.
const WORD: usize = 9;
const NAME: usize = 32;

/// The host's standard output.
pub struct Output(Option<HostStream>);

impl Output {
    /// Opens it.
    pub fn new() -> Self {
        Self(hio::hstdout().ok())
    }
}

impl Lines for Output {
    fn line(&mut self, name: &str, words: &[u32]) {
        let mut text = [b'\n'; NAME + WORD * WORDS + 1];
        let mut slots = text.iter_mut();
        let mut length: usize = 1;
        for (byte, slot) in name.bytes().take(NAME).zip(&mut slots) {
            *slot = byte;
            length += 1;
        }
        for word in words.iter().take(WORDS) {
            for (byte, slot) in hexadecimal(*word).into_iter().zip(&mut slots) {
                *slot = byte;
            }
            length += WORD;
        }
        if let (Some(stream), Some(line)) = (&mut self.0, text.get(..length)) {
            // Nobody could be told of a failure; the checks miss the line.
            let _ = stream.write_all(line);
        }
    }
}

fn hexadecimal(word: u32) -> [u8; WORD] {
    let mut text = [b' '; WORD];
    for (slot, digit) in text.iter_mut().skip(1).zip(word.to_be_bytes().into_iter().flat_map(|b| [b >> 4, b & 15])) {
        *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
    }
    text
}
