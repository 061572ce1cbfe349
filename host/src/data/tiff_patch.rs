//! TIFF files changed in place, before their decoder sees them: pictures whose white is zero are read as they are
//! stored, and what zstd has compressed is unpacked.
use ruzstd::decoding::StreamingDecoder;
use std::io::Read;

const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
/// Places and lengths of the data: of strips, or of tiles.
const DATA: [[u16; 2]; 2] = [[273, 279], [324, 325]];
/// Numbers that writers have given to zstd.
const ZSTD: [u64; 2] = [50000, 34926];
/// TIFF's types of whole numbers: 16, 32 and 64 bits.
const TYPES: [(u64, usize); 3] = [(3, 2), (4, 4), (16, 8)];

/// A file in memory, of either byte order, with offsets of 32 or, in a BigTIFF, of 64 bits.
pub(super) struct Patched {
    bytes: Vec<u8>,
    is_big_endian: bool,
    is_big: bool,
}

impl Patched {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let is_big_endian = bytes.starts_with(b"MM");
        let is_big = if is_big_endian { bytes.get(3) } else { bytes.get(2) } == Some(&43);
        Self { bytes, is_big_endian, is_big }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Takes the picture whose directory lies at `directory` to be black at zero; tells whether it was white.
    pub(super) fn black_is_zero(&mut self, directory: u64) -> bool {
        let Some(entry) = self.entry(directory, PHOTOMETRIC) else { return false };
        let is_white = self.values(entry).as_deref() == Some(&[0]);
        if is_white {
            self.set(entry, &[1]);
        }
        is_white
    }

    /// Unpacks what zstd has compressed, into at most so many bytes; `None` if that fails, or there is more.
    pub(super) fn unpack_zstd(&mut self, directory: u64, most: usize) -> Option<()> {
        let Some(entry) = self.entry(directory, COMPRESSION) else { return Some(()) };
        if !self.values(entry)?.iter().any(|number| ZSTD.contains(number)) {
            return Some(());
        }
        let (mut places, mut lengths, mut left) = (Vec::new(), Vec::new(), most);
        let found = DATA.iter().find_map(|[at, n]| Some((self.entry(directory, *at)?, self.entry(directory, *n)?)));
        let (of_places, of_lengths) = found?;
        let packed = self.values(of_places)?.into_iter().zip(self.values(of_lengths)?);
        for (place, length) in packed {
            let (place, length) = (usize::try_from(place).ok()?, usize::try_from(length).ok()?);
            let mut unpacked = Vec::new();
            let frame = self.bytes.get(place..place.checked_add(length)?)?;
            StreamingDecoder::new(frame).ok()?.take(left as u64 + 1).read_to_end(&mut unpacked).ok()?;
            left = left.checked_sub(unpacked.len())?;
            places.push(self.bytes.len() as u64);
            lengths.push(unpacked.len() as u64);
            self.bytes.extend(unpacked);
        }
        self.set(of_places, &places);
        self.set(of_lengths, &lengths);
        self.set(entry, &[1]);
        Some(())
    }

    fn number(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    }

    /// Bytes of an offset, which are those of a value that stands in its entry.
    fn wide(&self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    /// Offset of a tag's entry: tag and type of two bytes each, the number of values, and the values or their
    /// place.
    fn entry(&self, directory: u64, tag: u16) -> Option<usize> {
        let directory = usize::try_from(directory).ok()?;
        let (of_count, of_entry) = if self.is_big { (8, 20) } else { (2, 12) };
        let n = usize::try_from(self.number(directory, of_count)?).ok()?.min(self.bytes.len());
        let entries = (0..n).map(|k| directory + of_count + k * of_entry);
        entries.take_while(|at| *at < self.bytes.len()).find(|at| self.number(*at, 2) == Some(tag.into()))
    }

    fn values(&self, entry: usize) -> Option<Vec<u64>> {
        let kind = self.number(entry + 2, 2)?;
        let (_, size) = TYPES.into_iter().find(|(number, _)| *number == kind)?;
        let n = usize::try_from(self.number(entry + 4, self.wide())?).ok()?;
        let field = entry + 4 + self.wide();
        let begin = match n.checked_mul(size)? {
            length if length <= self.wide() => field,
            length if length <= self.bytes.len() => usize::try_from(self.number(field, self.wide())?).ok()?,
            _ => return None,
        };
        (0..n).map(|k| self.number(begin + k * size, size)).collect()
    }

    /// Writes values as wide numbers, in their entry or, several, at the end.
    fn set(&mut self, entry: usize, values: &[u64]) {
        let wide = self.wide();
        let encoded = |value: u64, size: usize| {
            let bytes = value.to_le_bytes()[..size].to_vec();
            if self.is_big_endian { bytes.into_iter().rev().collect() } else { bytes }
        };
        let kind = if self.is_big { 16 } else { 4 };
        let numbers: Vec<u8> = values.iter().flat_map(|value| encoded(*value, wide)).collect();
        let field = if values.len() == 1 { numbers.clone() } else { encoded(self.bytes.len() as u64, wide) };
        let whole = [encoded(kind, 2), encoded(values.len() as u64, wide), field].concat();
        if let Some(place) = self.bytes.get_mut(entry + 2..entry + 2 + whole.len()) {
            place.copy_from_slice(&whole);
        }
        if values.len() != 1 {
            self.bytes.extend(numbers);
        }
    }
}
