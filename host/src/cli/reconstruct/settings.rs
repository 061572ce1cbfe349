//! The flags that set fields of a method's settings. A flag that the method does not read is refused.

use crate::ending::Failure;
use clap::{Arg, ArgMatches, Command, Error};
use gradus::reconstruct::{Method, Settings};
use miette::{IntoDiagnostic, WrapErr};
use toml::Value;

/// Of each flag its name, which is its field's with `_` for `-`, that of its value, and its help.
const FLAGS: [(&str, &str, &str); 20] = [
    ("alpha", "ALPHA", "Weight of the prior [default: from the noise]"),
    (
        "steps",
        "STEPS",
        "Number of smoothing levels, one iteration each [default: what the weights name, 8 for ct and ellipses and 20 \
         for disc, up to 2.75 times as many where there is little noise or few views, and four times as many for views \
         that leave out 30 degrees and more; 50 for dds, 100 for diffpir, 300 for the other learned methods]",
    ),
    (
        "t-max",
        "T",
        "First smoothing level [default: 0.5, and 1 for views that leave out 30 degrees and more, and for the other \
         learned methods]",
    ),
    ("t-min", "T", "Last smoothing level [default: 0.001, and 0.004 for the methods that step along gradients]"),
    (
        "spacing",
        "SPACING",
        "Spacing of the levels of dds and diffpir: linear, logarithmic or quadratic (closer to each \
         other at small t) [default: linear for dds, quadratic for diffpir]",
    ),
    (
        "solve-steps",
        "N",
        "Conjugate gradient steps in each iteration of the default method (at least), dds and diffpir [default: 12, \
         60 for views that leave out 30 degrees and more, and 5 for dds]",
    ),
    (
        "gamma",
        "WEIGHT",
        "Weight of the data against the denoised image in dds, lengths in pixels [default: the data are solved for, as \
         if they had no noise]",
    ),
    ("eta", "ETA", "Stochasticity of dds, 0 to 1 [default: 0.85]"),
    ("lambda", "FACTOR", "Weight of the denoised image in diffpir, over the variance of the noise [default: 1]"),
    ("zeta", "SHARE", "Share of fresh noise in diffpir, 0 to 1 [default: 0.1]"),
    (
        "weight",
        "RULE",
        "Rule for the weight of the prior of the default method without --alpha: noise (its variance, as in the \
         posterior density, and less of it in few views), discrepancy (so that the image explains the data as well as \
         the noise allows; takes up to eight runs more) or held-out (so that the image without every fifth view \
         foretells those views best; takes up to five runs more) [default: noise]",
    ),
    (
        "average",
        "RUNS",
        "Take the mean of this many runs of the default method, dds or diffpir, and write their deviation [default: 1]",
    ),
    (
        "view",
        "VIEW",
        "View of the prior on iterates of the other learned methods: as diffused images, or drift-free, as clean \
         images under noise [default: diffused]",
    ),
    ("constant-step", "LENGTH", "Constant step for the flow, in place of the line search"),
    ("tolerance", "NORM", "Stop when the gradient norm is at most this [default: 0]"),
    (
        "start",
        "START",
        "Starting point: noise, fbp (the filtered backprojection) or zeros [default: noise for the default method, \
         and fbp]",
    ),
    ("seed", "SEED", "Seed of the noise at the start, and later, where there is any [default: 1]"),
    ("window", "WINDOW", "Window of the filtered backprojection: ramp, shepp-logan or hann [default: hann]"),
    ("tv-weight", "WEIGHT", "Weight of total variation [default: from the noise]"),
    ("tv-iterations", "N", "Iterations of total variation [default: 500]"),
];

/// The flags that were given, with their values.
#[derive(Debug)]
pub struct GivenFields(Vec<(&'static str, Value)>);

impl clap::Args for GivenFields {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.map(|(name, value, help)| Arg::new(name).long(name).value_name(value).help(help)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for GivenFields {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |(name, ..): &(&'static str, _, _)| Some((*name, value(matches.get_one::<String>(name)?)));
        Ok(Self(FLAGS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A number where it is one, else a name.
fn value(text: &str) -> Value {
    let number = text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Float));
    number.unwrap_or_else(|_| Value::String(text.to_owned()))
}

impl GivenFields {
    /// Settings with these fields, from those of a file or, by another method, from its defaults.
    pub fn set(&self, method: Option<Method>, of_file: Settings) -> Result<Settings, Failure> {
        let start = match method {
            Some(method) if method != of_file.method() => method.into(),
            _ => of_file,
        };
        self.0.iter().try_fold(start, |settings, (name, value)| {
            let refused = || format!("--{name} {value} cannot be used");
            settings.with(&name.replace('-', "_"), value.clone()).into_diagnostic().wrap_err_with(refused)
        })
    }
}
