//! Faults that can be switched on.

use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use crate::model::{NodeId, VmId};

/// A fault. Switched on it happens every time, armed it happens a number of times.
///
/// As JSON `{"kind": "slow", "millis": 300}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    // ---- any request
    /// The connection is closed without an answer, and nothing is done.
    Away,
    /// The answer is delayed; the request is carried out before.
    Slow {
        millis: u64,
    },
    /// The request is carried out, and its answer never comes.
    Hangs,
    /// 503 with the text `Unavailable`, as a suspended service says.
    Unavailable,
    /// A status such as 500, 502, 504, and nothing is done.
    Status {
        status: u16,
    },
    /// 200 with a page instead of JSON, and nothing is done.
    Html,
    /// 200 with an `error` in it, and nothing is done.
    ErrorInOk {
        code: i64,
        msg: String,
    },
    /// All sessions end.
    DeadToken,
    /// The status line and half of the body, then a reset.
    TornBody,
    /// The request is carried out and answered with this status and this code, as if it had failed.
    FalseError {
        status: u16,
        code: i64,
    },
    // ---- log-ins and rights
    WrongPassword,
    /// A gateway refuses the log-in and quotes it, as it came and as a form would have it.
    LoginEcho,
    /// The user may only read; every change is answered with 3001.
    ReadOnlyAdmin,
    // ---- lists
    EmptyLists,
    /// `size` counts all rows, but half of them are missing from every page.
    HalfLists,
    /// Half of the VMs are gone, and `size` agrees.
    ShrunkList,
    /// No answer has more rows than this; the others are on further pages.
    PageOf {
        rows: usize,
    },
    /// The first node and the first VM come without an id.
    UnreadableRows,
    /// Half of a surrogate pair in the name of the first VM.
    OddRecord,
    /// 500 for any `where` on nodes and VMs.
    FilterBroken,
    /// 500 for any `where` on tasks.
    TaskFilterBroken,
    // ---- the migrate form
    NoMigrateForm,
    /// The form calls this target unsuitable, or every one.
    FormSaysNo {
        #[serde(default)]
        node: Option<NodeId>,
    },
    // ---- an order
    /// 503 to the order, which is not taken.
    OrderUnavailable,
    /// The order is taken and the connection reset.
    OrderReset,
    /// The order is taken and answered by a gateway, e.g. with 502 or 504.
    OrderGateway {
        status: u16,
    },
    /// The order is taken, and its task is named under a status that says it was not.
    OrderTakenUnder {
        status: u16,
    },
    /// The order is taken and answered without a task number.
    OrderWithoutTask,
    /// The target goes into maintenance just before the order is read.
    NodeIntoMaintenance,
    // ---- the migration that an order starts
    /// The task appears in no list and no history, but the VM moves.
    TaskNeverShows,
    /// The task appears, then disappears from list and history; the VM moves where `moves`.
    TaskLost {
        moves: bool,
    },
    CompleteWithoutMove,
    /// The task ends with a word that nobody documented; the VM moves where `moves`.
    EndsWith {
        word: String,
        moves: bool,
    },
    Fails {
        output: String,
    },
    RunsForever,
    /// The task waits before it starts.
    Deferred {
        millis: u64,
        reason: String,
    },
    /// The VM is deleted half-way.
    VmVanishes,
    /// The target is deleted half-way.
    TargetVanishes,
    // ---- events, at once
    /// A migration that the bot did not order, of this VM or of the first that can move.
    ForeignMigration {
        #[serde(default)]
        vm: Option<VmId>,
        #[serde(default)]
        target: Option<NodeId>,
        /// The task's row says which VM it is about.
        #[serde(default)]
        says_vm: bool,
    },
    /// A foreign hand: somebody moves each VM back as soon as the bot has moved it.
    PullsBack,
    /// A task that is no migration runs for this VM, or for the first that can move, until the fault is switched off.
    Busy {
        #[serde(default)]
        vm: Option<VmId>,
        /// E.g. `host_backup`.
        task: String,
        /// The task's row says which VM it is about.
        #[serde(default)]
        says_vm: bool,
    },
    /// All dates are wrong by this much.
    ClockSkew {
        seconds: i64,
    },
}

impl Fault {
    /// libvirt's text for CPUs that do not match: three lines, with markup in it.
    #[must_use]
    pub fn libvirt_failure() -> Self {
        let output = "Live migration failed\nerror: operation failed: guest CPU doesn't match specification: \
                      missing features: <avx512f>\nerror: migration of domain was aborted";
        Self::Fails { output: output.into() }
    }

    /// Returns the name of its kind, as in its JSON.
    #[must_use]
    pub fn kind(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// One of each kind, with usual numbers: what a page can offer.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        let foreign = |says_vm| Self::ForeignMigration { vm: None, target: None, says_vm };
        let reason = "another task of this host is running".to_owned();
        vec![
            Self::Away,
            Self::Slow { millis: 2000 },
            Self::Hangs,
            Self::Unavailable,
            Self::Status { status: 500 },
            Self::Html,
            Self::ErrorInOk { code: 5000, msg: "internal error".into() },
            Self::DeadToken,
            Self::TornBody,
            Self::FalseError { status: 500, code: 1000 },
            Self::WrongPassword,
            Self::LoginEcho,
            Self::ReadOnlyAdmin,
            Self::EmptyLists,
            Self::HalfLists,
            Self::ShrunkList,
            Self::PageOf { rows: 50 },
            Self::UnreadableRows,
            Self::OddRecord,
            Self::FilterBroken,
            Self::TaskFilterBroken,
            Self::NoMigrateForm,
            Self::FormSaysNo { node: None },
            Self::OrderUnavailable,
            Self::OrderReset,
            Self::OrderGateway { status: 504 },
            Self::OrderTakenUnder { status: 503 },
            Self::OrderWithoutTask,
            Self::NodeIntoMaintenance,
            Self::TaskNeverShows,
            Self::TaskLost { moves: true },
            Self::TaskLost { moves: false },
            Self::CompleteWithoutMove,
            Self::EndsWith { word: String::new(), moves: true },
            Self::libvirt_failure(),
            Self::RunsForever,
            Self::Deferred { millis: 5000, reason },
            Self::VmVanishes,
            Self::TargetVanishes,
            foreign(true),
            foreign(false),
            Self::PullsBack,
            Self::Busy { vm: None, task: "host_backup".into(), says_vm: true },
            Self::ClockSkew { seconds: 7200 },
        ]
    }
}

/// A fault with how often and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub fault: Fault,
    /// How many times; without an end where empty.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only for requests with this in `METHOD /path?query`, e.g. `GET /vm/v3/task`.
    #[serde(default)]
    pub only: Option<String>,
}

impl Rule {
    /// Every time, until it is switched off.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self { fault, times: None, only: None }
    }

    /// So many times.
    #[must_use]
    pub fn times(fault: Fault, times: u32) -> Self {
        Self { times: Some(times), ..Self::always(fault) }
    }

    /// Only for requests with this text in `METHOD /path?query`.
    #[must_use]
    pub fn only(self, request: &str) -> Self {
        Self { only: Some(request.into()), ..self }
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults(pub Vec<Rule>);

impl Faults {
    pub(super) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// Switches off every rule with a fault of this kind, whatever its numbers.
    pub(super) fn remove(&mut self, fault: &Fault) {
        self.0.retain(|rule| discriminant(&rule.fault) != discriminant(fault));
    }

    /// Takes the first fault that `pick` wants for a request, and counts it.
    pub(super) fn take<T>(&mut self, request: &str, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let concerns = |rule: &Rule| rule.only.as_deref().is_none_or(|only| request.contains(only));
        let found = self.0.iter().position(|rule| concerns(rule) && pick(&rule.fault).is_some())?;
        let rule = &mut self.0[found];
        let picked = pick(&rule.fault);
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.0.remove(found);
            }
        }
        picked
    }

    /// Takes a fault without numbers.
    pub(super) fn takes(&mut self, request: &str, fault: &Fault) -> bool {
        self.take(request, |candidate| (candidate == fault).then_some(())).is_some()
    }
}
