//! Speed of the energy network on this machine: `cargo run --release --example network_speed [size]`.

use gradus::backend::cpu::Network;
use gradus::unet::Weights;
use pulp::{Arch, Simd, WithSimd};
use std::hint::black_box;
use std::time::Instant;

const WEIGHTS: &[u8] = include_bytes!("../weights/ellipses.safetensors");

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

/// Smallest and median time of `runs` calls, in seconds.
fn time(runs: usize, mut f: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[runs / 2])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = std::env::args().nth(1).map_or(Ok(128), |text| text.parse())?;
    let weights = Weights::from_bytes(WEIGHTS)?;
    let arch = Arch::new();
    let (_, flop) = arch.dispatch(MultiplyAdds(200_000));
    let (best, _) = time(50, || {
        black_box(arch.dispatch(MultiplyAdds(200_000)));
    });
    let peak = flop / best * 1e-9;
    let name = format!("{arch:?}");
    let name = name.split('(').next().unwrap_or_default();
    println!("{name}: measured FMA peak {peak:.1} GFLOP/s per thread, image {size} x {size}");

    let n = size * size;
    let x: Vec<f32> = (0..8 * n).map(|i| ((i * 37 % 101) as f32) / 101.0).collect();
    let (t, mut out) = ([0.3; 8], vec![0.0; 8 * n]);
    println!("threads  batch   forward ms (min, median)   forward + vjp ms (min, median)");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        for batch in [1, 8] {
            let mut network = pool.install(|| Network::new(&weights, size, size, batch))?;
            let (x, t, out) = (&x[..batch * n], &t[..batch], &mut out[..batch * n]);
            let runs = 80 / batch;
            let forward = time(runs, || pool.install(|| network.forward(0..batch, x, t)));
            let both = time(runs, || {
                pool.install(|| {
                    network.forward(0..batch, x, t);
                    network.vjp(0..batch, x, out);
                });
            });
            let ms = [forward.0, forward.1, both.0, both.1].map(|s| s * 1e3);
            println!("{threads:7} {batch:6} {:12.2} {:8.2} {:20.2} {:8.2}", ms[0], ms[1], ms[2], ms[3]);
        }
    }
    layers(&weights, size, &x[..n], peak)
}

/// Times of each layer on one thread, the smallest of a number of passes.
fn layers(weights: &Weights, size: usize, x: &[f32], peak: f64) -> Result<(), Box<dyn std::error::Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut network = Network::new(weights, size, size, 1)?;
    pool.install(|| {
        let mut best = network.profile(x, 0.3, x);
        for _ in 0..30 {
            for (best, time) in best.iter_mut().zip(network.profile(x, 0.3, x)) {
                best.forward_s = best.forward_s.min(time.forward_s);
                best.vjp_s = best.vjp_s.min(time.vjp_s);
            }
        }
        println!("{:22} forward us  MFLOP GFLOP/s  % |   vjp us  MFLOP GFLOP/s  %", "layer (one thread)");
        let mut total = [0.0; 4];
        for layer in &best {
            print!("{:22}", layer.name);
            for (s, flop, end) in [(layer.forward_s, layer.forward_flop, " |"), (layer.vjp_s, layer.vjp_flop, "\n")] {
                let rate = flop / s * 1e-9;
                print!("{:9.1} {:7.1} {rate:7.1} {:3.0}{end}", s * 1e6, flop * 1e-6, 100.0 * rate / peak);
            }
            let values = [layer.forward_s * 1e3, layer.forward_flop * 1e-9, layer.vjp_s * 1e3, layer.vjp_flop * 1e-9];
            total.iter_mut().zip(values).for_each(|(total, value)| *total += value);
        }
        let [forward, forward_gflop, vjp, vjp_gflop] = total;
        println!("all: forward {forward:.2} ms, {forward_gflop:.3} GFLOP; vjp {vjp:.2} ms, {vjp_gflop:.3} GFLOP");
    });
    Ok(())
}
