use super::*;

#[test]
fn presets_are_valid_and_survive_their_file() {
    for name in PRESETS {
        let config: TrainingConfig = toml::from_str(preset(name).unwrap()).unwrap();
        assert_eq!(config.validate(), Ok(()), "{name}");
        assert_eq!(toml::from_str::<TrainingConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }
}

#[test]
fn an_older_field_is_refused_with_its_new_name() {
    let older = preset("ellipses").unwrap().replace("\nlevels", &format!("\n{OLD_LEVELS}"));
    let error = toml::from_str::<TrainingConfig>(&older).unwrap_err();
    assert!(error.message().contains(OLD_LEVELS), "{error}");
    assert!(renamed(&error).is_some_and(|remedy| remedy.contains("`levels`")));
    assert_eq!(renamed(&toml::from_str::<TrainingConfig>("sede = 1").unwrap_err()), None);
}

#[test]
fn faults_name_their_field() {
    let config: TrainingConfig = toml::from_str(preset("ellipses").unwrap()).unwrap();
    let named = |change: fn(&mut TrainingConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        changed.validate().unwrap_err().field
    };
    assert_eq!(named(|c| c.phase[1].smoothing.t_min = 0.0), "phase[1].smoothing.t_min");
    assert_eq!(named(|c| c.phase[1].smoothing.noise_spread = -0.1), "phase[1].smoothing.noise_spread");
    assert_eq!(named(|c| c.optimiser.beta_2 = 1.0), "optimiser.beta_2");
    assert_eq!(named(|c| c.phase.clear()), "phase");
    assert_eq!(named(|c| c.phase[0].crop = 30), "phase[0].crop");
    assert_eq!(named(|c| c.phase[1].learning_rate = f64::NAN), "phase[1].learning_rate");
    assert_eq!(named(|c| c.network.norm_groups = 7), "network");
}

#[test]
fn sizes_are_bounded_and_the_bound_is_named() {
    let config: TrainingConfig = toml::from_str(preset("ellipses").unwrap()).unwrap();
    let refused = |change: fn(&mut TrainingConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        changed.validate().unwrap_err().to_string()
    };
    let most = |c: &mut TrainingConfig| c.phase.iter_mut().for_each(|phase| phase.steps = u64::MAX);
    assert!(refused(most).contains("`the steps of all phases`"), "{}", refused(most));
    let wraps = |c: &mut TrainingConfig| {
        (c.phase[0].steps, c.phase[1].steps, c.phase[1].warm_up) = (u64::MAX, 5, 0);
    };
    assert!(refused(wraps).contains("at most 1000000000"), "{}", refused(wraps));
    type Change = fn(&mut TrainingConfig);
    let cases: [(Change, [&str; 2]); 8] = [
        (|c| c.data = DataConfig::Ellipses { size: 1_000_000_000 }, ["data.size", "4096"]),
        (|c| c.validation.images = usize::MAX / 2, ["validation.images", "16384"]),
        (|c| c.validation.reconstructions = usize::MAX / 2, ["validation.reconstructions", "16384"]),
        (|c| c.validation.iterations = u32::MAX, ["validation.iterations", "1000000"]),
        (|c| c.phase[0].batch = 1 << 40, ["phase[0].batch", "65536"]),
        (|c| c.levels = Some(u32::MAX), ["levels", "1000000"]),
        (|c| c.extrapolation = Some(f64::NAN), ["extrapolation", "below 1"]),
        (|c| (c.network.model_channels, c.network.channel_mult) = (4096, vec![64; 3]), ["network", "1073741824"]),
    ];
    for (change, words) in cases {
        let message = refused(change);
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
    }
}

#[test]
fn a_run_may_go_on_under_more_phases_only() {
    let config: TrainingConfig = toml::from_str(preset("ellipses").unwrap()).unwrap();
    let mut longer = config.clone();
    longer.phase.push(config.phase[1].clone());
    longer.validation.images += 1;
    assert!(config.is_begin_of(&longer, config.total_steps()));
    longer.phase[1].learning_rate *= 2.0;
    assert!(config.is_begin_of(&longer, config.phase[0].steps));
    assert!(!config.is_begin_of(&longer, config.phase[0].steps + 1));
    assert!(!config.is_begin_of(&TrainingConfig { seed: 2, ..config.clone() }, 0));
}

#[test]
fn steps_find_their_phase_and_images() {
    let config: TrainingConfig = toml::from_str(preset("ellipses").unwrap()).unwrap();
    let first = &config.phase[0];
    let (phase, step, image) = config.at(first.steps + 2).unwrap();
    assert_eq!((phase, step), (&config.phase[1], 2));
    assert_eq!(image, first.steps * first.batch as u64 + 2 * config.phase[1].batch as u64);
    assert_eq!(config.at(config.total_steps()), None);
}
