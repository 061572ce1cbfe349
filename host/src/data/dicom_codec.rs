//! Pixels of DICOM images unpacked: run lengths, JPEG, JPEG-LS and JPEG 2000, each by one grey code stream.
use super::file_error::ImageProblem;
use super::jpeg_ls;
use crate::limits::UNPACKED;
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use jpeg_decoder::Decoder;

/// Segments that a frame of run lengths can have.
const SEGMENTS: usize = 15;
/// Advice for a variety that is not read here.
const UNPACK: &str = super::dicom_header::UNPACK;

/// The size of a frame by its attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Their product.
    pub(super) n: usize,
    /// Of a pixel.
    pub(super) bytes: usize,
}

/// Undoes run lengths (PS3.5, annex G): the header has the number of segments and where they begin; segment k holds
/// byte k of every sample, the most significant one first.
pub(super) fn run_lengths(frame: &[u8], size: Size) -> Result<Vec<u16>, ImageProblem> {
    planes(frame, size).ok_or_else(|| {
        ImageProblem::damaged("DICOM", "its run lengths do not give as many pixels as its rows and columns")
    })
}

fn planes(frame: &[u8], size: Size) -> Option<Vec<u16>> {
    let word = |k: usize| -> Option<usize> {
        let bytes = frame.get(4 * k..4 * k + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    if word(0)? != size.bytes || size.bytes > SEGMENTS {
        return None;
    }
    // A run of 128 equal bytes takes two: what promises more is not there, and gets no memory.
    if size.n > frame.len().checked_mul(64)? {
        return None;
    }
    let mut words = vec![0; size.n];
    for k in 0..size.bytes {
        let end = if k + 1 < size.bytes { word(k + 2)? } else { frame.len() };
        let plane = runs(frame.get(word(k + 1)?..end)?, size.n)?;
        words.iter_mut().zip(plane).for_each(|(word, byte)| *word = *word << 8 | u16::from(byte));
    }
    Some(words)
}

/// The first `n` bytes of PackBits: a count below 128 and as many bytes and one more, or 257 less a count and the byte
/// that is repeated as often; 128 means nothing.
fn runs(mut packed: &[u8], n: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(n);
    while bytes.len() < n {
        let (&count, rest) = packed.split_first()?;
        let length = if count < 128 { usize::from(count) + 1 } else { usize::from(count != 128) };
        let (run, rest) = rest.split_at_checked(length)?;
        if count <= 128 {
            bytes.extend_from_slice(run);
        } else {
            bytes.extend(std::iter::repeat_n(run[0], 257 - usize::from(count)));
        }
        packed = rest;
    }
    bytes.truncate(n);
    Some(bytes)
}

/// Decodes JPEG: baseline and progressive of 8 bits, lossless of up to 16.
pub(super) fn jpeg(frame: &[u8], size: Size) -> Result<Vec<u16>, ImageProblem> {
    let header = JpegHeader::of(frame).ok_or_else(|| ImageProblem::damaged("JPEG", "its frame header is missing"))?;
    header.check(size, "JPEG")?;
    if header.bits > 8 && !header.is_lossless() {
        let found = format!("pixels compressed with JPEG of {} bits", header.bits);
        return Err(ImageProblem::unsupported(found, UNPACK));
    }
    let mut decoder = Decoder::new(frame);
    decoder.set_max_decoding_buffer_size(2 * size.n);
    let bytes = decoder.decode().map_err(|cause| ImageProblem::damaged("JPEG", cause))?;
    // What is lossless and not of 8 bits comes as words.
    let words: Vec<u16> = match bytes.len() {
        length if length == size.n => bytes.into_iter().map(u16::from).collect(),
        length if length == 2 * size.n => bytes.as_chunks().0.iter().map(|pair| u16::from_ne_bytes(*pair)).collect(),
        _ => return Err(ImageProblem::damaged("JPEG", "it gives another number of pixels than its header")),
    };
    Ok(words)
}

/// Decodes JPEG-LS.
pub(super) fn jpeg_ls(frame: &[u8], size: Size) -> Result<Vec<u16>, ImageProblem> {
    let header =
        JpegHeader::of(frame).ok_or_else(|| ImageProblem::damaged("JPEG-LS", "its frame header is missing"))?;
    header.check(size, "JPEG-LS")?;
    jpeg_ls::decode(frame, size.height, size.width, header.bits)
        .map_err(|cause| ImageProblem::damaged("JPEG-LS", cause))
}

/// The frame header of JPEG and JPEG-LS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct JpegHeader {
    marker: u8,
    bits: u8,
    height: u16,
    width: u16,
    components: u8,
}

impl JpegHeader {
    /// Walks from segment to segment to the start of a frame: SOF0 to SOF15 but for tables, or SOF55 of JPEG-LS.
    fn of(stream: &[u8]) -> Option<Self> {
        let mut rest = stream.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            // Any number of bytes FF may stand before a marker.
            let at = rest.iter().position(|byte| *byte != 0xFF).filter(|at| *at > 0)?;
            let (&marker, after) = rest[at..].split_first()?;
            let &[a, b, ..] = after else { return None };
            let length = usize::from(u16::from_be_bytes([a, b]));
            let is_frame = matches!(marker, 0xC0..=0xCF | 0xF7) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
            if is_frame {
                let &[bits, ya, yb, xa, xb, components, ..] = after.get(2..length)? else { return None };
                let [height, width] = [[ya, yb], [xa, xb]].map(u16::from_be_bytes);
                return Some(Self { marker, bits, height, width, components });
            }
            rest = after.get(length.max(2)..)?;
        }
    }

    fn is_lossless(self) -> bool {
        matches!(self.marker, 0xC3 | 0xC7 | 0xCB | 0xCF)
    }

    /// Compares with the attributes.
    fn check(self, size: Size, format: &'static str) -> Result<(), ImageProblem> {
        let Self { bits, height, width, components, .. } = self;
        if components != 1 {
            return Err(ImageProblem::unsupported(format!("pixels of {components} samples"), "export it in grey"));
        }
        if (usize::from(height), usize::from(width)) != (size.height, size.width) || usize::from(bits) > 8 * size.bytes
        {
            return Err(contradiction(format, (height.into(), width.into(), bits), size));
        }
        if !(2..=16).contains(&bits) {
            return Err(ImageProblem::damaged(format, format!("it has {bits} bits a pixel")));
        }
        Ok(())
    }
}

fn contradiction(format: &'static str, (height, width, bits): (usize, usize, u8), size: Size) -> ImageProblem {
    let found = format!(
        "it has {height} x {width} pixels of {bits} bits, and the attributes say {} x {} of {}",
        size.height,
        size.width,
        8 * size.bytes
    );
    ImageProblem::damaged(format, found)
}

/// Decodes JPEG 2000: words, and how many bits of them are coded.
pub(super) fn jpeg_2000(frame: &[u8], size: Size) -> Result<(Vec<u16>, usize), ImageProblem> {
    let damaged = |cause: hayro_jpeg2000::DecodeError| ImageProblem::damaged("JPEG 2000", cause.to_string());
    // Slices have no palettes; resolving them would change the numbers.
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    // The decoder holds all wavelets of an image in `f32`, some three times over.
    if size.n > UNPACKED {
        let Size { height, width, .. } = size;
        return Err(ImageProblem::unsupported(format!("{height} x {width} pixels of JPEG 2000"), UNPACK));
    }
    let image = Image::new(frame, &settings).map_err(damaged)?;
    let (height, width, bits) = (image.height() as usize, image.width() as usize, image.original_bit_depth());
    if (height, width) != (size.height, size.width) || !(1..=16).contains(&bits) || usize::from(bits) > 8 * size.bytes {
        return Err(contradiction("JPEG 2000", (height, width, bits), size));
    }
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(damaged)?;
    let [component] = decoded.components() else {
        let found = format!("pixels of {} samples", decoded.components().len());
        return Err(ImageProblem::unsupported(found, "export it in grey"));
    };
    if component.samples().len() != size.n {
        return Err(ImageProblem::damaged("JPEG 2000", "it gives another number of pixels than its header"));
    }
    // The decoder adds half of the range to all, as is right where numbers are unsigned.
    let half = if is_signed(frame) { 1_i32 << (bits - 1) } else { 0 };
    let mask = u16::MAX >> (16 - bits);
    // What lossy coding makes of the ends of the range may lie beyond them.
    let word = |sample: &f32| (sample.round().clamp(0.0, mask.into()) as i32 - half) as u16 & mask;
    let words = component.samples().iter().map(word).collect();
    Ok((words, bits.into()))
}

/// True if the first component of a JPEG 2000 code stream is signed: the highest bit of `Ssiz` in its SIZ segment, 42
/// bytes behind the start of the code stream.
fn is_signed(stream: &[u8]) -> bool {
    let start = stream.windows(4).position(|bytes| bytes == [0xFF, 0x4F, 0xFF, 0x51]);
    start.and_then(|at| stream.get(at + 42)).is_some_and(|ssiz| ssiz & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_undone() {
        // The example of Apple's note on PackBits.
        let packed = [0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7, 0xAA];
        let plain = [
            0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22, 0xAA, 0xAA, 0xAA, 0xAA,
            0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA,
        ];
        assert_eq!(runs(&packed, 24).unwrap(), plain);
        assert_eq!(runs(&packed, 25), None);
        assert_eq!(runs(&packed[..7], 24), None);
        let header: Vec<u8> = [2_u32, 64, 66].iter().flat_map(|n| n.to_le_bytes()).chain([0; 52]).collect();
        let fragment = [&header[..], &[0xFF, 1, 0xFF, 2]].concat();
        let size = |n: usize| Size { height: 1, width: n, n, bytes: 2 };
        assert_eq!(planes(&fragment, size(2)).unwrap(), [0x0102_u16, 0x0102]);
        for length in 0..fragment.len() {
            assert_eq!(planes(&fragment[..length], size(2)), None, "{length}");
        }
        assert_eq!(planes(&fragment, size(usize::MAX / 4)), None);
    }

    #[test]
    fn frame_headers_are_found() {
        let sof = [0xFF, 0xC3, 0, 11, 12, 0, 3, 0, 5, 1, 1, 0x11, 0];
        let expected = JpegHeader { marker: 0xC3, bits: 12, height: 3, width: 5, components: 1 };
        let stream = [&[0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF][..], &sof].concat();
        assert_eq!(JpegHeader::of(&stream), Some(expected));
        assert_eq!(JpegHeader::of(&stream[..15]), None);
        assert!(expected.is_lossless());
        let size = |height, width, bytes| Size { height, width, n: height * width, bytes };
        assert!(expected.check(size(3, 5, 2), "JPEG").is_ok());
        for (size, words) in [
            (size(3, 6, 2), "it has 3 x 5 pixels of 12 bits, and the attributes say 3 x 6 of 16"),
            (size(3, 5, 1), "say 3 x 5 of 8"),
        ] {
            let problem = expected.check(size, "JPEG").unwrap_err();
            let cause = std::error::Error::source(&problem).unwrap().to_string();
            assert!(cause.contains(words), "{cause}");
        }
    }
}
