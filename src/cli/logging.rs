//! The log: to standard error, in text or in JSON.

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFormat, LogLevel};

/// Starts the log; `false` where it runs already.
pub(super) fn start(level: LogLevel, format: LogFormat) -> bool {
    let layer = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(targets(level));
    match format {
        LogFormat::Text => registry.with(layer).try_init().is_ok(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init().is_ok(),
    }
}

/// Ours at the level that was asked for; libraries at warnings, since below that some of them write whole
/// requests, and a bot's token is a part of their address.
fn targets(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), ours).with_default(ours.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_never_speak_below_warnings() {
        for level in [LogLevel::Error, LogLevel::Info, LogLevel::Trace] {
            let targets = targets(level);
            assert!(!targets.would_enable("hyper::client", &Level::INFO), "{level:?}");
            assert!(targets.would_enable("teloxide", &Level::ERROR), "{level:?}");
        }
        assert!(targets(LogLevel::Debug).would_enable("vm_balancer::cli", &Level::DEBUG));
        assert!(!targets(LogLevel::Info).would_enable("vm_balancer::cli", &Level::DEBUG));
        assert!(!targets(LogLevel::Error).would_enable("teloxide", &Level::WARN));
    }
}
