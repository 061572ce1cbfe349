//! Changes of files, by number.

/// SplitMix64 (Steele, Lea, Flood 2014): every seed and number give their own stream.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ number.wrapping_mul(0xE703_7ED1_A0B4_28DB))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// A file of the corpus with a few changes.
    pub fn changed(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, corpus);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        const LIMITS: [u64; 10] = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, i64::MAX as u64, u64::MAX];
        // Headers stand at the front, where every other change goes.
        let reach = if self.below(2) == 0 { bytes.len().min(600) } else { bytes.len() };
        let at = self.below(reach);
        let length = 1 + self.below(16);
        let end = bytes.len().min(at + length);
        match self.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.next() as u8,
            2 => {
                let size = 1 << self.below(4);
                let value = LIMITS[self.below(LIMITS.len())].to_le_bytes();
                bytes.iter_mut().skip(at).take(size).zip(value).for_each(|(byte, value)| *byte = value);
            }
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, part);
            }
            5 if self.below(4) == 0 => bytes.truncate(at),
            6 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len());
                let part = other[from..other.len().min(from + length)].to_vec();
                bytes.splice(at.min(bytes.len())..end, part);
            }
            _ => self.number(bytes, at),
        }
    }

    /// Puts another number in the place of one that is written in digits, as in TOML, JSON and headers of arrays.
    fn number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        const NUMBERS: [&str; 10] = [
            "0",
            "-1",
            "3",
            "65536",
            "4294967296",
            "9223372036854775807",
            "18446744073709551615",
            "1e300",
            "nan",
            "inf",
        ];
        let Some(first) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|k| k + at) else { return };
        let digits = bytes[first..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        bytes.splice(first..first + digits, NUMBERS[self.below(NUMBERS.len())].bytes());
    }
}
