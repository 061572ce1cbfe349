//! Memory: files of at most ten megabytes are read, or refused, with 300 MB.

use super::durable::preloaded;
use super::hostile::input;
use super::message;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const MOST_BYTES: u64 = 300_000_000;
const FILE_BYTES: usize = 10_000_000;

/// Looks at a file: read, or refused with words, with little memory; the exit code.
fn inspected(library: &Path, file: &Path) -> Option<i32> {
    let peak = library.with_file_name("peak");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.args(["inspect", file.to_str().unwrap(), "--threads", "1"]);
    let output = command.env("LD_PRELOAD", library).env("GRADUS_PEAK", &peak).output().unwrap();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 2)), "{}: {code:?} {}", file.display(), message(&output));
    let line = fs::read_to_string(&peak).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{:?}: {kib} KiB", file.file_name().unwrap());
    assert!(kib << 10 < MOST_BYTES, "{} takes {kib} KiB", file.display());
    fs::remove_file(peak).unwrap();
    code
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_takes_little_memory() {
    let folders = ["", "units", "codecs", "raw"].map(input);
    let files: Vec<PathBuf> =
        folders.iter().flat_map(|folder| files_in(folder)).filter(|path| path.is_file()).collect();
    assert!(files.len() > 60, "{files:?}");
    let dir = tempfile::tempdir().unwrap();
    let library = preloaded(dir.path(), "peak");
    for file in files {
        inspected(&library, &file);
    }
}

/// As many numbers as a file of this size may unpack to, in the format that takes most for each.
#[test]
fn what_packs_best_takes_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (height, width) = (4000, 5000);
    let picture = dir.path().join("packed.png");
    let mut encoder = png::Encoder::new(File::create(&picture).unwrap(), width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.write_header().unwrap().write_image_data(&vec![0; 2 * 20_000_000]).unwrap();
    let mut bytes = fs::read(&picture).unwrap();
    bytes.resize(FILE_BYTES, 0);
    fs::write(&picture, bytes).unwrap();
    let archive = dir.path().join("packed.npz");
    fs::write(&archive, packed(&[("image", 3900, width)])).unwrap();
    let scan = dir.path().join("scan.npz");
    fs::write(&scan, packed(&[("sinogram", 3300, 3000), ("truth", 3000, 3000), ("angles_rad", 3300, 0)])).unwrap();
    let volume = dir.path().join("packed.h5");
    let mut file = hdf5_pure::FileBuilder::new();
    let set = file.create_dataset("image").with_f64_data(&vec![0.0; 1 << 24]).with_shape(&[1, 4096, 4096]);
    set.with_chunks(&[1, 1024, 4096]).with_deflate(9);
    fs::write(&volume, file.finish().unwrap()).unwrap();
    let library = preloaded(dir.path(), "peak");
    for file in [picture, archive, scan, volume] {
        assert_eq!(inspected(&library, &file), Some(0), "{}", file.display());
        assert!(fs::metadata(&file).unwrap().len() as usize <= FILE_BYTES);
    }
}

/// An npz of ten megabytes with arrays of zeros in float32, rows x columns, or of one axis where there are no columns.
fn packed(arrays: &[(&str, u32, u32)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, rows, columns) in arrays {
        let (shape, n) = match columns {
            0 => (format!("({rows},)"), *rows as usize),
            _ => (format!("({rows}, {columns})"), *rows as usize * *columns as usize),
        };
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
        header.push('\n');
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
        zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        let zeros = vec![0; 1 << 20];
        let mut left = 4 * n;
        while left > 0 {
            let part = left.min(zeros.len());
            zip.write_all(&zeros[..part]).unwrap();
            left -= part;
        }
    }
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("padding", stored).unwrap();
    zip.write_all(&vec![0; FILE_BYTES - 300_000]).unwrap();
    zip.finish().unwrap().into_inner()
}
