//! Logs on stderr, by tracing.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines to be read.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends logs to stderr: of floatip from `info` on, more with each `-v`; of the libraries beneath, one or two levels
/// less.
pub(crate) fn init(format: LogFormat, verbose: u8) {
    let (own, others) = match verbose {
        0 => (LevelFilter::INFO, LevelFilter::WARN),
        1 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::INFO),
    };
    let filter = Targets::new()
        .with_default(others)
        .with_targets(["floatip", "floatip_core", "floatip_aws", "floatip_probes"].map(|target| (target, own)))
        // FTP's two sides log each command, the password too; and the demo's servers every session that is cut.
        .with_targets(["suppaftp", "libunftp"].map(|target| (target, LevelFilter::OFF)));
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_target(false);
    let layer = match format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}
