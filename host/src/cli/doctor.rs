//! `gradus doctor`: the devices found, and whether each backend computes what it should on this machine.

use crate::ending::{End, Failure};
use crate::problem::prior;
use crate::terminal::Terminal;
use gradus::backend::cpu::simd_name;
use gradus::backend::cuda::{Description, Device, DeviceError, devices};
use gradus::doctor::{Check, DoctorError, cpu, cuda};
use gradus::prior::Prior;
use miette::IntoDiagnostic;
use serde_json::{Value, json};

/// Runs the command; a failed check ends with exit code 1, a device that cannot be used does not.
pub fn run(terminal: &Terminal) -> Result<End, Failure> {
    let prior = prior("ellipses")?;
    let checks = cpu::checks(&prior).into_diagnostic()?;
    let gpus = Gpu::all(&prior);
    let all = || checks.iter().chain(gpus.iter().flat_map(Gpu::checks));
    let passed = all().all(Check::passed);
    let (threads, simd) = (rayon::current_num_threads(), simd_name());
    let on_cpu = checks.iter().all(Check::passed);
    let on_host = json!({ "name": "cpu", "threads": threads, "simd": simd, "usable": on_cpu });
    terminal.report(&json!({
        "devices": std::iter::once(on_host).chain(gpus.iter().map(Gpu::json)).collect::<Vec<_>>(),
        "checks": all().collect::<Vec<_>>(),
        "passed": passed,
    }))?;
    let mut lines = vec![format!("cpu     {threads} threads, {simd}")];
    lines.extend(gpus.iter().map(Gpu::line));
    for check in all() {
        let verdict = if check.passed() { "ok" } else { "FAILED" };
        lines.push(format!("{verdict:<8}{}: {:.1e} (at most {:.0e})", check.what, check.found, check.bound));
    }
    terminal.say(&lines.join("\n"))?;
    Ok(if passed { End::Done } else { End::Unfinished })
}

/// A GPU that was found, or the reason why none was.
enum Gpu {
    None(DeviceError),
    Found(Description, Result<[Check; 3], DoctorError>),
}

impl Gpu {
    fn all(prior: &Prior) -> Vec<Self> {
        match devices() {
            Err(error) => vec![Self::None(error)],
            Ok(found) if found.is_empty() => vec![Self::None(DeviceError::NoDevice { ordinal: 0, found: 0 })],
            Ok(found) => found.into_iter().map(|device| Self::examine(device, prior)).collect(),
        }
    }

    fn examine(found: Description, prior: &Prior) -> Self {
        let opened = Device::open(found.ordinal).map_err(|error| DoctorError::Cuda(error.into()));
        Self::Found(found, opened.and_then(|device| cuda::checks(&device, prior)))
    }

    fn checks(&self) -> &[Check] {
        match self {
            Self::Found(_, Ok(checks)) => checks,
            _ => &[],
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::None(error) => json!({ "name": "cuda", "usable": false, "reason": error.to_string() }),
            Self::Found(found, checks) => json!({
                "name": format!("cuda:{}", found.ordinal),
                "device": found,
                "usable": checks.as_ref().is_ok_and(|checks| checks.iter().all(Check::passed)),
                "reason": checks.as_ref().err().map(ToString::to_string),
            }),
        }
    }

    fn line(&self) -> String {
        match self {
            Self::None(error) => format!("cuda    not usable: {error}"),
            Self::Found(found, checks) => {
                let Description { ordinal, name, capability: (major, minor), memory, .. } = found;
                let memory = *memory as f64 / f64::from(1 << 30);
                let reason = checks.as_ref().err().map_or(String::new(), |error| format!("; not usable: {error}"));
                format!("cuda:{ordinal}  {name}, compute capability {major}.{minor}, {memory:.1} GiB{reason}")
            }
        }
    }
}
