//! The most that this machine can do, and how near the parts of a reconstruction come to it:
//! `cargo run --release --example roofline`; with `layers PRIOR SIZE` only the times of the layers of that prior.
#![allow(missing_docs)]

mod common;

use common::{Outcome, Passes, Projections, algorithm_2, measurement, pool, prior, time};
use gradus::backend::cpu::{Flop, LayerTime, Network};
use gradus::prior::Prior;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::hint::black_box;

const SIZE: usize = 128;

/// Most that a reconstruction of 128x128 pixels may keep in memory, in MB.
const MEMORY_BOUND_MB: f64 = 100.0;

/// Twelve independent chains of multiply-adds.
struct MultiplyAdds(usize);

impl WithSimd for MultiplyAdds {
    /// Sum, to keep the work alive, and floating-point operations.
    type Output = (f32, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f64) {
        let mut chains = [simd.splat_f32s(0.5); 12];
        let (a, b) = (simd.splat_f32s(0.999), simd.splat_f32s(1e-3));
        for _ in 0..self.0 {
            for chain in &mut chains {
                *chain = simd.mul_add_e_f32s(*chain, a, b);
            }
        }
        let sum = chains.iter().map(|&chain| simd.reduce_sum_f32s(chain)).sum();
        (sum, (self.0 * chains.len() * S::F32_LANES * 2) as f64)
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, name, size] = &arguments[..]
        && what == "layers"
    {
        return layers(peaks()?, &Prior::named(name)?, size.parse()?);
    }
    // First, because the peak is that of the whole process.
    memory()?;
    let peak = peaks()?;
    scaling()?;
    layers(peak, &prior()?, SIZE)
}

/// Peak memory of a whole reconstruction, where the system says it.
fn memory() -> Outcome<()> {
    let run = algorithm_2(&measurement(SIZE)?, 300)?;
    println!(
        "Algorithm 2, {SIZE}x{SIZE}: {:.2} ms an iteration over {}",
        run.seconds_per_iteration * 1e3,
        run.iterations
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    match peak.map(|kib| kib * 1024.0 / 1e6) {
        Some(mb) if mb > MEMORY_BOUND_MB => Err(format!("peak memory {mb:.1} MB is above {MEMORY_BOUND_MB} MB").into()),
        Some(mb) => {
            println!("peak memory of that process: {mb:.1} MB (bound {MEMORY_BOUND_MB} MB)");
            Ok(())
        }
        None => {
            println!("peak memory: not known on this system");
            Ok(())
        }
    }
}

/// Prints the multiply-add and memory peaks; returns the former for one thread, in GFLOP/s.
fn peaks() -> Outcome<f64> {
    println!(
        "\n{}\nthreads   FMA GFLOP/s   memory GB/s (a <- b + s c, write-allocate not counted)",
        gradus::backend::cpu::simd_name()
    );
    let mut single = 0.0;
    for threads in [1, 2] {
        let (arch, pool) = (Arch::new(), pool(threads)?);
        let (_, flop) = arch.dispatch(MultiplyAdds(200_000));
        let work = || {
            (0..threads).into_par_iter().for_each(|_| {
                black_box(arch.dispatch(MultiplyAdds(200_000)));
            })
        };
        let (best, _) = pool.install(|| time(50, work));
        let rate = flop * threads as f64 / best * 1e-9;
        // Three arrays of 64 MiB, beyond any cache.
        let n = 1 << 24;
        let (mut a, b, c) = (vec![0.0_f32; n], vec![1.0_f32; n], vec![2.0_f32; n]);
        let (best, _) = pool.install(|| {
            time(10, || {
                let chunks =
                    a.par_chunks_mut(n / threads).zip(b.par_chunks(n / threads)).zip(c.par_chunks(n / threads));
                chunks.for_each(|((a, b), c)| {
                    a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 0.5 * c);
                });
                black_box(a[n / 2])
            })
        });
        println!("{threads:7} {rate:13.1} {:13.1}", (3 * n * size_of::<f32>()) as f64 / best * 1e-9);
        if threads == 1 {
            single = rate;
        }
    }
    Ok(single)
}

/// Times by image size, batch and threads; medians.
fn scaling() -> Outcome<()> {
    println!("\nwork                      size   1 thread ms  2 threads ms  speed-up  us/kilopixel (2)");
    for size in [64, 128, 256] {
        let runs = (1 << 20) / (size * size);
        for batch in [1, 8] {
            let score = |threads| -> Outcome<f64> {
                let pool = pool(threads)?;
                let mut passes = pool.install(|| Passes::new(size, batch))?;
                Ok(pool.install(|| time(runs / batch + 3, || passes.score()[0])).1)
            };
            row(&format!("energy and score x{batch}"), size, batch, score(1)?, score(2)?);
        }
        let projections = |threads| -> Outcome<[f64; 2]> {
            let pool = pool(threads)?;
            let mut projections = pool.install(|| Projections::new(size))?;
            let (_, forward) = pool.install(|| time(2 * runs, || projections.forward_project().is_ok()));
            let (_, adjoint) = pool.install(|| time(2 * runs, || projections.adjoint().is_ok()));
            Ok([forward, adjoint])
        };
        let (one, two) = (projections(1)?, projections(2)?);
        row("projector, 60 views", size, 1, one[0], two[0]);
        row("adjoint, 60 views", size, 1, one[1], two[1]);
    }
    Ok(())
}

fn row(work: &str, size: usize, batch: usize, one: f64, two: f64) {
    let per_kilopixel = two * 1e9 / (size * size * batch) as f64;
    println!("{work:24} {size:5} {:13.3} {:13.3} {:9.2} {per_kilopixel:17.1}", one * 1e3, two * 1e3, one / two);
}

/// Times of each layer on one thread, the smallest of a number of passes.
fn layers(peak: f64, prior: &Prior, size: usize) -> Outcome<()> {
    let pool = pool(1)?;
    let x: Vec<f32> = (0..size * size).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
    let mut network = Network::new(prior, size, size, 1)?;
    pool.install(|| {
        let mut best = network.profile(&x, 0.3, &x);
        for _ in 0..30 {
            for (best, time) in best.iter_mut().zip(network.profile(&x, 0.3, &x)) {
                best.forward_s = best.forward_s.min(time.forward_s);
                best.vjp_s = best.vjp_s.min(time.vjp_s);
            }
        }
        println!(
            "\n% of the peak: of the operations executed, and of those of the definition (which PyTorch's counts go by)"
        );
        println!("{:18} forward us  MFLOP    %  definition    % |   vjp us  MFLOP    %  definition    %", "layer");
        let line = |name: &str, passes: [(f64, Flop); 2]| {
            let [forward, vjp] = passes.map(|(s, Flop { done, direct })| {
                let share = |flop: f64| 100.0 * flop / s * 1e-9 / peak;
                let (done_share, direct_share) = (share(done), share(direct));
                format!(
                    "{:8.1} {:7.1} {done_share:4.0} {:11.1} {direct_share:4.0}",
                    s * 1e6,
                    done * 1e-6,
                    direct * 1e-6
                )
            });
            println!("{name:20} {forward} | {vjp}");
        };
        best.iter().for_each(|l| line(&l.name, [(l.forward_s, l.forward_flop), (l.vjp_s, l.vjp_flop)]));
        let sum = |value: fn(&LayerTime) -> f64| best.iter().map(value).sum::<f64>();
        let flop = |value: fn(&LayerTime) -> Flop| best.iter().map(value).sum::<Flop>();
        let forward = (sum(|l| l.forward_s), flop(|l| l.forward_flop));
        line("all", [forward, (sum(|l| l.vjp_s), flop(|l| l.vjp_flop))]);
    });
    Ok(())
}
