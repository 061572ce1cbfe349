//! Time and memory of `gradus reconstruct --slices` by slices, size, views, threads and ranks, as tables.
//!
//! `cargo run --release --example scaling -- target/release/gradus [slices|size|views|threads|ranks]...` runs the
//! program on stacks of ellipses in HU, with the prior `ct`. Ranks need a program built with `--features mpi`; they and
//! the threads that they are compared with run in turn, five times, and the table has the medians.

use gradus::ct::network_to_hu;
use gradus::data::ellipses::ellipses;
use gradus::image::Image;
use gradus::series::Volume;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks of Linux in a second, in which it counts processor time.
const TICKS: f64 = 100.0;
/// Rounds of the table of ranks.
const ROUNDS: usize = 5;

/// A series, and how it is reconstructed.
#[derive(Clone, Copy)]
struct Case {
    slices: usize,
    side: usize,
    views: usize,
    threads: usize,
    /// 0: without MPI.
    ranks: usize,
}

const USUAL: Case = Case { slices: 8, side: 128, views: 60, threads: 2, ranks: 0 };

/// The cost of a run.
#[derive(Clone, Copy)]
struct Cost {
    wall_s: f64,
    processor_s: f64,
    peak_mib: f64,
}

fn cases(table: &str) -> Option<Vec<Case>> {
    Some(match table {
        "slices" => [16, 64, 256].map(|slices| Case { slices, side: 64, ..USUAL }).to_vec(),
        "size" => [64, 128, 256].map(|side| Case { side, ..USUAL }).to_vec(),
        "views" => [20, 60, 180, 540].map(|views| Case { views, ..USUAL }).to_vec(),
        "threads" => [1, 2].map(|threads| Case { threads, ..USUAL }).to_vec(),
        "ranks" => {
            [(2, 0), (2, 1), (1, 2)].map(|(threads, ranks)| Case { slices: 32, threads, ranks, ..USUAL }).to_vec()
        }
        _ => return None,
    })
}

/// A stack of ellipses in HU.
fn stack(folder: &Path, case: Case) -> std::io::Result<PathBuf> {
    let folder = folder.join(format!("{}x{}", case.slices, case.side));
    let path = folder.join("volume.npy");
    if !path.exists() {
        fs::create_dir_all(&folder)?;
        let volume = Volume::open(&folder, [case.slices, case.side, case.side], false)?;
        for slice in 0..case.slices {
            let image = ellipses(slice as u64 + 1, case.side);
            let pixels = image.pixels.iter().map(|pixel| network_to_hu(*pixel)).collect();
            volume.write(slice, Some(&Image { pixels, ..image }))?;
        }
        volume.finish()?;
    }
    Ok(path)
}

/// Runs the program on a series, and looks at its processor time and memory until it ends.
fn run(program: &Path, folder: &Path, case: Case) -> Result<Cost, Box<dyn Error>> {
    let input = stack(folder, case)?;
    let output = folder.join("out");
    let mut command = if case.ranks == 0 {
        Command::new(program)
    } else {
        let mut command = Command::new("mpirun");
        command
            .args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &case.ranks.to_string()])
            .arg(program);
        command
    };
    command.arg("reconstruct").arg(input).args(["--slices", "all", "--unit", "hu", "--device", "cpu", "-q", "-o"]);
    command.arg(&output).args(["--angles", &case.views.to_string(), "--threads", &case.threads.to_string()]);
    let (begin, mut ticks, mut peak_kib) = (Instant::now(), 0.0_f64, 0.0_f64);
    let mut child = command.stderr(Stdio::null()).spawn()?;
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        // Behind the name, which may hold spaces: user and system time are numbers 12 and 13.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok()).unwrap_or(0.0);
        ticks = f64::max(ticks, number(11) + number(12));
        let memory = fs::read_to_string(process.join("status")).unwrap_or_default();
        let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak_kib = peak.unwrap_or(peak_kib).max(peak_kib);
        std::thread::sleep(Duration::from_millis(5));
    };
    let wall_s = begin.elapsed().as_secs_f64();
    fs::remove_dir_all(output)?;
    if !status.success() {
        return Err(format!("{} ended with {status}", program.display()).into());
    }
    Ok(Cost { wall_s, processor_s: ticks / TICKS, peak_mib: peak_kib / 1024.0 })
}

/// The median costs of cases that run in turn, so many times each.
fn costs(program: &Path, folder: &Path, cases: &[Case], rounds: usize) -> Result<Vec<Cost>, Box<dyn Error>> {
    let mut costs = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (costs, case) in costs.iter_mut().zip(cases) {
            costs.push(run(program, folder, *case)?);
        }
    }
    costs.iter_mut().for_each(|costs| costs.sort_by(|a, b| a.wall_s.total_cmp(&b.wall_s)));
    Ok(costs.iter().map(|costs| costs[costs.len() / 2]).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let program = fs::canonicalize(arguments.next().ok_or("name the program: target/release/gradus")?)?;
    let named: Vec<String> = arguments.collect();
    let usual = ["slices", "size", "views", "threads"].map(str::to_owned).to_vec();
    let tables = if named.is_empty() { usual } else { named };
    let folder = std::env::temp_dir().join(format!("gradus-scaling-{}", std::process::id()));
    for table in tables {
        println!("| slices | side | views | threads | ranks | s | s a slice | processor s a slice | peak MiB |");
        println!("|---|---|---|---|---|---|---|---|---|");
        let cases = cases(&table).ok_or("the tables are slices, size, views, threads and ranks")?;
        let costs = costs(&program, &folder, &cases, if table == "ranks" { ROUNDS } else { 1 })?;
        for (case, cost) in cases.into_iter().zip(costs) {
            let Case { slices, side, views, threads, ranks } = case;
            let Cost { wall_s, processor_s, peak_mib } = cost;
            let of_slice = |seconds: f64| seconds / slices as f64;
            // Of ranks the processes are mpirun's.
            let ours = |text: String| if ranks == 0 { text } else { "-".to_owned() };
            let (processor, peak) = (ours(format!("{:.3}", of_slice(processor_s))), ours(format!("{peak_mib:.0}")));
            let ranks = if ranks == 0 { "-".to_owned() } else { ranks.to_string() };
            println!(
                "| {slices} | {side} | {views} | {threads} | {ranks} | {wall_s:.1} | {:.3} | {processor} | {peak} |",
                of_slice(wall_s)
            );
        }
        println!();
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
