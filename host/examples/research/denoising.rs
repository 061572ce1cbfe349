//! Priors as denoisers: `cargo run --release --example denoising -- [--images N] [--data FOLDER SIZE] PRIOR...`.
//! On the validation images of the ellipses, which no training sees, or on the slices of a folder.
#![allow(missing_docs)]

use gradus::prior::Prior;
use gradus::train::{DataConfig, Images, LEVELS, denoising_db};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut n_images, mut priors, mut data) = (32, Vec::new(), DataConfig::Ellipses { size: 128 });
    while let Some(argument) = arguments.next() {
        let mut next = || arguments.next().ok_or("a flag wants a value");
        match argument.as_str() {
            "--images" => n_images = next()?.parse()?,
            "--data" => {
                let folder = Some(std::path::PathBuf::from(next()?));
                let size = next()?.parse()?;
                data = DataConfig::Folder { size, training: folder.clone(), validation: folder };
            }
            _ => priors.push(argument),
        }
    }
    let images = Images::open(&data)?.validation(n_images);
    println!("denoising PSNR in dB, mean over {} images", images.len());
    println!("{}", LEVELS.iter().fold("  ".to_owned(), |line, t| format!("{line}t = {t:<6}")));
    for prior in priors {
        let levels = denoising_db(&Prior::named(&prior)?, &images)?;
        println!("{}{prior}", levels.iter().fold("  ".to_owned(), |line, db| format!("{line}{db:<10.2}")));
    }
    Ok(())
}
