//! Tests of reading and writing image files.
use super::*;
use npyz::WriterBuilder;
use proptest::prelude::*;
use std::fs;

const SPINE: &[u8] = include_bytes!("../../../samples/spine.dcm");

fn gradient(height: usize, width: usize) -> Image {
    let pixels = (0..height * width).map(|k| (k as f32 * 0.37).sin()).collect();
    Image { height, width, pixels }
}

fn decode_named(name: &str, bytes: &[u8]) -> Result<LoadedImage, ImageProblem> {
    let selection = Selection::parse(Path::new(name));
    decode(&selection.path, bytes.to_vec(), &selection, None)
}

fn archive(arrays: &[(&str, &[usize])]) -> Vec<u8> {
    let mut writer = crate::data::npy::ArchiveWriter::new();
    for (name, shape) in arrays {
        let values: Vec<f32> = (0..shape.iter().product()).map(|k: usize| k as f32).collect();
        writer.numbers(name, shape, &values).unwrap();
    }
    writer.finish().unwrap()
}

/// One small whole file of each format, by name.
fn whole_files() -> Vec<(&'static str, Vec<u8>)> {
    let image = gradient(9, 7);
    vec![
        ("a.npy", encode_npy(&[9, 7], &image.pixels).unwrap()),
        ("a.npz", archive(&[("image", &[9, 7])])),
        ("a8.png", png_file::encode8(&image, GreyWindow::of(&image)).unwrap()),
        ("a16.png", png_file::encode16(&image, GreyWindow::of(&image)).unwrap()),
        ("a.tif", tiff_file::encode_f32(&image).unwrap()),
        ("a.dcm", SPINE.to_vec()),
    ]
}

#[test]
fn npy_and_tiff_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let image = gradient(5, 8);
    let (npy, tiff) = (folder.path().join("a.npy"), folder.path().join("a.tiff"));
    write_npy(&npy, &image).unwrap();
    write_tiff_f32(&tiff, &image).unwrap();
    for path in [npy, tiff] {
        let loaded = read_image(&path).unwrap();
        assert_eq!((loaded.image, loaded.unit, loaded.pixel_mm), (image.clone(), PixelUnit::Relative, None));
    }
}

#[test]
fn png_keeps_the_window_to_half_a_level() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let image = gradient(6, 11);
    write_png16(&path, &image, GreyWindow::new(-1.0, 1.0)).unwrap();
    let back = read_image(&path).unwrap().image;
    for (grey, pixel) in back.pixels.iter().zip(&image.pixels) {
        assert!((2.0 * grey - 1.0 - pixel).abs() <= 1.01 / 65535.0, "{grey} {pixel}");
    }
}

#[test]
fn dicom_files_are_found_by_their_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("IM0001");
    fs::write(&path, SPINE).unwrap();
    fs::write(folder.path().join("readme.txt"), "not an image").unwrap();
    let slice = read_image(&path).unwrap();
    let derived = folder.path().join("b.dcm");
    write_dicom(
        &derived,
        &slice.image,
        slice.dicom.as_ref().unwrap(),
        Derivation { words: "copy", run: "", behind: 0 },
    )
    .unwrap();
    assert_eq!(read_image(&derived).unwrap().image, slice.image);
    let error = read_image(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds the series 1 (, 1 slices), 1001 (gradus: copy, 1 slices)"), "{error}");
}

#[test]
fn arrays_and_slices_of_an_npz_are_picked_by_name() {
    let bytes = archive(&[("hu256", &[3, 4, 5]), ("z", &[3]), ("kernel", &[])]);
    let slice = decode_named("a.npz:hu256[2]", &bytes).unwrap();
    assert_eq!((slice.image.height, slice.image.width, slice.image.pixels[0]), (4, 5, 40.0));
    assert_eq!(slice.unit, PixelUnit::HounsfieldUnits);
    assert_eq!(decode_named("a.npz:[2]", &bytes).unwrap().image, slice.image);
    let message = |name: &str| decode_named(name, &bytes).unwrap_err().to_string();
    assert!(message("a.npz").contains("[3, 4, 5]"), "{}", message("a.npz"));
    assert!(message("a.npz:hu256[3]").contains("no slice 3"), "{}", message("a.npz:hu256[3]"));
    assert!(message("a.npz:hu").contains("hu256, kernel, z"), "{}", message("a.npz:hu"));
    let two = archive(&[("a", &[2, 2]), ("b", &[2, 2])]);
    assert!(decode_named("a.npz", &two).unwrap_err().to_string().contains("2 arrays could be meant"));
    assert_eq!(decode_named("a.npz:b", &two).unwrap().image.pixels, [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn stacks_come_slice_by_slice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    fs::write(&path, archive(&[("hu256", &[3, 4, 5]), ("z", &[3])])).unwrap();
    let slices = read_slices(&path).unwrap();
    assert_eq!(slices.len(), 3);
    assert_eq!((slices[1].image.pixels[0], slices[1].unit), (20.0, PixelUnit::HounsfieldUnits));
}

#[test]
fn leading_axes_of_one_do_not_count() {
    assert_eq!(decode_named("a.npz", &archive(&[("x", &[1, 1, 2, 3])])).unwrap().image.pixels.len(), 6);
    assert!(decode_named("a.npz", &archive(&[("x", &[2, 1, 2, 3])])).is_err());
    assert!(decode_named("a.npy", &encode_npy(&[6], &[0.0f32; 6]).unwrap()).is_err());
    assert!(decode_named("a.npy", &encode_npy(&[0, 6], &[0.0f32; 0]).unwrap()).is_err());
}

#[test]
fn integer_and_column_major_arrays_are_read() {
    let image = decode_named("a.npy", &encode_npy(&[2, 2], &[-1i16, 2, 3, 4]).unwrap()).unwrap().image;
    assert_eq!(image.pixels, [-1.0, 2.0, 3.0, 4.0]);
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 3]).order(npyz::Order::Fortran);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend([0.0f64, 3.0, 1.0, 4.0, 2.0, 5.0]).unwrap();
    writer.finish().unwrap();
    assert_eq!(decode_named("a.npy", &bytes).unwrap().image.pixels, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn pixels_that_are_no_numbers_are_found() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut image = gradient(4, 4);
        image.pixels[6] = bad;
        let error = decode_named("a.npy", &encode_npy(&[4, 4], &image.pixels).unwrap()).unwrap_err();
        assert!(matches!(error, ImageProblem::NotFinite { row: 1, col: 2, .. }), "{error}");
    }
}

#[test]
fn colour_and_missing_files_get_advice() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[1, 2, 3]).unwrap();
    assert!(decode_named("a.png", &bytes).unwrap_err().to_string().contains("convert it to 8 or 16 bit grey"));
    let error = read_image("nowhere/a.png").unwrap_err();
    assert!(error.to_string().starts_with("nowhere/a.png: cannot be read"), "{error}");
    assert!(matches!(decode_named("a.txt", b"hello"), Err(ImageProblem::UnknownFormat)));
    let hdf5 = decode_named("a.h5", b"\x89HDF\r\n\x1a\n").unwrap_err().to_string();
    assert!(hdf5.contains("HDF5") && hdf5.contains("numpy.savez"), "{hdf5}");
    assert!(write_npy("nowhere/a.npy", &gradient(1, 1)).is_err());
}

#[test]
fn headers_that_would_end_the_parser_are_refused() {
    let npy = |header: &str| {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes()].concat()
    };
    let nested = "(".repeat(60_000);
    let large = "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }";
    let long = "{'descr': '<f4', 'fortran_order': False, 'shape': (1_000_000_000, 1_000_000_000, 1_000_000_000), }";
    for header in [nested.as_str(), large, long] {
        assert!(decode_named("a.npy", &npy(header)).is_err());
    }
}

#[test]
fn files_cut_anywhere_are_errors() {
    for (name, bytes) in whole_files() {
        assert!(decode_named(name, &bytes).is_ok(), "{name}");
        let step = (bytes.len() / 300).max(1);
        // The sample's last element is 126 bytes of padding behind the pixels: without it the image is whole.
        let padding = if name == "a.dcm" { 140 } else { 0 };
        for length in (0..bytes.len() - padding).step_by(step) {
            assert!(decode_named(name, &bytes[..length]).is_err(), "{name} cut to {length} of {}", bytes.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        near_start in any::<bool>(),
    ) {
        for (name, mut bytes) in whole_files() {
            let reach = if near_start { bytes.len().min(400) } else { bytes.len() };
            for (at, value) in &edits {
                bytes[at.index(reach)] = *value;
            }
            let _ = decode_named(name, &bytes);
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        for (name, bytes) in whole_files() {
            let _ = decode_named(name, &noise);
            let behind_the_mark = [&bytes[..bytes.len().min(140)], &noise].concat();
            let _ = decode_named(name, &behind_the_mark);
        }
    }
}
