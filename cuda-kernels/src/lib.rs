//! The CUDA kernels of gradus: one `.cu` file per operator, its checked-in PTX, and the table of entry points.
//!
//! A kernel is a struct with its arguments as fields ([`Entry`]). The test below holds every struct against the PTX:
//! names, number and sizes of parameters, threads of a block.

pub mod attention;
pub mod attention_training;
pub mod conjugate_gradient;
pub mod conv;
pub mod conv_pack;
pub mod conv_tensor;
pub mod conv_weights;
pub mod conv_weights_tf32;
pub mod entry;
pub mod fan;
pub mod group_norm;
pub mod linear_training;
pub mod norm_training;
pub mod pixel_shuffle;
pub mod projector;
pub mod residual;
pub mod solve;
pub mod time_embedding;
pub mod training_loss;
pub mod vector;
pub mod work;

pub use entry::{Address, BLOCK, Entry, Signature, Source};
pub use work::{Costed, Launch, Work};

/// All `.cu` files.
pub const SOURCES: [Source; 19] = [
    attention::SOURCE,
    attention_training::SOURCE,
    conjugate_gradient::SOURCE,
    conv::SOURCE,
    conv_pack::SOURCE,
    conv_tensor::SOURCE,
    conv_weights::SOURCE,
    conv_weights_tf32::SOURCE,
    fan::SOURCE,
    group_norm::SOURCE,
    linear_training::SOURCE,
    norm_training::SOURCE,
    pixel_shuffle::SOURCE,
    projector::SOURCE,
    residual::SOURCE,
    solve::SOURCE,
    time_embedding::SOURCE,
    training_loss::SOURCE,
    vector::SOURCE,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The declaration of an entry in a PTX file.
    fn declared<'a>(ptx: &'a str, name: &str) -> (Vec<usize>, &'a str) {
        let at = ptx.find(&format!(".entry {name}(")).unwrap_or_else(|| panic!("{name} is not in the PTX"));
        let (parameters, body) = ptx[at..].split_once(')').unwrap();
        let bytes = |line: &str| match line.split_once('[') {
            Some((_, array)) => array.trim_end_matches([',', ']']).parse().unwrap(),
            None => line.split_once(".param .").unwrap().1[1..3].parse::<usize>().unwrap() / 8,
        };
        (parameters.lines().filter(|line| line.contains(".param")).map(bytes).collect(), body.lines().nth(1).unwrap())
    }

    #[test]
    fn every_entry_is_what_its_ptx_declares() {
        for source in SOURCES {
            assert!(source.ptx.contains("\n.version 8.4\n.target sm_80\n"), "{}", source.name);
            assert_eq!(source.ptx.matches(".entry ").count(), source.entries.len(), "{}", source.name);
            for entry in source.entries {
                let (parameters, threads) = declared(source.ptx, entry.name);
                assert_eq!(parameters, entry.parameters, "{}", entry.name);
                assert_eq!(threads, format!(".maxntid {}, 1, 1", entry.max_threads), "{}", entry.name);
            }
        }
    }
}
