//! That `cuda-kernels/ROOFLINE.md` is what its program prints: of its sides the smallest, whose buffers are small.

use gradus::backend::cuda::Device;
use gradus::prior::Prior;
use gradus_tests::roofline::table::{SIDES, markdown};
use std::rc::Rc;

const TABLE: &str = include_str!("../../cuda-kernels/ROOFLINE.md");

pub fn check(device: &Rc<Device>) {
    device.pretend((8, 0));
    let prior = Prior::named("ellipses").unwrap();
    let before = device.traffic().launches;
    let found = markdown(device, &prior, &SIDES[..1]).unwrap();
    let mut sections = found.split("\n## ");
    assert!(TABLE.starts_with(sections.next().unwrap()));
    // One compares sides.
    let of_side: Vec<&str> = sections.filter(|section| !section.starts_with("Whole")).collect();
    assert_eq!(of_side.len(), 8);
    for section in of_side {
        assert!(TABLE.contains(section), "remake cuda-kernels/ROOFLINE.md:\n{section}");
        assert!(!section.contains("NaN") && !section.contains("inf"), "{section}");
    }
    assert!(device.traffic().launches > before);
}
