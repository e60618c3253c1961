//! The panel of faults: what can be switched, and what is on.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use crate::{
    model::NodeId,
    sandbox::{
        telegram::SimTelegram,
        vmmanager::{self, Fault},
    },
};

/// Sends and edits that one press of "429" refuses.
const TOO_MANY_TIMES: u32 = 5;
/// What a 429 asks to wait, in seconds.
const RETRY_AFTER_SECONDS: u32 = 3;
/// How slow a slow VMmanager is.
const SLOW_MILLIS: u64 = 2000;

/// Something that the page can switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Switch {
    /// VMmanager closes every connection.
    VmmanagerAway { on: bool },
    /// VMmanager takes its time.
    VmmanagerSlow { on: bool },
    /// VMmanager answers 503.
    VmmanagerUnavailable { on: bool },
    /// The bot's session ends once.
    TokenDead,
    /// The next migration fails.
    NextFails { on: bool },
    /// A node into maintenance, or out of it.
    Maintenance { node: u64, on: bool },
    /// Somebody else migrates a VM.
    ForeignMigration,
    /// A node fills up: this one, or any.
    Rush { node: Option<u64> },
    /// The next posts are refused with 429.
    TelegramTooMany { on: bool },
    /// Telegram drops every connection.
    TelegramAway { on: bool },
    /// Another bot instance polls.
    TelegramConflict { on: bool },
    /// The bot dies at once.
    BotKill,
    /// The bot starts again.
    BotRestart,
}

/// Does it.
pub(super) async fn throw(shared: &Shared, switch: Switch) {
    let Shared { telegram, vmmanager, life, bot, .. } = shared;
    let fault = |fault: Fault, on: bool| {
        vmmanager.switch_off(&fault);
        if on {
            vmmanager.switch_on(fault);
        }
    };
    match switch {
        Switch::VmmanagerAway { on } => fault(Fault::Away, on),
        Switch::VmmanagerSlow { on } => fault(Fault::Slow { millis: SLOW_MILLIS }, on),
        Switch::VmmanagerUnavailable { on } => fault(Fault::Unavailable, on),
        Switch::TokenDead => vmmanager.end_sessions(),
        Switch::NextFails { on } => {
            vmmanager.switch_off(&Fault::libvirt_failure());
            if on {
                vmmanager.arm(Fault::libvirt_failure());
            }
        }
        Switch::Maintenance { node, on } => vmmanager.set_maintenance(NodeId(node), on),
        Switch::ForeignMigration => {
            vmmanager.arm(Fault::ForeignMigration { vm: None, target: None, says_vm: true });
        }
        Switch::Rush { node } => {
            let mut life = life.lock().await;
            vmmanager.look(|world| life.begin_rush(world, node.map(NodeId)));
        }
        Switch::TelegramTooMany { on } => telegram.set_faults(|faults| {
            faults.too_many_requests = if on { TOO_MANY_TIMES } else { 0 };
            faults.retry_after_seconds = RETRY_AFTER_SECONDS;
        }),
        Switch::TelegramAway { on } => telegram.set_faults(|faults| faults.away = on),
        Switch::TelegramConflict { on } => telegram.set_faults(|faults| faults.conflict = on),
        Switch::BotKill => bot.kill().await,
        Switch::BotRestart => {
            if let Err(error) = bot.restart().await {
                tracing::warn!(%error, "failed to start the bot again");
            }
        }
    }
}

/// Says what is on, by the names of [`Switch`].
pub(super) fn state(telegram: &SimTelegram, vmmanager: &vmmanager::Running) -> Value {
    let rules = vmmanager.faults();
    let is_on = |is: fn(&Fault) -> bool| rules.iter().any(|rule| is(&rule.fault));
    let faults = telegram.faults();
    json!({
        "vmmanager_away": is_on(|fault| matches!(fault, Fault::Away)),
        "vmmanager_slow": is_on(|fault| matches!(fault, Fault::Slow { .. })),
        "vmmanager_unavailable": is_on(|fault| matches!(fault, Fault::Unavailable)),
        "next_fails": is_on(|fault| matches!(fault, Fault::Fails { .. })),
        "telegram_too_many": faults.too_many_requests > 0,
        "telegram_away": faults.away,
        "telegram_conflict": faults.conflict,
    })
}
