//! The log: to standard error, in text or in JSON.

use std::{
    fmt,
    io::{Write as _, stderr},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anstream::{AutoStream, ColorChoice};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Registry,
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format, format::Writer, layer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, LogLevel};

/// Changes the level of the running log.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Changes the level of the log that runs.
pub(super) fn set_level(level: LogLevel) {
    if let Some(Err(error)) = LEVEL.get().map(|log| log.reload(targets(level))) {
        tracing::warn!(%error, "the level of the log cannot be changed");
    }
}

/// Whether every line is JSON. Then a failure of the program is logged too and not printed.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Starts the log. Returns `false` if it runs already. With `journal`, systemd's journal reads the lines and adds the
/// time itself.
pub(super) fn start(level: LogLevel, format: LogFormat, journal: bool) -> bool {
    // Colours are for terminals, and not with NO_COLOR or TERM=dumb.
    let is_coloured = !journal && AutoStream::choice(&stderr()) != ColorChoice::Never;
    let layer = layer().with_writer(stderr).with_ansi(is_coloured);
    let (targets, handle) = reload::Layer::new(targets(level));
    let registry = tracing_subscriber::registry().with(targets);
    let started = match (format, journal) {
        (LogFormat::Json, _) => {
            IS_JSON.store(true, Ordering::Relaxed);
            registry.with(layer.json().flatten_event(true)).try_init().is_ok()
        }
        (LogFormat::Text, true) => {
            registry.with(layer.event_format(Prioritized(format::format().without_time()))).try_init().is_ok()
        }
        (LogFormat::Text, false) => registry.with(layer).try_init().is_ok(),
    };
    if started {
        let _ = LEVEL.set(handle);
    }
    started
}

/// Says something beside the result, as a line of the log where that is JSON.
pub(super) fn say_note(told: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        tracing::info!("{told}");
    } else {
        let _ = writeln!(stderr(), "vm-balancer: {told}");
    }
}

/// Says why the program ends, as a line of the log where that is JSON.
pub(super) fn say_failure(told: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        tracing::error!(error = told, "vm-balancer cannot go on");
    } else {
        // Nobody may read standard error; the exit status says it too.
        let _ = writeln!(stderr(), "vm-balancer: {told}");
    }
}

/// Puts the priority in front of a line, as `sd-daemon(3)` has it.
struct Prioritized<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// Our own lines at the configured level, and those of libraries at WARN. At lower levels some libraries log whole
/// requests, and the address of a request to Telegram holds the token.
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
