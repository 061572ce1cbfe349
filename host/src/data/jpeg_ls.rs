//! JPEG-LS (ITU-T T.87) of one component: lossless and near-lossless. Names of variables are the standard's.
//!
//! No decoder of it is kept in Rust. Each pixel is predicted from its neighbours
//!
//! ```text
//! Rc Rb Rd
//! Ra Rx
//! ```
//!
//! and the error, coded by Golomb codes whose parameter each of 365 contexts learns from the errors before, is added;
//! where the neighbours are flat, the length of a run is coded instead.

/// Longest run segments, 2^J pixels, by how well runs went so far (T.87, A.2.1).
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Contexts of pixels; those of interrupted runs follow.
const REGULAR: usize = 365;
/// The stream is shorter than the picture.
const SHORT: &str = "it ends before its last pixel";

/// The pixels `[row][col]` of a stream whose frame header has these rows, columns and bits.
pub(super) fn decode(stream: &[u8], height: usize, width: usize, bits: u8) -> Result<Vec<u16>, &'static str> {
    let (coding, data) = Coding::read(stream, bits)?;
    let mut decoder = Decoder::new(coding, data);
    let mut pixels = Vec::with_capacity(height * width);
    // One pixel before the row and one behind it.
    let (mut above, mut row) = (vec![0; width + 2], vec![0; width + 2]);
    for _ in 0..height {
        above[width + 1] = above[width];
        row[0] = above[1];
        decoder.row(&above, &mut row)?;
        pixels.extend(row[1..=width].iter().map(|value| (*value as u16) << coding.point_transform));
        std::mem::swap(&mut above, &mut row);
    }
    Ok(pixels)
}

/// Parameters of a scan.
#[derive(Debug, Clone, Copy)]
struct Coding {
    maxval: i32,
    near: i32,
    /// Thresholds of the differences between neighbours.
    t: [i32; 3],
    reset: i32,
    point_transform: u32,
}

impl Coding {
    /// Reads the segments before the scan; what follows is its data.
    fn read(stream: &[u8], bits: u8) -> Result<(Self, &[u8]), &'static str> {
        let maxval = (1 << bits) - 1;
        let mut preset = [0; 5];
        let mut rest = stream.get(2..).ok_or(SHORT)?;
        loop {
            let at = rest.iter().position(|byte| *byte != 0xFF).filter(|at| *at > 0).ok_or(SHORT)?;
            let &[marker, a, b, ..] = &rest[at..] else { return Err(SHORT) };
            let length = usize::from(u16::from_be_bytes([a, b]));
            let segment = rest.get(at + 3..at + 1 + length).ok_or(SHORT)?;
            rest = &rest[at + 1 + length..];
            match (marker, segment) {
                (0xF8, [1, numbers @ ..]) if numbers.len() == 10 => {
                    let words = numbers.as_chunks().0.iter().map(|pair| i32::from(u16::from_be_bytes(*pair)));
                    preset.iter_mut().zip(words).for_each(|(number, word)| *number = word);
                }
                (0xF8, _) => return Err("it has a table of other values, which is not read here"),
                (0xDD, _) => return Err("it has restart intervals, which are not read here"),
                (0xDA, &[1, _, _, near, _, transform]) => {
                    let maxval = if preset[0] > 0 { preset[0].min(maxval) } else { maxval };
                    let (near, point_transform) = (i32::from(near), u32::from(transform & 15));
                    if near > maxval / 2 {
                        return Err("it allows errors larger than its values");
                    }
                    let basic = thresholds(maxval, near);
                    let t = [1, 2, 3].map(|k| if preset[k] > 0 { preset[k] } else { basic[k - 1] });
                    let reset = if preset[4] > 0 { preset[4] } else { 64 };
                    return Ok((Self { maxval, near, t, reset, point_transform }, rest));
                }
                (0xDA, _) => return Err("its scan has more than one component"),
                _ => {}
            }
        }
    }

    /// The size of the set of errors, which are coded by steps of 2 NEAR + 1.
    fn range(&self) -> i32 {
        (self.maxval + 2 * self.near) / (2 * self.near + 1) + 1
    }

    /// -4 to 4, by the thresholds.
    fn quantised(&self, difference: i32) -> i32 {
        let size = difference.abs();
        let [t1, t2, t3] = self.t;
        let class = match size {
            _ if size <= self.near => 0,
            _ if size < t1 => 1,
            _ if size < t2 => 2,
            _ if size < t3 => 3,
            _ => 4,
        };
        class * difference.signum()
    }

    /// Prediction and error together, back in the range of the values.
    fn reconstructed(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let period = self.range() * step;
        let value = prediction + error * step;
        let value = match value {
            _ if value < -self.near => value + period,
            _ if value > self.maxval + self.near => value - period,
            _ => value,
        };
        value.clamp(0, self.maxval)
    }
}

/// Thresholds where the stream gives none (T.87, C.2.4.1.1.1).
fn thresholds(maxval: i32, near: i32) -> [i32; 3] {
    let basic = if maxval >= 128 {
        let factor = (maxval.min(4095) + 128) / 256;
        [factor + 2 + 3 * near, 4 * factor + 3 + 5 * near, 17 * factor + 4 + 7 * near]
    } else {
        let factor = 256 / (maxval + 1);
        [(3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4)]
    };
    let mut least = near + 1;
    basic.map(|threshold| {
        least = if (least..=maxval).contains(&threshold) { threshold } else { least };
        least
    })
}

/// The memory of a context: sizes of errors, their sum (B), a correction (C), and their number. Of an interrupted
/// run, `b` counts those below zero.
#[derive(Debug, Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

impl Context {
    /// The parameter of the Golomb code: the least k with N 2^k >= the sum of sizes.
    fn k(&self, sizes: i32) -> u32 {
        (0..24).find(|k| i64::from(self.n) << k >= i64::from(sizes)).unwrap_or(24)
    }
}

struct Decoder<'a> {
    coding: Coding,
    bits: Bits<'a>,
    contexts: [Context; REGULAR + 2],
    run_index: usize,
    /// Bits of an error that is coded as it is.
    qbpp: u32,
    /// Longest code.
    limit: u32,
}

impl<'a> Decoder<'a> {
    fn new(coding: Coding, data: &'a [u8]) -> Self {
        let range = coding.range();
        let bits_of = |n: i32| i32::BITS - (n - 1).leading_zeros();
        let bpp = bits_of(coding.maxval + 1).max(2);
        let fresh = Context { a: ((range + 32) / 64).max(2), b: 0, c: 0, n: 1 };
        let (qbpp, limit) = (bits_of(range), 2 * (bpp + bpp.max(8)));
        Self { coding, bits: Bits::new(data), contexts: [fresh; REGULAR + 2], run_index: 0, qbpp, limit }
    }

    /// Fills a row, which begins behind the value of its left neighbour.
    fn row(&mut self, above: &[i32], row: &mut [i32]) -> Result<(), &'static str> {
        let end = row.len() - 1;
        let mut x = 1;
        while x < end {
            let (ra, rb, rc, rd) = (row[x - 1], above[x], above[x - 1], above[x + 1]);
            let q = [rd - rb, rb - rc, rc - ra].map(|difference| self.coding.quantised(difference));
            if q != [0; 3] {
                row[x] = self.regular(q, [ra, rb, rc])?;
                x += 1;
                continue;
            }
            let length = self.run(end - x)?;
            row[x..x + length].fill(ra);
            x += length;
            if x < end {
                row[x] = self.interruption(ra, above[x])?;
                x += 1;
            }
        }
        Ok(())
    }

    fn regular(&mut self, q: [i32; 3], [ra, rb, rc]: [i32; 3]) -> Result<i32, &'static str> {
        let coded = 81 * q[0] + 9 * q[1] + q[2];
        let (sign, index) = (coded.signum(), coded.unsigned_abs() as usize);
        let Coding { near, maxval, reset, .. } = self.coding;
        let context = self.contexts[index];
        let edge = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let prediction = (edge + sign * context.c).clamp(0, maxval);
        let k = context.k(context.a);
        let mapped = self.bits.golomb(k, self.limit, self.qbpp, self.coding.range())?;
        let is_turned = near == 0 && k == 0 && 2 * context.b <= -context.n;
        let error = match (mapped % 2 == 0, is_turned) {
            (true, false) => mapped / 2,
            (false, false) => -(mapped + 1) / 2,
            (false, true) => (mapped - 1) / 2,
            (true, true) => -(mapped / 2) - 1,
        };
        self.contexts[index] = learnt(context, error, near, reset);
        Ok(self.coding.reconstructed(prediction, sign * error))
    }

    /// The length of a run, up to the end of the row, `left` pixels away.
    fn run(&mut self, left: usize) -> Result<usize, &'static str> {
        let mut length = 0;
        while length < left {
            let segment = 1_usize << J[self.run_index];
            if self.bits.next(1)? == 0 {
                length += self.bits.next(J[self.run_index])? as usize;
                return if length < left { Ok(length) } else { Err("a run is longer than its row") };
            }
            if segment <= left - length {
                self.run_index = (self.run_index + 1).min(J.len() - 1);
            }
            length += segment.min(left - length);
        }
        Ok(length)
    }

    /// The pixel that ends a run.
    fn interruption(&mut self, ra: i32, rb: i32) -> Result<i32, &'static str> {
        let kind = i32::from((ra - rb).abs() <= self.coding.near);
        let index = REGULAR + kind as usize;
        let context = self.contexts[index];
        let k = context.k(if kind == 1 { context.a + (context.n >> 1) } else { context.a });
        let limit = self.limit - J[self.run_index] - 1;
        let mapped = self.bits.golomb(k, limit, self.qbpp, self.coding.range())?;
        self.run_index = self.run_index.saturating_sub(1);
        let (odd, size) = ((mapped + kind) % 2 == 1, (mapped + kind + 1) / 2);
        let is_negative = (k != 0 || 2 * context.b >= context.n) == odd;
        let error = if is_negative { -size } else { size };
        let mut next = Context {
            a: context.a.saturating_add((mapped + 1 - kind) >> 1),
            b: context.b + i32::from(error < 0),
            ..context
        };
        if next.n == self.coding.reset {
            next = Context { a: next.a >> 1, b: next.b >> 1, n: next.n >> 1, ..next };
        }
        next.n += 1;
        self.contexts[index] = next;
        let (prediction, sign) = match kind {
            1 => (ra, 1),
            _ => (rb, if ra > rb { -1 } else { 1 }),
        };
        Ok(self.coding.reconstructed(prediction, sign * error))
    }
}

/// A context after one more error (T.87, A.6).
fn learnt(context: Context, error: i32, near: i32, reset: i32) -> Context {
    let Context { mut a, mut b, mut c, mut n } = context;
    b += error * (2 * near + 1);
    a = a.saturating_add(error.abs());
    if n == reset {
        (a, b, n) = (a >> 1, b >> 1, n >> 1);
    }
    n += 1;
    if b <= -n {
        b = (b + n).max(1 - n);
        c = (c - 1).max(-128);
    } else if b > 0 {
        b = (b - n).min(0);
        c = (c + 1).min(127);
    }
    Context { a, b, c, n }
}

/// Bits of a scan, the most significant one of a byte first; behind a byte FF, a zero is put in that does not count.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits that have been read from bytes and not been asked for, in the lowest places.
    held: u64,
    n_held: u32,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, n_held: 0 }
    }

    fn next(&mut self, n: u32) -> Result<u32, &'static str> {
        while self.n_held < n {
            let &byte = self.data.get(self.at).ok_or(SHORT)?;
            let is_stuffed = self.at > 0 && self.data[self.at - 1] == 0xFF;
            if is_stuffed && byte & 0x80 != 0 {
                return Err(SHORT); // A marker.
            }
            let length = if is_stuffed { 7 } else { 8 };
            (self.held, self.n_held, self.at) =
                (self.held << length | u64::from(byte), self.n_held + length, self.at + 1);
        }
        self.n_held -= n;
        let bits = self.held >> self.n_held;
        self.held &= (1 << self.n_held) - 1;
        Ok(bits as u32)
    }

    /// A number in the Golomb code with parameter k: its upper bits as so many zeros before a one; where these would be
    /// too many, less one in `qbpp` bits.
    fn golomb(&mut self, k: u32, limit: u32, qbpp: u32, range: i32) -> Result<i32, &'static str> {
        let most = limit.saturating_sub(qbpp + 1);
        let mut zeros = 0;
        while self.next(1)? == 0 {
            zeros += 1;
            if zeros > most {
                return Err("a code is longer than any can be");
            }
        }
        let value = if zeros < most {
            u64::from(zeros) << k | u64::from(self.next(k)?)
        } else {
            u64::from(self.next(qbpp)?) + 1
        };
        // Errors are at most half of the range, on either side: larger ones are damage, and would overflow sums.
        match i32::try_from(value) {
            Ok(value) if value <= range + 1 => Ok(value),
            _ => Err("an error is larger than any can be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of T.87, H.3: 4 x 4 pixels of 8 bits, lossless.
    #[test]
    fn the_example_of_the_standard() {
        let stream = [
            0xFF, 0xD8, 0xFF, 0xF7, 0, 11, 8, 0, 4, 0, 4, 1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0, 0xC0, 0,
            0, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0, 0, 0x57, 0x40, 0, 0, 0x6E, 0xE6, 0, 0, 0x01, 0xBC, 0x18, 0, 0,
            0x05, 0xD8, 0, 0, 0x91, 0x60, 0xFF, 0xD9,
        ];
        let pixels = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];
        assert_eq!(decode(&stream, 4, 4, 8).unwrap(), pixels);
        for length in 0..stream.len() - 3 {
            assert!(decode(&stream[..length], 4, 4, 8).is_err(), "{length}");
        }
    }

    #[test]
    fn thresholds_are_those_of_the_standard() {
        assert_eq!(thresholds(255, 0), [3, 7, 21]);
        assert_eq!(thresholds(4095, 0), [18, 67, 276]);
        assert_eq!(thresholds(65_535, 0), [18, 67, 276]);
        assert_eq!(thresholds(255, 3), [12, 22, 42]);
    }
}
