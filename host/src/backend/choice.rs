//! The device that computes: `auto`, `cpu` or `cuda:N`.

use super::Precision;
use super::cuda::{Device, DeviceError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

/// A choice of device, as the command line and run files write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// `cuda:0` where it can be used and passes its checks, else `cpu`.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number.
    Cuda(u32),
}

/// A name of no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no device; give auto, cpu, or cuda:N with a number N, such as cuda:0")]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| UnknownDevice(text.to_owned()))
            }
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownDevice;

    fn try_from(text: String) -> Result<Self, UnknownDevice> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// The device of a choice; without a GPU, with the reason why `auto` took none, if it is worth a word.
#[derive(Debug, Clone)]
pub enum Opened {
    /// The CPU.
    Cpu(Option<String>),
    /// A GPU.
    Cuda(Rc<Device>),
}

impl Opened {
    /// The choice that opens it.
    #[must_use]
    pub fn choice(&self) -> DeviceChoice {
        match self {
            Self::Cpu(_) => DeviceChoice::Cpu,
            Self::Cuda(device) => DeviceChoice::Cuda(device.ordinal()),
        }
    }

    /// The reason why `auto` took no GPU, if it is worth a word.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        if let Self::Cpu(Some(warning)) = self { Some(warning) } else { None }
    }

    /// The factors that it multiplies with; the CPU's are f32 always.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self {
            Self::Cpu(_) => Precision::Full,
            Self::Cuda(device) => device.precision(),
        }
    }
}

impl DeviceChoice {
    /// Opens the device; `checked` says what keeps a GPU from being trusted, and is asked by `auto` only, at full
    /// precision.
    ///
    /// # Errors
    /// When the GPU that was asked for cannot be used, and when the CPU is asked for TF32.
    pub fn open(
        self,
        precision: Precision,
        checked: impl FnOnce(&Rc<Device>) -> Option<String>,
    ) -> Result<Opened, DeviceError> {
        let opened = match self {
            Self::Cpu if precision == Precision::Tf32 => return Err(DeviceError::NoTensorCores),
            Self::Cpu => Opened::Cpu(None),
            Self::Cuda(ordinal) => Opened::Cuda(Device::open(ordinal)?),
            Self::Auto => automatic(precision, checked),
        };
        if let Opened::Cuda(device) = &opened {
            device.set_precision(precision);
        }
        Ok(opened)
    }
}

fn automatic(precision: Precision, checked: impl FnOnce(&Rc<Device>) -> Option<String>) -> Opened {
    let instead = match precision {
        Precision::Full => "computed on the CPU",
        Precision::Tf32 => "computed on the CPU, at full precision in place of tf32",
    };
    match Device::open(0) {
        Ok(device) => match checked(&device) {
            None => Opened::Cuda(device),
            Some(why) => Opened::Cpu(Some(format!("{instead}: cuda:0 {why}"))),
        },
        // Most machines have no GPU, which is no news unless one is needed for what was asked.
        Err(DeviceError::NoDriver | DeviceError::NoDevice { .. }) if precision == Precision::Full => Opened::Cpu(None),
        Err(error) => Opened::Cpu(Some(format!("{instead}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(12)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for nonsense in ["", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x"] {
            assert!(nonsense.parse::<DeviceChoice>().unwrap_err().to_string().contains("auto, cpu, or cuda:N"));
        }
    }
}
