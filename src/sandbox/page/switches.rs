//! The panel of faults: what can be switched, and what is on.
//!
//! The faults that a newcomer tries first are here; all others are in the table of `offers`.

use std::mem::discriminant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Shared, offers};
use crate::{
    model::NodeId,
    sandbox::{
        BotChat,
        telegram::SimError,
        vmmanager::{self, Fault, Rule},
    },
};

/// How many sends and edits one press of "429" refuses.
const TOO_MANY_TIMES: u32 = 5;
/// How long a 429 asks to wait, in seconds.
const RETRY_AFTER_SECONDS: u32 = 3;
/// How slow a slow VMmanager is.
const SLOW_MILLIS: u64 = 2000;

/// Something that the page can switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Switch {
    /// VMmanager closes every connection.
    VmmanagerAway { on: bool },
    /// VMmanager answers slowly.
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
    /// A node burns CPU: this one, or any.
    Burn { node: Option<u64> },
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
    /// The bot is configured for another chat, and starts again.
    BotChat { chat: BotChat },
    /// One of the other faults, by its name in the table.
    Fault { fault: String, on: bool },
}

/// Why a switch did nothing.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    #[error("there is no fault {0:?}")]
    NoFault(String),
    #[error("nothing was said yet that this could be done to")]
    NothingSaid,
    #[error("nobody measures load: start the sandbox with --ssh on")]
    NothingMeasured,
    #[error(transparent)]
    Telegram(#[from] SimError),
    #[error("this could not be done to the bot")]
    Bot(#[from] std::io::Error),
}

/// Carries out a switch.
pub(super) async fn throw(shared: &Shared, switch: Switch) -> Result<(), SwitchError> {
    let Shared { telegram, vmmanager, life, bot, .. } = shared;
    let fault = |fault: Fault, on: bool| switch_on_off(vmmanager, &fault, on);
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
        Switch::Burn { node } => {
            let mut life = life.lock().await;
            if !life.is_measured() {
                return Err(SwitchError::NothingMeasured);
            }
            vmmanager.look(|world| life.begin_burn(world, node.map(NodeId)));
        }
        Switch::TelegramTooMany { on } => telegram.set_faults(|faults| {
            faults.too_many_requests = if on { TOO_MANY_TIMES } else { 0 };
            faults.retry_after_seconds = RETRY_AFTER_SECONDS;
        }),
        Switch::TelegramAway { on } => telegram.set_faults(|faults| faults.away = on),
        Switch::TelegramConflict { on } => telegram.set_faults(|faults| faults.conflict = on),
        Switch::BotKill => bot.kill().await,
        Switch::BotRestart => bot.restart().await?,
        Switch::BotChat { chat } => {
            bot.set_variable("TELEGRAM_CHAT_ID", chat.id());
            bot.restart().await?;
        }
        Switch::Fault { fault, on } => offers::throw(shared, &fault, on).await?,
    }
    Ok(())
}

/// Switches a kind of VMmanager fault on or off.
pub(super) fn switch_on_off(vmmanager: &vmmanager::Running, fault: &Fault, on: bool) {
    vmmanager.switch_off(fault);
    if on {
        vmmanager.switch_on(fault.clone());
    }
}

/// Returns whether a fault of this kind is on.
pub(super) fn is_in_force(rules: &[Rule], fault: &Fault) -> bool {
    rules.iter().any(|rule| discriminant(&rule.fault) == discriminant(fault))
}

/// Returns what is on, by the names of [`Switch`] and of the other faults.
pub(super) fn state(shared: &Shared) -> Value {
    let Shared { telegram, vmmanager, bot, .. } = shared;
    let rules = vmmanager.faults();
    let is_on = |fault: Fault| is_in_force(&rules, &fault);
    let faults = telegram.faults();
    let chat_id = bot.variable("TELEGRAM_CHAT_ID");
    let chat = BotChat::ALL.into_iter().find(|chat| Some(chat.id()) == chat_id);
    let resting = vmmanager.look(|world| {
        world.nodes.values().find(|node| node.maintenance).map(|node| (node.id, node.name.clone()))
    });
    let mut state = json!({
        "vmmanager_away": is_on(Fault::Away),
        "vmmanager_slow": is_on(Fault::Slow { millis: SLOW_MILLIS }),
        "vmmanager_unavailable": is_on(Fault::Unavailable),
        "next_fails": is_on(Fault::libvirt_failure()),
        "telegram_too_many": faults.too_many_requests > 0,
        "telegram_away": faults.away,
        "telegram_conflict": faults.conflict,
        "bot_chat": chat,
        "room": shared.room(),
        "in_maintenance": resting,
    });
    if let Some(state) = state.as_object_mut() {
        state.extend(offers::state(shared));
    }
    state
}
