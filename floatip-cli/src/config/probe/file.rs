//! `kind = "file"`.

use std::path::PathBuf;

use floatip_probes::{FileProbe, SettingError};
use toml::Spanned;

use crate::config::defaults::DefaultSetting;
use crate::config::table::Table;

/// A file by which people speak to the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FileSpec {
    path: PathBuf,
    pub(crate) must_exist: bool,
}

impl FileSpec {
    pub(super) const KEYS: &[&str] = &["path", "must_exist"];

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        if !table.has("path") {
            table.lacks("path", "the file, such as `path = \"/run/floatip/maintenance/{node}\"`");
        }
        let path = table.optional::<PathBuf>("path").map(Spanned::into_inner);
        let mut must_exist = false;
        table.set("must_exist", &mut must_exist);
        path.map(|path| Self { path: table.report.resolve(&path), must_exist })
    }

    pub(super) fn build(&self) -> Result<FileProbe, SettingError> {
        // What the configuration holds is UTF-8; the folder that it lies in may not be.
        let path = self
            .path
            .to_str()
            .ok_or(SettingError::Unusable { setting: "the path", detail: "it is not UTF-8".to_owned() })?;
        Ok(FileProbe::new(path)?.must_exist(self.must_exist))
    }

    pub(super) fn defaults() -> Vec<DefaultSetting> {
        let meaning = "true: a sign of life, without which a node is unhealthy; false: it means maintenance";
        let default = Some("false".to_owned());
        vec![DefaultSetting::new("[[floating_ip.probe]] # kind = \"file\"", "must_exist", default, meaning)]
    }
}
