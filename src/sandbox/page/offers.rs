//! The table of all faults of the simulated servers that have no button of their own in the page.

use std::{fs::OpenOptions, io, path::Path, time::Duration};

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Shared,
    switches::{SwitchError, is_in_force, switch_on_off},
};
use crate::{
    model::Mib,
    sandbox::{
        telegram::{FORUM, Faults, GROUP, OPS_TOPIC, Place, Role},
        vmmanager::{Fault, SimNode, World},
    },
};

/// How slow a slow Telegram is.
const TELEGRAM_SLOW: Duration = Duration::from_secs(3);
/// How many sends, edits and answers lose their response after one press.
const LOST_ANSWERS: u32 = 3;
/// How many of the newest updates are delivered again after one press.
const REPLAYED: i64 = 3;
/// As libvirt says it.
const LIBVIRT_ERROR: &str = "Failed to connect socket to '/var/run/libvirt/libvirt-sock'";
/// Newer than the kernel of every other node.
const NEWER_KERNEL: &str = "6.12.0-55.el10.x86_64";
/// Too little for most VMs.
const LITTLE_DISK: Mib = Mib(5 * 1024);
/// How wrong the bot's clock is set: as after a dead battery that was noticed late.
const CLOCK_DAYS: i64 = 40;
/// The number that Telegram begins anew with.
const UPDATES_FROM: i64 = 17;
/// The bytes that remain of the store's file when it is damaged: too few to pass as a whole store.
const DAMAGED_FILE_PART: u64 = 100;

/// A fault that the page offers.
struct Offer {
    /// The side and the fault's own name, e.g. `vmmanager_html`.
    name: String,
    group: Group,
    label: &'static str,
    how: How,
}

/// Where the page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Group {
    #[serde(rename = "VMmanager's answers")]
    Answers,
    #[serde(rename = "VMmanager's lists")]
    Lists,
    #[serde(rename = "The next order")]
    Order,
    #[serde(rename = "The next migration")]
    Migration,
    Telegram,
    Bot,
}

/// What a press on its button does.
enum How {
    /// Goes on until it is switched off.
    Lasting(Fault),
    /// Affects the next order only.
    Next(Fault),
    /// Disturbs the line to Telegram.
    Line(Line),
    /// Removes the bot from its chat until it is added again.
    Kicked,
    /// Makes the emptiest node a bad target.
    Node(Oddity),
    /// Sets the bot's clock this many days ahead.
    Clock(i64),
    /// Happens at once and cannot be undone.
    Event(Event),
}

/// What makes a node a bad target, however empty it is.
#[derive(Clone, Copy)]
enum Oddity {
    LibvirtError,
    NewerKernel,
    LittleDisk,
}

#[derive(Clone, Copy)]
enum Line {
    ServerErrors,
    LostAnswers,
    LateAnswers,
    Slow,
}

enum Event {
    CountUpdatesAnew,
    RestorePlatform,
    Replay,
    Supergroup,
    DeleteMessage,
    DeleteTopic,
    DamageStore,
}

impl Offer {
    fn holds(&self) -> bool {
        !matches!(self.how, How::Event(_))
    }

    fn is_on(&self, shared: &Shared) -> bool {
        match &self.how {
            How::Lasting(fault) | How::Next(fault) => is_in_force(&shared.vmmanager.faults(), fault),
            How::Line(line) => line.is_on(&shared.telegram.faults()),
            How::Kicked => {
                let chat = shared.bot_place().chat;
                shared.telegram.chats().iter().any(|view| view.id == chat && view.bot == Role::Kicked)
            }
            How::Node(oddity) => {
                shared.vmmanager.look(|world| world.nodes.values().any(|node| oddity.is_on(node)))
            }
            How::Clock(days) => shared.bot.clock_shift().get() == TimeDelta::days(*days),
            How::Event(_) => false,
        }
    }
}

impl Oddity {
    fn is_on(self, node: &SimNode) -> bool {
        match self {
            Self::LibvirtError => !node.libvirt_error.is_empty(),
            Self::NewerKernel => node.kernel_version == NEWER_KERNEL,
            Self::LittleDisk => node.disk_free == LITTLE_DISK,
        }
    }

    /// Puts it on the emptiest node that is like others, or takes it off every node.
    fn set(self, world: &mut World, on: bool) {
        let usual = SimNode::new("");
        let set = |node: &mut SimNode, on: bool| match self {
            Self::LibvirtError => node.libvirt_error = if on { LIBVIRT_ERROR.into() } else { String::new() },
            Self::NewerKernel if on => node.kernel_version = NEWER_KERNEL.into(),
            Self::NewerKernel => node.kernel_version.clone_from(&usual.kernel_version),
            Self::LittleDisk => node.disk_free = if on { LITTLE_DISK } else { usual.disk_free },
        };
        if on {
            let emptiest = world.nodes.values_mut().min_by_key(|node| node.memory_used);
            emptiest.into_iter().for_each(|node| set(node, true));
        } else {
            world.nodes.values_mut().filter(|node| self.is_on(node)).for_each(|node| set(node, false));
        }
    }
}

impl Line {
    fn set(self, faults: &mut Faults, on: bool) {
        match self {
            Self::ServerErrors => faults.server_errors = if on { u32::MAX } else { 0 },
            Self::LostAnswers => faults.lost_answers = if on { LOST_ANSWERS } else { 0 },
            Self::LateAnswers => faults.late_answers = on,
            Self::Slow => faults.slow = if on { TELEGRAM_SLOW } else { Duration::ZERO },
        }
    }

    fn is_on(self, faults: &Faults) -> bool {
        match self {
            Self::ServerErrors => faults.server_errors > 0,
            Self::LostAnswers => faults.lost_answers > 0,
            Self::LateAnswers => faults.late_answers,
            Self::Slow => !faults.slow.is_zero(),
        }
    }
}

/// Returns what the page draws the buttons from.
pub(super) fn shown() -> Value {
    let rows = offers().into_iter().map(|offer| {
        let holds = offer.holds();
        let Offer { name, group, label, how: _ } = offer;
        json!({ "name": name, "group": group, "label": label, "holds": holds })
    });
    rows.collect()
}

/// Returns which of them are on, by name.
pub(super) fn state(shared: &Shared) -> Map<String, Value> {
    let holding = offers().into_iter().filter(Offer::holds);
    holding.map(|offer| (offer.name.clone(), json!(offer.is_on(shared)))).collect()
}

/// Switches one of them, by name.
pub(super) async fn throw(shared: &Shared, name: &str, on: bool) -> Result<(), SwitchError> {
    let Shared { telegram, vmmanager, .. } = shared;
    let offer = offers().into_iter().find(|offer| offer.name == name);
    match offer.ok_or_else(|| SwitchError::NoFault(name.to_owned()))?.how {
        How::Lasting(fault) => {
            switch_on_off(vmmanager, &fault, on);
            if fault == Fault::RunsForever && !on {
                vmmanager.finish_endless();
            }
        }
        How::Next(fault) => {
            vmmanager.switch_off(&fault);
            if on {
                vmmanager.arm(fault);
            }
        }
        How::Line(line) => telegram.set_faults(|faults| line.set(faults, on)),
        How::Kicked => {
            let role = if on { Role::Kicked } else { Role::Member };
            telegram.set_bot_role(shared.bot_place().chat, role)?;
        }
        How::Node(oddity) => vmmanager.edit(|world| oddity.set(world, on)),
        How::Clock(days) => {
            shared.bot.clock_shift().set(if on { TimeDelta::days(days) } else { TimeDelta::zero() });
        }
        How::Event(event) => happen(shared, event).await?,
    }
    Ok(())
}

async fn happen(shared: &Shared, event: Event) -> Result<(), SwitchError> {
    let Shared { telegram, vmmanager, bot, .. } = shared;
    match event {
        Event::CountUpdatesAnew => telegram.count_updates_from(UPDATES_FROM),
        Event::RestorePlatform => vmmanager.restore_from_backup(),
        Event::Replay => {
            let last = telegram.last_update_id().ok_or(SwitchError::NothingSaid)?;
            // Ids before the first update do not exist, so counting starts from the newest.
            let known = (last - REPLAYED + 1..=last).rev().filter(|id| telegram.replay(*id).is_ok()).count();
            debug_assert!(known > 0);
        }
        Event::Supergroup => drop(telegram.migrate_to_supergroup(GROUP)?),
        Event::DeleteMessage => {
            let Place { chat, thread } = shared.bot_place();
            let own = |message: &crate::sandbox::telegram::SimMessage| {
                message.from.id == telegram.bot().id && message.thread == thread
            };
            let newest = telegram.messages(chat).into_iter().rev().find(own);
            telegram.delete_message(chat, newest.ok_or(SwitchError::NothingSaid)?.id)?;
        }
        Event::DeleteTopic => telegram.delete_topic(FORUM, OPS_TOPIC)?,
        Event::DamageStore => {
            bot.kill().await;
            let folder = bot.variable("DATA_DIR").unwrap_or_default();
            let damaged = damage(Path::new(&folder));
            // The bot is started again even where the damage failed.
            bot.restart().await?;
            damaged?;
        }
    }
    Ok(())
}

/// Truncates the file of the bot's store, as a disk that loses acknowledged writes does.
fn damage(data_dir: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(data_dir.join("store").join("db"))?;
    file.set_len(file.metadata()?.len() / DAMAGED_FILE_PART)
}

fn offers() -> Vec<Offer> {
    vmmanager_offers().into_iter().chain(telegram_offers()).chain(bot_offers()).collect()
}

/// Returns one offer for each fault of the simulated VMmanager that has no button of its own.
fn vmmanager_offers() -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for fault in Fault::examples() {
        let Some((group, label)) = described(&fault) else { continue };
        let name = format!("vmmanager_{}", fault.kind());
        // Examples of one kind may differ in numbers. Faults are switched off by kind, so one offer is enough.
        if offers.iter().any(|offer| offer.name == name) {
            continue;
        }
        let next = matches!(group, Group::Order | Group::Migration)
            && !matches!(fault, Fault::RunsForever | Fault::PullsBack);
        let how = if next { How::Next(fault) } else { How::Lasting(fault) };
        offers.push(Offer { name, group, label, how });
    }
    for (name, label, how) in [
        ("node_fault", "The emptiest node has a fault of libvirt", How::Node(Oddity::LibvirtError)),
        ("newer_kernel", "The emptiest node has a newer kernel", How::Node(Oddity::NewerKernel)),
        ("little_disk", "The emptiest node has 5 GiB of disk left", How::Node(Oddity::LittleDisk)),
        ("restored", "VMmanager is restored and counts anew", How::Event(Event::RestorePlatform)),
    ] {
        offers.push(Offer { name: format!("vmmanager_{name}"), group: Group::Lists, label, how });
    }
    offers
}

fn described(fault: &Fault) -> Option<(Group, &'static str)> {
    match fault {
        // These have buttons of their own.
        Fault::Away
        | Fault::Slow { .. }
        | Fault::Unavailable
        | Fault::DeadToken
        | Fault::Fails { .. }
        | Fault::ForeignMigration { .. } => None,
        Fault::Status { .. } => Some((Group::Answers, "500")),
        Fault::Html => Some((Group::Answers, "HTML instead of JSON")),
        Fault::ErrorInOk { .. } => Some((Group::Answers, "Error inside 200")),
        Fault::TornBody => Some((Group::Answers, "Answers torn in half")),
        Fault::FalseError { .. } => Some((Group::Answers, "Done, yet answered as a dead token under 500")),
        Fault::WrongPassword => Some((Group::Answers, "Log-ins refused")),
        Fault::Hangs => Some((Group::Answers, "Never come")),
        Fault::LoginEcho => Some((Group::Answers, "Log-ins refused with the password quoted")),
        Fault::ReadOnlyAdmin => Some((Group::Answers, "Changes forbidden")),
        Fault::ClockSkew { .. } => Some((Group::Answers, "Clock two hours ahead")),
        Fault::EmptyLists => Some((Group::Lists, "Empty")),
        Fault::HalfLists => Some((Group::Lists, "Half of the rows missing")),
        Fault::ShrunkList => Some((Group::Lists, "Half of the VMs gone")),
        Fault::PageOf { .. } => Some((Group::Lists, "In pages of 50 rows")),
        Fault::UnreadableRows => Some((Group::Lists, "Rows without id")),
        Fault::OddRecord => Some((Group::Lists, "A VM's name cut in the middle of a letter")),
        Fault::Busy { .. } => Some((Group::Lists, "A backup runs for a VM")),
        Fault::FilterBroken => Some((Group::Lists, "Filters broken")),
        Fault::TaskFilterBroken => Some((Group::Lists, "Filters of tasks broken")),
        Fault::NoMigrateForm => Some((Group::Order, "No form to ask first")),
        Fault::FormSaysNo { .. } => Some((Group::Order, "Form refuses every target")),
        Fault::OrderUnavailable => Some((Group::Order, "503, not taken")),
        Fault::OrderReset => Some((Group::Order, "Answer lost")),
        Fault::OrderGateway { .. } => Some((Group::Order, "Answer is a gateway's 504")),
        Fault::OrderTakenUnder { .. } => Some((Group::Order, "Taken, and answered with 503")),
        Fault::OrderWithoutTask => Some((Group::Order, "Answer names no task")),
        Fault::NodeIntoMaintenance => Some((Group::Order, "Target into maintenance")),
        Fault::TaskNeverShows => Some((Group::Migration, "Task never shows")),
        Fault::TaskLost { .. } => Some((Group::Migration, "Task vanishes")),
        Fault::CompleteWithoutMove => Some((Group::Migration, "Completes without a move")),
        Fault::EndsWith { .. } => Some((Group::Migration, "Ends with an empty word")),
        Fault::PullsBack => Some((Group::Migration, "Somebody moves each VM back")),
        Fault::RunsForever => Some((Group::Migration, "None ends until this is off")),
        Fault::Deferred { .. } => Some((Group::Migration, "Waits before it starts")),
        Fault::VmVanishes => Some((Group::Migration, "VM vanishes")),
        Fault::TargetVanishes => Some((Group::Migration, "Node vanishes")),
    }
}

fn telegram_offers() -> Vec<Offer> {
    let offer = |name: &str, label, how| Offer {
        name: format!("telegram_{name}"),
        group: Group::Telegram,
        label,
        how,
    };
    vec![
        offer("server_errors", "502", How::Line(Line::ServerErrors)),
        offer("lost_answers", "Answers lost", How::Line(Line::LostAnswers)),
        offer("late_answers", "Answers never come", How::Line(Line::LateAnswers)),
        offer("slow", "Slow", How::Line(Line::Slow)),
        offer("kicked", "Bot kicked out", How::Kicked),
        offer("counts_anew", "Count updates anew", How::Event(Event::CountUpdatesAnew)),
        offer("replay", "Replay the last updates", How::Event(Event::Replay)),
        offer("supergroup", "Group becomes a supergroup", How::Event(Event::Supergroup)),
        offer("delete_message", "Delete the bot's newest message", How::Event(Event::DeleteMessage)),
        offer("delete_topic", "Delete the topic", How::Event(Event::DeleteTopic)),
    ]
}

fn bot_offers() -> Vec<Offer> {
    let offer = |name: &str, label, how| Offer { name: format!("bot_{name}"), group: Group::Bot, label, how };
    vec![
        offer("clock_back", "Its clock is 40 days back", How::Clock(-CLOCK_DAYS)),
        offer("clock_ahead", "Its clock is 40 days ahead", How::Clock(CLOCK_DAYS)),
        offer("damaged_store", "Kill, damage the store, restart", How::Event(Event::DamageStore)),
    ]
}
