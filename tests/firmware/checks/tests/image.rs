//! Contents of the image, and its cost, which must not grow beyond what is checked in.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use firmware_checks::figures::{Figure, checked_in, measured, table, table_path};
use firmware_checks::{binutils, defmt_image, image};

/// Symbols of code that firmware must not carry. Soft-float entries are those of the Arm run-time ABI, section 4.1.2,
/// and of compiler-rt; the processor has `f32` only.
fn unwanted(symbol: &str) -> Option<&'static str> {
    let name = symbol.split_whitespace().nth(2).unwrap_or_default();
    let f64_entry = name.starts_with("__aeabi_d")
        || (name.starts_with("__aeabi_") && name.ends_with("2d"))
        || (name.starts_with("__") && (name.contains("df") && !name.contains("sf")));
    if symbol.contains("panic") || symbol.contains("unwrap_failed") || symbol.contains("expect_failed") {
        Some("panic")
    } else if symbol.contains("alloc") {
        Some("alloc")
    } else if symbol.contains("core::fmt") || symbol.contains("core::num::flt2dec") {
        Some("formatting")
    } else if f64_entry || name.starts_with("__extendsfdf2") || name.starts_with("__truncdfsf2") {
        Some("f64 soft-float")
    } else {
        None
    }
}

#[test]
fn no_panic_no_heap_no_f64_no_formatting() {
    for name in
        ["firmware-image", "size_default", "size_algorithm_1", "size_algorithm_2", "size_saved_state", "size_mixture"]
    {
        let symbols = binutils("nm", &["-C"], &image(name));
        let found: Vec<_> = symbols.lines().filter_map(|line| unwanted(line).map(|kind| (kind, line))).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
        assert!(symbols.contains("Reset") && symbols.contains("libm"), "{name}: the symbols have been stripped");
        println!("{name}: {} symbols, no panic, alloc, f64 or formatting", symbols.lines().count());
    }
}

/// The check can fail: it finds what it looks for where it is.
#[test]
fn unwanted_symbols_are_recognised() {
    for (line, kind) in [
        ("00000c22 t core::panicking::panic_fmt", "panic"),
        ("00000c22 T __rust_alloc", "alloc"),
        ("00000c22 T __adddf3", "f64 soft-float"),
        ("00000c22 T __aeabi_dmul", "f64 soft-float"),
        ("00000c22 T __aeabi_f2d", "f64 soft-float"),
        ("00000c22 T __extendsfdf2", "f64 soft-float"),
        ("00000c22 t <core::fmt::Formatter>::pad", "formatting"),
    ] {
        assert_eq!(unwanted(line), Some(kind), "{line}");
    }
    assert_eq!(unwanted("00000c22 t libm::math::expf::expf"), None);
    let with_defmt = binutils("nm", &["-C"], &defmt_image("firmware-image"));
    assert!(with_defmt.lines().any(|line| unwanted(line) == Some("panic")), "the logger of defmt has panics");
}

fn value(figures: &[Figure], start: &str) -> u32 {
    figures.iter().find(|figure| figure.name.starts_with(start)).unwrap_or_else(|| panic!("{start}")).value
}

/// Two runs count the same; nothing has grown by more than 2 % beyond the table of the docs.
#[test]
fn figures_repeat_and_do_not_grow() {
    let figures = measured();
    assert_eq!(figures, measured(), "a second run");
    println!("{}", table(&figures));
    assert!(value(&figures, "flash: Algorithm 2") < 12 * 1024);
    assert!(value(&figures, "flash: the default method") < 12 * 1024);
    assert!(value(&figures, "RAM: `GradientLike`") < 512);
    if std::env::var_os("FIRMWARE_UPDATE").is_some() {
        std::fs::write(table_path(), table(&figures)).unwrap();
    }
    let known = checked_in();
    let names = |figures: &[Figure]| figures.iter().map(|figure| figure.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&figures), names(&known), "remake the table: FIRMWARE_UPDATE=1 tests/firmware/run.sh");
    for (now, known) in figures.iter().zip(&known) {
        let grown = f64::from(now.value) / f64::from(known.value) - 1.0;
        assert!(grown <= 0.02, "{} grew by {:.1} %, from {} to {}", now.name, 100.0 * grown, known.value, now.value);
        if grown.abs() > 0.0 {
            println!("{}: {:+.2} %", now.name, 100.0 * grown);
        }
    }
}
