//! Reasons in words: why a VM moves, why it does not, why a node stays as it is, why a request was refused.

use chrono::{DateTime, Utc};

use super::{
    Arg, Words, args, escape,
    format::{clip, code, name, names, some_of, words},
};
use crate::{
    model::{
        Block, NodeFault, NodeState, Person, ProposalId, VmId,
        find::{Choice, Kind, Missed, MissedWhy},
    },
    planner::{
        self, Caution, Direction, ExclusionWhy, Hold, MoveWhy, NodeClosed, Note, Obstacle, Resource, RestWhy,
        SkipWhy, StillOverloaded, Strain, TargetRefusal,
    },
    scheduler::{ExpectedValue, FoundValue, Refused, SettingWarning, Unsettable},
    store::{Approver, Mode, Motive, Outcome, ProposalState},
};

/// Clusters that are nearly even still differ in the fourth place.
const IMBALANCE_DECIMALS: usize = 4;

/// A value that is longer than this was not meant as one.
const FOUND_CHARS_MAX: usize = 60;

impl Words {
    pub(crate) fn move_why(&self, why: &MoveWhy) -> String {
        match why {
            MoveWhy::Relieve(excess) => {
                self.say("why-relieve", args![excess = Arg::Html(self.excess(excess))])
            }
            MoveWhy::Ahead(near) => self.below_threshold("why-ahead", near),
            MoveWhy::MakeRoom { for_vm, for_vm_name } => {
                self.say("why-make-room", args![vm = name(for_vm_name), id = for_vm.to_string()])
            }
            MoveWhy::Level { imbalance_before, imbalance_after } => self.say(
                "why-level",
                args![
                    before = self.decimals(*imbalance_before, IMBALANCE_DECIMALS),
                    after = self.decimals(*imbalance_after, IMBALANCE_DECIMALS),
                ],
            ),
            MoveWhy::Drain => self.say("why-drain", args![]),
            MoveWhy::Undo { of } => self.say("why-undo", args![plan = of.to_string()]),
        }
    }

    /// A risk that a migration takes because nothing else helps.
    pub(crate) fn caution(&self, caution: &Caution) -> String {
        match caution {
            Caution::NewerKernel { source, target } => self.say(
                "caution-newer-kernel",
                args![source = words(&source.to_string()), target = words(&target.to_string())],
            ),
            Caution::HostPassthrough { same_cpu: true } => self.say("caution-same-cpu", args![]),
            Caution::HostPassthrough { same_cpu: false } => self.say("caution-unknown-cpu", args![]),
            Caution::SoftTarget { resource } => {
                self.say("caution-soft-target", args![resource = self.resource(*resource)])
            }
            Caution::MovedLately { until } => {
                self.say("caution-moved-lately", args![until = self.stamp(*until)])
            }
        }
    }

    /// The same of a whole migration, for people: nothing where it takes none.
    pub(crate) fn cautions(&self, cautions: &[Caution]) -> String {
        cautions.iter().map(|caution| format!("; ⚠ {}", self.caution(caution))).collect()
    }

    pub(crate) fn skip_why(&self, why: &SkipWhy, now: DateTime<Utc>) -> String {
        match why {
            SkipWhy::Blocked(block) => self.block(block),
            SkipWhy::State(state) => self.say("skip-state", args![state = words(&state.to_string())]),
            SkipWhy::Pinned => self.say("skip-pinned", args![]),
            SkipWhy::HostPassthrough => self.say("skip-host-passthrough", args![]),
            SkipWhy::NotWorthIt => self.say("skip-not-worth-it", args![]),
            SkipWhy::Resting { until, why } => {
                let key = match why {
                    RestWhy::Moved => "skip-rests-moved",
                    RestWhy::Failed => "skip-rests-failed",
                    RestWhy::FailedAgain => "skip-rests-failed-again",
                    RestWhy::PulledBack => "skip-rests-pulled",
                    RestWhy::Busy => "skip-rests-busy",
                    RestWhy::InFlight => return self.say("skip-in-flight", args![]),
                };
                self.say(key, args![until = self.time(*until, now)])
            }
            SkipWhy::NodeState(closed) => {
                self.say("skip-node-state", args![why = Arg::Html(self.node_closed(closed))])
            }
            SkipWhy::Held(hold) => self.say("obstacle-held", args![why = Arg::Html(self.hold(hold))]),
            SkipWhy::ExcludedSource => self.say("skip-excluded-source", args![]),
            SkipWhy::NoRoomBack { node, resource, value, most } => {
                let amount = |hundredths: u64| self.threshold(*resource, hundredths as f64 / 100.0);
                let (value, most) = (amount(*value), amount(*most));
                let resource = self.resource(*resource);
                let args = args![node = name(node), resource = resource, value = value, most = most];
                self.say("skip-no-room-back", args)
            }
            SkipWhy::NotBack { node, why } => {
                let why = Arg::Html(self.target_refusal(*why));
                self.say("skip-not-back", args![node = name(node), why = why])
            }
            SkipWhy::NotThere => self.say("skip-not-there", args![]),
            SkipWhy::Gone => self.say("unfit-vm-gone", args![]),
            SkipWhy::NoTarget(refusal) => {
                self.say("skip-no-target", args![why = Arg::Html(self.target_refusal(*refusal))])
            }
        }
    }

    /// The same without the moment, so that VMs can be counted by reason.
    pub(crate) fn skip_kind(&self, why: &SkipWhy) -> String {
        match why {
            SkipWhy::Resting { why, .. } => {
                let key = match why {
                    RestWhy::Moved => "kind-rests-moved",
                    RestWhy::Failed => "kind-rests-failed",
                    RestWhy::FailedAgain => "kind-rests-failed-again",
                    RestWhy::PulledBack => "kind-rests-pulled",
                    RestWhy::Busy => "kind-rests-busy",
                    RestWhy::InFlight => "skip-in-flight",
                };
                self.say(key, args![])
            }
            // Not shown where nothing rests.
            other => self.skip_why(other, DateTime::UNIX_EPOCH),
        }
    }

    pub(crate) fn block(&self, block: &Block) -> String {
        let key = match block {
            Block::Iso => "block-iso",
            Block::Snapshots => "block-snapshots",
            Block::BalancerMode => "block-balancer-mode",
            Block::Rescue => "block-rescue",
            Block::Vm5Restrictions => "block-vm5",
            Block::NodeForbids => "block-node-forbids",
            Block::Nesting => "block-nesting",
            Block::UnknownSize => "block-unknown-size",
            Block::Unreadable => "block-unreadable",
            Block::Unexplained => "block-unexplained",
            Block::Task(task) => {
                return self.say("block-task", args![task = self.quote(&task.as_str().into())]);
            }
            Block::Other(text) => return self.older_sentence(&text.as_str().into()),
        };
        self.say(key, args![])
    }

    pub(crate) fn target_refusal(&self, refusal: TargetRefusal) -> String {
        let key = match refusal {
            TargetRefusal::Memory => "refusal-memory",
            TargetRefusal::Cpu => "refusal-cpu",
            TargetRefusal::Load => "refusal-load",
            TargetRefusal::Reserve => "refusal-reserve",
            TargetRefusal::VmLimit => "refusal-vm-limit",
            TargetRefusal::OlderQemu => "refusal-older-qemu",
            TargetRefusal::QemuTooOld => {
                return self.say("refusal-qemu-too-old", args![least = planner::QEMU_MIN]);
            }
            TargetRefusal::NewerKernel => "refusal-newer-kernel",
            TargetRefusal::OtherOsFamily => "refusal-other-os",
            TargetRefusal::OtherCpu => "refusal-other-cpu",
            TargetRefusal::TooFewCores => "refusal-too-few-cores",
            TargetRefusal::Disk => "refusal-disk",
            TargetRefusal::Fault(fault) => fault_key(fault),
            TargetRefusal::AntiAffinity => "refusal-anti-affinity",
            TargetRefusal::Excluded => "refusal-excluded",
            TargetRefusal::Maintenance => "refusal-maintenance",
            TargetRefusal::CreationBlocked => "refusal-creation-blocked",
            TargetRefusal::NotActive => "refusal-not-active",
            TargetRefusal::Unreadable => "refusal-unreadable",
            TargetRefusal::UnknownCapacity => "refusal-unknown-capacity",
            TargetRefusal::OtherCluster => "refusal-other-cluster",
            TargetRefusal::SameNode => "refusal-same-node",
            TargetRefusal::RealMemory => "refusal-real-memory",
            TargetRefusal::MemoryInUse => "refusal-memory-in-use",
            TargetRefusal::MemoryPressure => "refusal-memory-pressure",
            TargetRefusal::CpuPressure => "refusal-cpu-pressure",
            TargetRefusal::Declined => "refusal-declined",
        };
        self.say(key, args![])
    }

    pub(crate) fn obstacle(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::Limit { migrations_max } => self.say("obstacle-limit", args![n = *migrations_max]),
            Obstacle::ExcludedSource => self.say("obstacle-excluded", args![]),
            Obstacle::State(closed) => {
                self.say("obstacle-state", args![why = Arg::Html(self.node_closed(closed))])
            }
            Obstacle::Immovable { why, count } => {
                self.say("obstacle-immovable", args![n = *count, why = Arg::Html(self.skip_kind(why))])
            }
            Obstacle::NoTarget { movable, reasons } => {
                let why: Vec<_> =
                    reasons.iter().take(3).map(|(refusal, _)| self.target_refusal(*refusal)).collect();
                self.say("obstacle-no-target", args![n = *movable, why = Arg::Html(why.join(", "))])
            }
            Obstacle::NotEnough { movable } => self.say("obstacle-not-enough", args![n = *movable]),
            Obstacle::Held(hold) => self.say("obstacle-held", args![why = Arg::Html(self.hold(hold))]),
        }
    }

    /// How much less a node needs that stays overloaded.
    pub(crate) fn needs_less(&self, still: &StillOverloaded) -> Option<String> {
        let memory = still.needs_memory.map(|memory| self.memory(memory));
        let of_load = still.over.iter().any(|excess| excess.resource == Resource::Load);
        let key = if of_load { "needs-cores" } else { "needs-vcpus" };
        let cpu = still.needs_cpu.map(|cpus| self.say(key, args![amount = self.trim_decimals(cpus)]));
        let needs: Vec<_> = memory.into_iter().chain(cpu).collect();
        (!needs.is_empty()).then(|| self.say("needs-less", args![amount = Arg::Html(needs.join(" + "))]))
    }

    /// How much less the node needs, and what is in the way.
    pub(crate) fn still_overloaded(&self, still: &StillOverloaded) -> String {
        let obstacles = still.because.iter().map(|obstacle| self.obstacle(obstacle));
        self.needs_less(still).into_iter().chain(obstacles).collect::<Vec<_>>().join("; ")
    }

    /// Why VMs do not leave a node by themselves.
    fn node_closed(&self, closed: &NodeClosed) -> String {
        match closed {
            NodeClosed::Maintenance => self.say("refusal-maintenance", args![]),
            NodeClosed::UnknownCapacity => self.say("refusal-unknown-capacity", args![]),
            NodeClosed::State(NodeState::Unreadable) => self.say("block-unreadable", args![]),
            NodeClosed::State(NodeState::UnreadableVm) => self.say("state-unreadable-vm", args![]),
            NodeClosed::State(state) => self.say("skip-state", args![state = words(&state.to_string())]),
        }
    }

    /// Why nothing may be done in a cluster.
    pub(crate) fn hold(&self, hold: &Hold) -> String {
        match hold {
            Hold::Incomplete(flaw) => self.say("hold-incomplete", args![why = Arg::Html(self.flaw(flaw))]),
            Hold::NotKvm { virtualization } => self.say("hold-not-kvm", args![kind = words(virtualization)]),
            Hold::Foreign { task } => self.say("hold-foreign", args![task = task.to_string()]),
            Hold::Other(said) => self.older_sentence(said),
        }
    }

    /// Why a migration was ordered.
    pub(crate) fn motive(&self, motive: &Motive) -> String {
        match motive {
            Motive::Plan(why) => self.move_why(why),
            Motive::Text(text) => self.older_sentence(text),
        }
    }

    pub(crate) fn note(&self, note: &Note) -> String {
        match note {
            Note::EveryVmOptedOut => self.say("note-every-vm-opted-out", args![]),
            Note::Unmeasured { nodes } => {
                self.say("note-unmeasured", args![nodes = names(nodes.iter().map(String::as_str))])
            }
            Note::Settling { node, until } => {
                self.say("note-settling", args![node = name(node), until = self.time(*until, *until)])
            }
            Note::Strained { node, strains } => self.strains(node, strains),
            Note::LoadIsNotCpu { node, cpu_pressure, io_pressure } => {
                let cpu = self.say("pressure-cpu", args![percent = format!("{cpu_pressure} %")]);
                let io = io_pressure.map(|io| self.say("pressure-io", args![percent = format!("{io} %")]));
                let waits: Vec<_> = [cpu].into_iter().chain(io).collect();
                self.say(
                    "note-load-is-not-cpu",
                    args![node = name(node), waits = Arg::Html(waits.join(", "))],
                )
            }
            Note::NotKvm { virtualization } => self.say("hold-not-kvm", args![kind = words(virtualization)]),
            Note::BuiltinBalancer { key } => self.say("note-builtin-balancer", args![key = words(key)]),
            Note::ForeignMigration { task } => self.say("note-foreign", args![task = task.to_string()]),
            Note::UnknownSelector { selector } => {
                self.say("note-unknown-selector", args![selector = name(selector)])
            }
            Note::NamelessVm { node } => self.say("note-nameless-vm", args![node = name(node)]),
            Note::Unreadable { node, vms } if vms.is_empty() => {
                self.say("note-unreadable-node", args![node = name(node)])
            }
            Note::Unreadable { node, vms } => self.say(
                "note-unreadable-vms",
                args![node = name(node), vms = names(vms.iter().map(String::as_str)), n = vms.len()],
            ),
            Note::ClosedAfterFailures { node, count, until } => {
                let until =
                    until.map(|until| self.say("note-closed-until", args![until = self.time(until, until)]));
                let until = Arg::Html(until.unwrap_or_default());
                self.say("note-closed-after-failures", args![node = name(node), n = *count, until = until])
            }
            Note::StepsDropped { steps, violations: _ } => self.say("note-steps-dropped", args![n = *steps]),
            Note::Faulty { node, faults } => {
                let faults: Vec<_> =
                    faults.iter().map(|fault| self.say(fault_key(*fault), args![])).collect();
                self.say("note-faulty", args![node = name(node), what = Arg::Html(faults.join(", "))])
            }
            Note::MixedOsFamilies => self.say("note-mixed-os", args![]),
            Note::SumsDiffer { node, memory_node, memory_vms } => self.say(
                "note-sums-differ",
                args![
                    node = name(node),
                    of_node = self.memory(*memory_node),
                    of_vms = self.memory(*memory_vms),
                ],
            ),
        }
    }

    /// What a node suffers from although its thresholds hold.
    pub(crate) fn strains(&self, node: &str, strains: &[Strain]) -> String {
        let told: Vec<_> = strains
            .iter()
            .map(|strain| {
                let (key, percent) = match strain {
                    Strain::MemoryInUse(percent) => ("memory-really-used", *percent),
                    Strain::WaitsForMemory(percent) => ("pressure-memory", *percent),
                    Strain::WaitsForCpu(percent) => ("pressure-cpu", *percent),
                };
                self.say(key, args![percent = format!("{percent} %")])
            })
            .collect();
        self.say("note-strained", args![node = name(node), what = Arg::Html(told.join(", "))])
    }

    /// Who let a plan run. Escaped.
    pub(crate) fn approver(&self, approver: &Approver) -> String {
        match approver {
            Approver::People(people) => self.people(people),
            Approver::Standing { people, .. } if people.is_empty() => self.say("by-nightly", args![]),
            Approver::Standing { people, .. } => {
                self.say("by-standing", args![who = Arg::Html(self.people(people))])
            }
            Approver::Auto => self.say("by-auto", args![]),
            Approver::CommandLine => self.say("by-command-line", args![]),
        }
    }

    /// People by name and number. Escaped.
    pub(crate) fn people(&self, people: &[Person]) -> String {
        let one = |person: &Person| escape(&format!("{} ({})", name(&person.name), person.id));
        people.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn outcome(&self, outcome: Outcome) -> String {
        let key = match outcome {
            Outcome::Done => "outcome-done",
            Outcome::Failed => "outcome-failed",
            Outcome::Lost => "outcome-lost",
            Outcome::Dropped => "outcome-dropped",
        };
        self.say(key, args![])
    }

    pub(crate) fn mode(&self, mode: Mode) -> String {
        let key = match mode {
            Mode::Off => "mode-off",
            Mode::Propose => "mode-propose",
            Mode::Auto => "mode-auto",
        };
        self.say(key, args![])
    }

    pub(crate) fn direction(&self, direction: Direction) -> String {
        let key = match direction {
            Direction::Source => "direction-source",
            Direction::Target => "direction-target",
            Direction::Both => "direction-both",
        };
        self.say(key, args![])
    }

    pub(crate) fn exclusion_why(&self, why: &ExclusionWhy, now: DateTime<Utc>) -> String {
        match why {
            ExclusionWhy::Configured => self.say("excluded-configured", args![]),
            ExclusionWhy::Chat { by, at } => self.say(
                "excluded-by",
                args![who = format!("{} ({})", name(&by.name), by.id), at = self.time(*at, now)],
            ),
            ExclusionWhy::Failures { count } => self.say("excluded-failures", args![n = *count]),
            ExclusionWhy::Declined { vms } => self.say("excluded-declined", args![n = *vms]),
        }
    }

    /// Why a request was not carried out.
    #[must_use]
    pub fn refusal(&self, refused: &Refused) -> String {
        match refused {
            Refused::Missed(missed) => self.miss(missed),
            Refused::WhichCluster { .. } => self.say("which-cluster", args![]),
            Refused::NotOurs { cluster, name: called } => {
                self.say("refused-not-ours", args![cluster = name(called), id = cluster.to_string()])
            }
            Refused::Busy { proposal } => self.say("refused-busy", args![plan = proposal.to_string()]),
            Refused::NoSuchProposal(id) => self.say("refused-no-plan", args![plan = id.to_string()]),
            Refused::NotPending { proposal, state } => self.closing(*proposal, state),
            Refused::Changed { .. } => self.say("press-changed", args![]),
            Refused::NothingLeft { proposal } => {
                self.say("refused-nothing-left", args![plan = proposal.to_string()])
            }
            Refused::AlreadyCounted { have, need } => {
                self.say("refused-already-counted", args![have = *have, need = *need])
            }
            Refused::OwnProposal { have, need } => self.say("refused-own", args![have = *have, need = *need]),
            Refused::DryRun => self.say("refused-dry-run", args![]),
            Refused::Unable(trouble) => self.trouble(trouble),
            Refused::StandingGone => self.say("autopilot-gone", args![]),
            Refused::NothingRunning => self.say("nothing-running", args![]),
            Refused::NothingWaits => self.say("nothing-waits", args![]),
            Refused::WhichWaits { waiting } => {
                let plans = waiting.iter().map(|it| format!("{} ({})", it.plan, name(&it.cluster)));
                self.say("which-waits", args![plans = some_of(plans)])
            }
            Refused::RoundWentOn { .. } => self.say("refused-round", args![]),
            Refused::Held { hold } => self.say("refused-held", args![why = Arg::Html(self.hold(hold))]),
            Refused::NothingToUndo { proposal, stuck } => {
                // The window of a press is small: each reason once.
                let mut vms_by_why = Vec::<(String, Vec<&str>)>::new();
                for skip in stuck {
                    let why = self.skip_kind(&skip.why);
                    match vms_by_why.iter_mut().find(|(known, _)| *known == why) {
                        Some((_, vms)) => vms.push(&skip.name),
                        None => vms_by_why.push((why, vec![&skip.name])),
                    }
                }
                let line =
                    |(why, vms): (String, Vec<&str>)| format!("{}: {why}", escape(&names(vms.into_iter())));
                let why = vms_by_why.into_iter().map(line).collect::<Vec<_>>().join("; ");
                self.say("refused-undo", args![plan = proposal.to_string(), why = Arg::Html(why)])
            }
            Refused::WhichPlan { running } => {
                let plans = running.iter().map(|it| format!("{} ({})", it.plan, name(&it.cluster)));
                self.say("which-plan", args![plans = some_of(plans)])
            }
            Refused::InFlight { vm } => self.say("refused-in-flight", args![vm = vm.to_string()]),
            Refused::Unsettable(why) => self.unsettable(why),
            Refused::Stopping => self.say("refused-stopping", args![]),
        }
    }

    /// Says who decided about a proposal, and when, or what else ended it.
    fn closing(&self, id: ProposalId, state: &ProposalState) -> String {
        let plan = id.to_string();
        let (key, who, at) = match state {
            ProposalState::Pending => return self.say("press-changed", args![]),
            ProposalState::Approved { by, at } => ("refused-approved", self.approver(by), at),
            ProposalState::Running { by, since } => ("refused-running", self.approver(by), since),
            ProposalState::Done { by, at } => ("refused-done", self.approver(by), at),
            ProposalState::Rejected { by, at, .. } => {
                ("refused-rejected", escape(&format!("{} ({})", name(&by.name), by.id)), at)
            }
            ProposalState::Expired { at } => ("refused-expired", String::new(), at),
            ProposalState::Superseded { by, at } => ("refused-superseded", by.to_string(), at),
            ProposalState::Stale { at } => ("refused-stale", String::new(), at),
            ProposalState::Shown { .. } => return self.say("refused-dry-run", args![]),
        };
        self.say(key, args![plan = plan, who = Arg::Html(who), at = self.stamp(*at)])
    }

    /// Says what there is instead of the one thing that a person named.
    pub fn miss(&self, missed: &Missed) -> String {
        let found = name(&missed.wanted);
        let listed =
            |choices: &[Choice]| Arg::Html(some_of(choices.iter().map(|choice| self.choice(choice))));
        let (similar, known) = match &missed.why {
            MissedWhy::Several(choices) => {
                let id = choices.first().map(|choice| choice.id.to_string()).unwrap_or_default();
                return self.say("missed-several", args![found = found, choices = listed(choices), id = id]);
            }
            MissedWhy::Unknown { similar, known } => (similar, known),
        };
        let kind = match missed.kind {
            Kind::Cluster => "missed-cluster",
            Kind::Node => "missed-node",
            Kind::Vm => "missed-vm",
            Kind::VmOrNode => "missed-vm-or-node",
        };
        let sorry = self.say(kind, args![found = found]);
        match (similar.as_slice(), known.as_slice()) {
            ([], []) => sorry,
            ([], known) => format!("{sorry} {}", self.say("missed-known", args![known = listed(known)])),
            (similar, _) => {
                format!("{sorry} {}", self.say("did-you-mean", args![similar = listed(similar)]))
            }
        }
    }

    /// `node-1 (10) in msk`.
    fn choice(&self, choice: &Choice) -> String {
        let (called, id) = (name(&choice.name), choice.id.to_string());
        match &choice.cluster {
            Some(cluster) => self.say("choice-in", args![name = called, id = id, cluster = name(cluster)]),
            None => format!("{} ({id})", escape(&called)),
        }
    }

    fn unsettable(&self, why: &Unsettable) -> String {
        let called = |name: &str| Arg::Html(code(&words(name)));
        match why {
            Unsettable::Unknown { name, similar: Some(similar) } => {
                self.say("unsettable-similar", args![name = called(name), similar = called(similar)])
            }
            Unsettable::Unknown { name, similar: None } => {
                self.say("unsettable-unknown", args![name = called(name)])
            }
            Unsettable::Secret { name } => self.say("unsettable-secret", args![name = called(name)]),
            Unsettable::AtStart { name } => self.say("unsettable-at-start", args![name = called(name)]),
            Unsettable::ByCommand { name, command } => {
                self.say("unsettable-by-command", args![name = called(name), command = command])
            }
            Unsettable::Value { name, found, expected } => {
                let (name, expected) = (called(name), Arg::Html(self.expected_value(expected)));
                match found {
                    FoundValue::Nothing => self.say("unsettable-value-missing", args![name = name]),
                    FoundValue::Text(found) => {
                        let found = clip(&words(found), FOUND_CHARS_MAX);
                        self.say("unsettable-value", args![name = name, found = found, expected = expected])
                    }
                    FoundValue::Hidden => {
                        self.say("unsettable-value-hidden", args![name = name, expected = expected])
                    }
                }
            }
        }
    }

    pub(super) fn expected_value(&self, expected: &ExpectedValue) -> String {
        match expected {
            ExpectedValue::Something => self.say("expected-something", args![]),
            ExpectedValue::Boolean => self.say("expected-boolean", args![]),
            ExpectedValue::TimeOfDay => self.say("expected-time-of-day", args![]),
            ExpectedValue::Whole { least } => self.say("expected-whole", args![least = least.to_string()]),
            ExpectedValue::Seconds { least } => {
                self.say("expected-seconds", args![least = least.to_string()])
            }
            ExpectedValue::SecondsAtMost { most } => {
                self.say("expected-seconds-at-most", args![most = most.to_string()])
            }
            ExpectedValue::Days { least, most } => {
                self.say("expected-days", args![least = least.to_string(), most = most.to_string()])
            }
            ExpectedValue::PerCore => self.say("expected-per-core", args![]),
            ExpectedValue::Percent => self.say("expected-percent", args![]),
            ExpectedValue::Reserve => self.say("expected-reserve", args![]),
            ExpectedValue::Margin => self.say("expected-margin", args![]),
            ExpectedValue::Worth => self.say("expected-worth", args![]),
            ExpectedValue::OneOf(all) => self.say("expected-one-of", args![all = all.join(", ")]),
            ExpectedValue::Windows => self.say("expected-windows", args![]),
        }
    }

    /// What is odd about the value of a setting.
    pub(in crate::talk) fn setting_warning(&self, warning: &SettingWarning) -> String {
        match warning {
            SettingWarning::TargetOverOverload { target, overload } => {
                self.say("setting-target-over", args![target = *target, overload = *overload])
            }
            SettingWarning::NothingIsMoved => self.say("setting-nothing-moved", args![]),
        }
    }

    /// `web-1 (1000)`: the name in a face that is copied by a tap.
    pub(crate) fn vm(&self, vm_name: &str, id: VmId) -> String {
        format!("{} ({id})", code(&name(vm_name)))
    }
}

fn fault_key(fault: NodeFault) -> &'static str {
    match fault {
        NodeFault::Libvirt => "fault-libvirt",
        NodeFault::Ha => "fault-ha",
        NodeFault::Routing => "fault-routing",
    }
}
