//! `kind = "exec"`.

use floatip_probes::{ExecProbe, SettingError};
use toml::Spanned;

use crate::config::defaults::DefaultSetting;
use crate::config::setting::Texts;
use crate::config::table::Table;

/// A program with the exit codes of Nagios plugins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ExecSpec {
    command: Vec<String>,
    pass_env: Vec<String>,
}

impl ExecSpec {
    pub(super) const KEYS: &[&str] = &["command", "pass_env"];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        if !table.has("command") {
            table.lacks(
                "command",
                "the program and its arguments, `command = [\"/usr/lib/…/check_x\", \"-H\", \"{host}\"]`",
            );
        }
        let command = table.optional::<Texts>("command").map(Spanned::into_inner);
        let mut pass_env = Texts::default();
        table.set("pass_env", &mut pass_env);
        command.map(|command| Self { command: command.0, pass_env: pass_env.0 })
    }

    pub(super) fn build(&self) -> Result<ExecProbe, SettingError> {
        let (program, arguments) = self.command.split_first().ok_or(SettingError::Empty("the command"))?;
        Ok(ExecProbe::new(program, arguments)?.pass(&self.pass_env))
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let meaning = "variables of the monitor that the program gets beside PATH, HOME, LANG, TZ, TMPDIR";
        vec![DefaultSetting::new("[[floating_ip.probe]] # kind = \"exec\"", "pass_env", Some("[]".to_owned()), meaning)]
    }
}
