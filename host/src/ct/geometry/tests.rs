use super::*;

#[test]
fn covering_is_the_protocol_for_squares() {
    for (n, n_bins) in [(128, 183), (256, 365), (48, 69)] {
        let g = Geometry::covering(n, n, 60);
        assert_eq!(g.n_bins, n_bins);
        assert_eq!(g.n_bins, 2 * (n as f64 * 2f64.sqrt() / 2.0).ceil() as usize + 1);
        assert!((g.bin_width_mm - n as f64 * 2f64.sqrt() / n_bins as f64).abs() < 1e-12);
        assert!((g.angles_rad[0] - PI / 120.0).abs() < 1e-15);
        assert_eq!((g.image_len(), g.sinogram_len()), (n * n, 60 * n_bins));
    }
}

#[test]
fn covering_reaches_every_corner_of_a_rectangle() {
    let g = Geometry::covering(30, 101, 7);
    let corner = g.column_x_mm(-0.5).hypot(g.row_y_mm(-0.5));
    assert!(g.bin_position_mm(-0.5) <= -corner + 1e-9 && g.bin_position_mm(g.n_bins as f64 - 0.5) >= corner - 1e-9);
}

#[test]
fn bins_and_positions_are_inverse_and_follow_the_offset() {
    let g = Geometry { detector_offset_mm: -4.7, bin_width_mm: 0.2, ..Geometry::covering(20, 30, 4) };
    assert!((g.bin_at(g.bin_position_mm(13.25)) - 13.25).abs() < 1e-12);
    let axis = g.bin_at(0.0);
    assert!((axis - ((g.n_bins as f64 - 1.0) / 2.0 - 23.5)).abs() < 1e-12);
}

#[test]
fn nonsense_is_named() {
    let good = Geometry::covering(8, 8, 3);
    let spoil = |f: &dyn Fn(&mut Geometry)| {
        let mut g = good.clone();
        f(&mut g);
        g.validate().unwrap_err().to_string()
    };
    assert!(spoil(&|g| g.height = 0).contains("`height` is 0"));
    assert!(spoil(&|g| g.angles_rad.clear()).contains("`angles_rad` is 0"));
    assert!(spoil(&|g| g.n_bins = usize::MAX).contains("`n_bins`"));
    assert!(spoil(&|g| g.pixel_mm = -1.0).contains("`pixel_mm` is -1e0 mm"));
    assert!(spoil(&|g| g.bin_width_mm = f64::NAN).contains("`bin_width_mm` is NaN"));
    assert!(spoil(&|g| g.pixel_mm = 1e-300).contains("from 1e-6 to 1e4 mm"));
    assert!(spoil(&|g| g.pixel_mm = 1e-5).contains("`pixel_mm` is 0.00001"));
    assert!(spoil(&|g| g.width = 70_000).contains("at most 65536"));
    assert!(spoil(&|g| (g.height, g.width) = (65_536, 65_536)).contains("65536 x 65536"));
    for offset in [f64::INFINITY, f64::NAN, -1e12] {
        assert!(spoil(&|g| g.detector_offset_mm = offset).contains("`detector_offset_mm` is"));
    }
    assert!(spoil(&|g| g.angles_rad[2] = f64::NAN).contains("angles_rad[2]"));
    assert!(Geometry::covering(0, 0, 0).validate().is_err());
}

#[test]
fn survives_a_text_file() {
    let g = Geometry { detector_offset_mm: 0.125, ..Geometry::covering(5, 6, 3) };
    let text = toml::to_string(&g).unwrap();
    assert_eq!(toml::from_str::<Geometry>(&text).unwrap(), g);
}

#[test]
fn a_detector_stands_behind_the_axis() {
    let fan = |source_to_detector_mm| {
        let fan = Fan { detector: Detector::Flat, source_to_axis_mm: 400.0, source_to_detector_mm };
        Geometry::covering_by_fan(64, 64, 9, fan).validate()
    };
    // On the axis it is a virtual one.
    assert!(fan(400.0).is_ok() && fan(900.0).is_ok());
    let error = fan(399.0).unwrap_err().to_string();
    assert!(error.contains("`source_to_detector_mm` is 399") && error.contains("through the axis"), "{error}");
}
