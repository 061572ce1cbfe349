//! That a GPU which passed its checks is trusted without another network, as long as nothing is another one.

use crate::network::coarse;
use gradus::backend::cuda::Device;
use gradus::doctor::verdict::distrust_once_by;
use gradus::prior::Prior;
use std::fs;
use std::rc::Rc;

pub fn check(device: &Rc<Device>) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("of a user/gradus");
    let (prior, mut seen) = (coarse(), device.traffic().launches);
    let mut is_checked = |prior: &Prior| {
        assert_eq!(distrust_once_by(&cache, device, prior), None);
        let before = std::mem::replace(&mut seen, device.traffic().launches);
        seen > before
    };
    assert!(is_checked(&prior));
    let allocations = device.allocations();
    assert!(!is_checked(&prior));
    assert_eq!(device.allocations(), allocations);
    let file = cache.join("trusted-gpus");
    let kept = fs::read_to_string(&file).unwrap();
    // What is damaged goes, and the rest stays.
    fs::write(&file, format!("0123456789abcdef\n{}\nnonsense\n", &kept[..kept.len() - 2])).unwrap();
    assert!(is_checked(&prior));
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("0123456789abcdef\n{kept}"));
}
