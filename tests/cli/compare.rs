//! `gradus compare`: runs side by side.

use crate::{gradus, json, message};
use std::fs;
use std::path::Path;

fn reconstruct(folder: &Path, flags: &[&str], output: &str) {
    let output = gradus(folder, &[&["reconstruct", "-q", "-o", output], flags].concat());
    assert!(output.status.success(), "{}", message(&output));
}

#[test]
fn runs_stand_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    reconstruct(dir.path(), &["ellipses:2", "--method", "fbp"], "fbp");
    reconstruct(dir.path(), &["ellipses:2", "--method", "tv", "--tv-iterations", "20"], "tv");
    let summary = json(&gradus(dir.path(), &["compare", "fbp", "tv", "--json"]));
    assert_eq!((&summary["output"], &summary["runs"][1]["method"]), (&"compare.html".into(), &"tv".into()));
    let page = fs::read_to_string(dir.path().join("compare.html")).unwrap();
    let psnr = format!("<td>{:.2}</td>", summary["runs"][1]["psnr"].as_f64().unwrap());
    let pictures = [">Truth<", ">fbp, fbp<", ">tv, tv<", ">Difference, tv \u{2212} fbp<", ">Error, tv \u{2212} truth<"];
    for words in pictures.iter().chain(&[psnr.as_str(), "data-unit=\"network units\""]) {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!((page.matches("data-kind=\"image\"").count(), page.matches("data-kind=\"map\"").count()), (3, 3));
    // Nothing is overwritten.
    let again = gradus(dir.path(), &["compare", "fbp", "tv"]);
    assert!(again.status.code() == Some(2) && message(&again).contains("compare.html exists already"));
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    reconstruct(dir.path(), &["ellipses:2", "--method", "fbp"], "ellipses");
    reconstruct(dir.path(), &["spine", "--method", "fbp"], "spine");
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("damaged")).unwrap();
    fs::write(dir.path().join("damaged/summary.json"), "{").unwrap();
    // The same with other pixels, and with another unit.
    for (name, from, to) in
        [("other-unit", "\"network units\"", "\"1/mm\""), ("coarse", "\"pixel_mm\": 1", "\"pixel_mm\": 2")]
    {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(dir.path().join("ellipses/image.npy"), folder.join("image.npy")).unwrap();
        let summary = fs::read_to_string(dir.path().join("ellipses/summary.json")).unwrap();
        assert!(summary.contains(from), "{summary}");
        fs::write(folder.join("summary.json"), summary.replace(from, to)).unwrap();
    }
    for (other, words) in [
        ("spine", "ellipses has pixels of 1 mm, spine pixels of 0.661468 mm"),
        ("other-unit", "ellipses has values in network units, other-unit values in 1/mm"),
        ("coarse", "coarse pixels of 2"),
        ("empty", "name the folder of a finished run"),
        ("damaged", "the file is damaged"),
        ("nowhere", "nowhere/summary.json"),
    ] {
        let output = gradus(dir.path(), &["compare", "ellipses", other, "-o", "page.html"]);
        assert_eq!(output.status.code(), Some(2), "{other}");
        assert!(message(&output).contains(words), "{other}: {}", message(&output));
        assert!(!dir.path().join("page.html").exists(), "{other}");
    }
    assert_eq!(gradus(dir.path(), &["compare", "ellipses"]).status.code(), Some(2));
}
