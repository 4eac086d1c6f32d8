//! The scenario of a run, and what of it will befall nothing.

use std::fs;
use std::path::Path;

use dunlin_config_format::config::Config;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;

use super::super::{CommandError, Exit, check};
use super::Arguments;
use crate::compile::{Source, idle_faults, parse_scenario, told};
use crate::package::near_file;

/// A scenario, and its text where it has one.
pub(super) struct Script {
    pub(super) scenario: Scenario,
    source: Option<Source>,
}

impl Script {
    /// Reads the scenario that is asked for; without one nothing goes wrong.
    ///
    /// # Errors
    /// Every problem of its file.
    pub(super) fn load(arguments: &Arguments) -> Result<Self, CommandError> {
        let Some(path) = &arguments.scenario else {
            let seed = arguments.seed.unwrap_or(0);
            let scenario = Scenario { seed, ..Scenario::quiet(Environment::room(seed)) };
            return Ok(Script { scenario, source: None });
        };
        if !path.exists() {
            let cure = match near_file(path) {
                Some(near) => format!("did you mean `{}`?", near.display()),
                None => "a scenario is told in examples/configs/failures.scenario.toml".to_owned(),
            };
            let text = format!("`{}` does not exist: {cure}", path.display());
            return Err(CommandError::new(Exit::Refused, text));
        }
        let source = check::read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let file = |name: &str| fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
        match parse_scenario(&source, arguments.seed, file) {
            Ok(scenario) => Ok(Script { scenario, source: Some(source) }),
            Err((problems, untold)) => {
                let told = told(&source, &problems, untold).join("\n");
                Err(CommandError::new(Exit::Refused, format!("the scenario is refused\n\n{told}")))
            }
        }
    }

    /// Warns of faults that are without effect on the configuration in this run.
    pub(super) fn warn(&self, arguments: &Arguments, config: &Config<'_>) {
        let Some(source) = &self.source else { return };
        let idle = idle_faults(source, &self.scenario, config, arguments.duration);
        told(source, &idle, 0).iter().for_each(|warning| eprintln!("{warning}"));
    }
}
