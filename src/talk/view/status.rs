//! How things stand: the platform, one node, one VM, what runs, what was done.

use chrono::{DateTime, Utc};

use super::{BUTTON_DATA_BYTES_MAX, Button, Page, View};
use crate::{
    model::{ClusterId, ForeignMigration, NodeId, Snapshot, VmId, WhyUnmeasured},
    planner::{
        self, Exclusion, MoveWhy, NodeExplained, NodeOverview, NodeReading, Overview, Resource,
        TargetRefusal, VmExplained,
    },
    scheduler::{Picture, Status},
    store::{JournalEntry, JournalState, Outcome},
    talk::{
        press::Press,
        words::{
            Arg, args, escape,
            format::{bold, code, listed, name, names, words},
        },
    },
};

/// Overloaded nodes that `/status` lists of each cluster; `/status CLUSTER` lists every node.
const OVERLOADED_LINES_MAX: usize = 10;

/// Nodes that suffer although their thresholds hold, of each cluster: more of them say the same.
const STRAINED_LINES_MAX: usize = 5;

/// Clusters with a button of their own.
const BALANCE_BUTTONS_MAX: usize = 12;

/// Nodes that `/vm` names as possible targets.
const TARGETS_MAX: usize = 5;

/// One part of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub rows: Vec<HistoryRow>,
    /// How many newer entries come before it.
    pub skip: usize,
    pub count: usize,
    /// The VM or node it is about, as it was asked for.
    pub of: Option<String>,
    pub older: bool,
}

/// One migration of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    pub entry: JournalEntry,
    /// Why, as data; the entry has it in English only.
    pub why: Option<MoveWhy>,
}

impl View {
    /// Returns how things stand, in all clusters or in one.
    #[must_use]
    pub fn status(&self, status: &Status, only: Option<ClusterId>) -> Page {
        let mut lines = vec![self.headline(status)];
        lines.extend(self.schedule_lines(status));
        match &status.picture {
            Some(picture) => lines.extend(self.picture_lines(status, picture, only)),
            None => lines.push(self.say("status-no-picture", args![])),
        }
        if !status.running.is_empty() {
            lines.push(String::new());
            lines.extend(status.running.iter().map(|entry| self.running_line(entry, status.now)));
        }
        let page = self.page(lines);
        self.status_buttons(page, status, only)
    }

    fn headline(&self, status: &Status) -> String {
        self.say("status-mode", args![mode = Arg::Html(self.mode(status.mode))])
    }

    fn schedule_lines(&self, status: &Status) -> Vec<String> {
        let now = status.now;
        let mut lines = Vec::new();
        lines.extend(
            status
                .vmmanager_away
                .as_ref()
                .map(|why| self.say("status-away", args![why = Arg::Html(self.api_failure(why))])),
        );
        lines.extend(status.restored_unconfirmed.then(|| self.say("status-restored", args![])));
        lines.extend(status.pause.as_ref().map(|pause| self.pause_line(pause, now)));
        lines.push(match status.next_cycle {
            Some(at) => self.say("status-next-cycle", args![at = self.time(at, now)]),
            None => self.say("status-no-next-cycle", args![]),
        });
        if !status.window_open {
            lines.push(self.say("status-window-closed", args![]));
        }
        if let Some(last) = &status.last_cycle {
            let at = self.time(last.at, now);
            lines.push(match &last.trouble {
                Some(trouble) => {
                    self.say("status-last-trouble", args![at = at, why = Arg::Html(self.trouble(trouble))])
                }
                None => self.say("status-last-cycle", args![at = at]),
            });
        }
        lines
    }

    pub(super) fn pause_line(&self, pause: &crate::store::Pause, now: DateTime<Utc>) -> String {
        let who = format!("{} ({})", name(&pause.by.name), pause.by.id);
        let mut line = match pause.until {
            Some(until) => self.say("status-paused-until", args![who = who, until = self.time(until, now)]),
            None => self.say("status-paused", args![who = who]),
        };
        if let Some(reason) = &pause.reason {
            line.push_str(&format!(": {}", escape(&words(reason))));
        }
        line
    }

    fn picture_lines(&self, status: &Status, picture: &Picture, only: Option<ClusterId>) -> Vec<String> {
        let snapshot = &picture.snapshot;
        let mut lines = Vec::new();
        for cluster in snapshot.clusters.iter().filter(|cluster| only.is_none_or(|id| id == cluster.id)) {
            let Some(overview) = planner::overview(snapshot, &picture.policy, cluster.id) else { continue };
            lines.push(String::new());
            lines.extend(self.cluster_lines(&overview, picture, only.is_some(), status.now));
            if status.stopped_clusters.contains(&cluster.id) {
                lines.push(self.say("status-stopped", args![]));
            }
        }
        lines.extend(snapshot.foreign.iter().map(|foreign| self.foreign_line(foreign)));
        lines.push(String::new());
        lines.push(self.say("status-as-of", args![at = self.time(snapshot.taken_at, status.now)]));
        lines
    }

    fn cluster_lines(
        &self,
        overview: &Overview,
        picture: &Picture,
        every_node: bool,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let vms: usize = overview.nodes.iter().map(|node| node.vms).sum();
        let mut lines = vec![self.say(
            "status-cluster",
            args![
                cluster = Arg::Html(bold(&name(&overview.name))),
                id = overview.cluster.to_string(),
                nodes = Arg::Html(self.say("count-nodes", args![n = overview.nodes.len()])),
                vms = Arg::Html(self.say("count-vms", args![n = vms])),
                over = overview.figures.overloaded,
            ],
        )];
        lines.push(self.say(
            "status-figures",
            args![
                memory = self.decimal(overview.figures.memory_percent_max),
                cpu = self.decimals(overview.figures.cpu_max, 2),
                imbalance = self.decimals(overview.figures.imbalance, 3),
            ],
        ));
        lines.extend(self.measured_line(overview, &picture.snapshot, now));
        lines.extend(self.strained_lines(overview));
        lines.extend(overview.held.as_ref().map(|why| self.say("held", args![why = words(why)])));
        if every_node {
            let why = |node: &NodeOverview| picture.snapshot.why_unmeasured(node.node);
            lines.extend(overview.nodes.iter().map(|node| self.node_line(node, why(node), now)));
        } else {
            let over: Vec<_> = overview.nodes.iter().filter(|node| !node.over.is_empty()).collect();
            lines.extend(over.iter().take(OVERLOADED_LINES_MAX).map(|node| self.overloaded_line(node)));
            if over.len() > OVERLOADED_LINES_MAX {
                lines.push(self.say("more-lines", args![n = over.len() - OVERLOADED_LINES_MAX]));
            }
        }
        let plan = picture.plan.clusters.iter().find(|plan| plan.cluster == overview.cluster);
        if let Some(plan) = plan.filter(|plan| !plan.migrations.is_empty()) {
            lines.push(self.say("status-would-move", args![n = plan.migrations.len()]));
        }
        lines
    }

    /// The nodes that suffer although their thresholds hold; a few of many.
    fn strained_lines(&self, overview: &Overview) -> Vec<String> {
        let strained: Vec<_> = overview.nodes.iter().filter(|node| !node.strains.is_empty()).collect();
        let told = strained.iter().take(STRAINED_LINES_MAX);
        let mut lines: Vec<_> =
            told.map(|node| format!("⚠ {}", self.strained(&node.name, &node.strains))).collect();
        if strained.len() > STRAINED_LINES_MAX {
            lines.push(self.say("more-lines", args![n = strained.len() - STRAINED_LINES_MAX]));
        }
        lines
    }

    fn overloaded_line(&self, node: &NodeOverview) -> String {
        format!("⚠ {}: {}", code(&name(&node.name)), self.excesses(&node.over))
    }

    fn node_line(&self, node: &NodeOverview, why: Option<WhyUnmeasured>, now: DateTime<Utc>) -> String {
        let mark = if node.over.is_empty() { "·" } else { "⚠" };
        let vms = self.say("count-vms", args![n = node.vms]);
        let full = if node.known { self.fullness(&node.at) } else { self.say("node-unknown", args![]) };
        let line = format!("{mark} {} ({}): {full}; {vms}", escape(&name(&node.name)), node.node);
        match self.measured_briefly(node, why, now) {
            Some(measured) => format!("{line}; {measured}"),
            None => line,
        }
    }

    /// What a node measured and how long ago, for a line of a list; `None` where nobody asks nodes.
    fn measured_briefly(
        &self,
        node: &NodeOverview,
        why: Option<WhyUnmeasured>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        match &node.measured {
            Some(reading) => {
                let key = if reading.fresh { "measured-briefly" } else { "measured-briefly-old" };
                Some(self.say(key, args![what = self.reading(reading), age = self.lasting(now - reading.at)]))
            }
            None => (node.asked && node.known).then(|| match why {
                Some(why) => self.say("measured-never-why", args![why = self.why_unmeasured(why)]),
                None => self.say("measured-never", args![]),
            }),
        }
    }

    fn why_unmeasured(&self, why: WhyUnmeasured) -> String {
        let key = match why {
            WhyUnmeasured::Refused => "unmeasured-refused",
            WhyUnmeasured::Unreachable => "unmeasured-unreachable",
            WhyUnmeasured::Silent => "unmeasured-silent",
            WhyUnmeasured::HostKeyUnknown => "unmeasured-host-key-unknown",
            WhyUnmeasured::HostKeyChanged => "unmeasured-host-key-changed",
            WhyUnmeasured::HostKeyRevoked => "unmeasured-host-key-revoked",
            WhyUnmeasured::HostKeyUnchecked => "unmeasured-host-key-unchecked",
            WhyUnmeasured::Handshake => "unmeasured-handshake",
            WhyUnmeasured::Login => "unmeasured-login",
            WhyUnmeasured::Lost => "unmeasured-lost",
            WhyUnmeasured::Command => "unmeasured-command",
            WhyUnmeasured::Unreadable => "unmeasured-unreadable",
        };
        self.say(key, args![])
    }

    /// Load per core and memory really used.
    fn reading(&self, reading: &NodeReading) -> String {
        let load = reading
            .load
            .map(|load| format!("{} {}", self.resource(Resource::Load), self.value(Resource::Load, load)));
        let memory = reading
            .memory_used_percent
            .map(|used| self.say("memory-really-used", args![percent = self.percent(used)]));
        load.into_iter().chain(memory).collect::<Vec<_>>().join(", ")
    }

    /// What a node measured, beside what is allocated on it, and how old that is.
    fn measured_lines(
        &self,
        node: &NodeOverview,
        why: Option<WhyUnmeasured>,
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let Some(reading) = &node.measured else {
            return self
                .measured_briefly(node, why, now)
                .into_iter()
                .map(|never| format!("⚠ {never}"))
                .collect();
        };
        let mut what = self.reading(reading);
        if let Some(used) = reading.memory_used {
            what.push_str(&format!(" ({})", self.memory(used)));
        }
        let mut what: Vec<_> = Some(what).filter(|what| !what.is_empty()).into_iter().collect();
        let pressures = [
            ("pressure-cpu", reading.cpu_pressure),
            ("pressure-memory", reading.memory_pressure),
            ("pressure-io", reading.io_pressure),
        ];
        what.extend(
            pressures
                .into_iter()
                .filter_map(|(key, percent)| Some(self.say(key, args![percent = self.percent(percent?)]))),
        );
        let key = if reading.fresh { "node-measured" } else { "node-measured-old" };
        let age = self.lasting(now - reading.at);
        let at = self.time(reading.at, now);
        let mut lines = vec![self.say(key, args![what = what.join(", "), age = age, at = at])];
        lines.extend(why.map(|why| self.say("node-last-try", args![why = self.why_unmeasured(why)])));
        lines.extend(reading.waits.then(|| self.say("node-load-waits", args![])));
        lines.extend(
            reading.settles.map(|until| self.say("node-load-settles", args![until = self.time(until, now)])),
        );
        let strained = !node.strains.is_empty();
        lines.extend(strained.then(|| format!("⚠ {}", self.strained(&node.name, &node.strains))));
        lines
    }

    /// How many nodes are measured, which are not, and how old the oldest reading that counts is.
    fn measured_line(&self, overview: &Overview, snapshot: &Snapshot, now: DateTime<Utc>) -> Option<String> {
        let nodes: Vec<_> = overview.nodes.iter().filter(|node| node.known).collect();
        if !nodes.iter().any(|node| node.asked || node.measured.is_some()) {
            return None;
        }
        let fresh = || nodes.iter().filter_map(|node| node.measured.as_ref()).filter(|reading| reading.fresh);
        let without: Vec<_> = nodes
            .iter()
            .filter(|node| !node.measured.as_ref().is_some_and(|reading| reading.fresh))
            .collect();
        let mut parts = Vec::new();
        if let Some(oldest) = fresh().map(|reading| reading.at).min() {
            let load = fresh().filter_map(|reading| reading.load).fold(0.0, f64::max);
            let memory = fresh().filter_map(|reading| reading.memory_used_percent).fold(0.0, f64::max);
            parts.push(self.say(
                "status-measured",
                args![
                    load = self.value(Resource::Load, load),
                    memory = self.percent(memory),
                    age = self.lasting(now - oldest),
                ],
            ));
        }
        if !without.is_empty() {
            let nodes = listed(without.into_iter().map(|node| match snapshot.why_unmeasured(node.node) {
                Some(why) => format!("{} ({})", name(&node.name), self.why_unmeasured(why)),
                None => name(&node.name),
            }));
            parts.push(self.say("status-unmeasured", args![nodes = nodes]));
        }
        Some(parts.join("\n"))
    }

    fn foreign_line(&self, foreign: &ForeignMigration) -> String {
        let task = foreign.task.to_string();
        match foreign.vm {
            Some(vm) => self.say("foreign-of-vm", args![task = task, vm = vm.to_string()]),
            None => self.say("foreign", args![task = task]),
        }
    }

    fn status_buttons(&self, page: Page, status: &Status, only: Option<ClusterId>) -> Page {
        let refresh = self.button("button-refresh", Press::Status { cluster: only }.data());
        let clusters = status.picture.iter().flat_map(|picture| &picture.snapshot.clusters);
        let wanted: Vec<_> = clusters
            .filter(|cluster| only.is_none_or(|id| id == cluster.id))
            .map(|cluster| (cluster.id, cluster.name.clone()))
            .collect();
        let mut page = page.with_row(vec![refresh]);
        page.buttons.extend(self.balance_buttons(&wanted));
        page
    }

    /// One button per cluster, two in a row.
    pub(super) fn balance_buttons(&self, clusters: &[(ClusterId, String)]) -> Vec<Vec<Button>> {
        let buttons: Vec<_> = clusters
            .iter()
            .take(BALANCE_BUTTONS_MAX)
            .map(|(cluster, cluster_name)| Button {
                label: super::plain(&self.say("button-balance", args![cluster = name(cluster_name)])),
                data: Press::Balance { cluster: *cluster }.data(),
            })
            .collect();
        buttons.chunks(2).map(<[Button]>::to_vec).collect()
    }

    /// Returns one node, with why it is (not) a source or a target.
    #[must_use]
    pub fn node(&self, node: &NodeExplained, snapshot: &Snapshot, now: DateTime<Utc>) -> Page {
        let overview = &node.overview;
        let cluster = snapshot.cluster(node.cluster).map_or("", |cluster| &cluster.name);
        let mut lines = vec![self.say(
            "node-title",
            args![
                node = Arg::Html(code(&name(&overview.name))),
                id = overview.node.to_string(),
                cluster = name(cluster),
            ],
        )];
        let full =
            if overview.known { self.fullness(&overview.at) } else { self.say("node-unknown", args![]) };
        lines.push(format!("{full}; {}", self.say("count-vms", args![n = overview.vms])));
        lines.extend(self.measured_lines(overview, snapshot.why_unmeasured(overview.node), now));
        lines.push(if overview.over.is_empty() {
            self.say("node-not-overloaded", args![])
        } else {
            self.say("node-overloaded", args![over = Arg::Html(self.excesses(&overview.over))])
        });
        lines.extend(node.held.as_ref().map(|why| self.say("held", args![why = words(why)])));
        lines.push(match &node.source {
            Ok(()) => self.say("node-source", args![n = node.movable]),
            Err(why) => self.say("node-no-source", args![why = Arg::Html(self.skip_why(why, now))]),
        });
        lines.push(match node.target {
            Ok(()) => self.say("node-target", args![room = self.memory(node.memory_room)]),
            Err(why) => self.say("node-no-target", args![why = Arg::Html(self.target_refusal(why))]),
        });
        lines.push(self.say("status-as-of", args![at = self.time(snapshot.taken_at, now)]));
        self.page(lines)
    }

    /// Returns one VM, with why it can(not) be moved and where to.
    #[must_use]
    pub fn vm_explained(&self, vm: &VmExplained, snapshot: &Snapshot, now: DateTime<Utc>) -> Page {
        let node = snapshot.node(vm.node).map_or("", |node| &node.name);
        let mut lines = vec![self.say(
            "vm-title",
            args![
                vm = Arg::Html(self.vm(&vm.name, vm.vm)),
                node = Arg::Html(code(&name(node))),
                id = vm.node.to_string(),
            ],
        )];
        if let Some(info) = snapshot.vm(vm.vm) {
            lines.push(format!(
                "{} vCPU, {}; {}",
                info.cpu_cores,
                self.memory(info.memory),
                escape(&info.state)
            ));
        }
        if let Some(used) = &vm.measured {
            let cores = self.decimals(used.cores, 2);
            lines.push(self.say("vm-measured", args![cores = cores, age = self.lasting(now - used.at)]));
        }
        lines.extend(vm.held.as_ref().map(|why| self.say("held", args![why = words(why)])));
        match &vm.movable {
            Err(why) => {
                lines.push(self.say("vm-stays", args![why = Arg::Html(self.skip_why(why, now))]));
            }
            Ok(()) => lines.extend(self.target_lines(vm)),
        }
        lines.push(self.say("status-as-of", args![at = self.time(snapshot.taken_at, now)]));
        self.page(lines)
    }

    fn target_lines(&self, vm: &VmExplained) -> Vec<String> {
        if vm.targets.is_empty() {
            return vec![self.say("vm-no-target", args![why = Arg::Html(self.refusals_by_reason(vm))])];
        }
        let mut lines = vec![self.say("vm-movable", args![n = vm.targets.len()])];
        lines.extend(
            vm.targets.iter().take(TARGETS_MAX).map(|(id, node, after)| {
                format!("· {} ({id}): {}", escape(&name(node)), self.fullness(after))
            }),
        );
        if vm.targets.len() > TARGETS_MAX {
            lines.push(self.say("more-lines", args![n = vm.targets.len() - TARGETS_MAX]));
        }
        lines
    }

    fn refusals_by_reason(&self, vm: &VmExplained) -> String {
        let mut reasons: Vec<(TargetRefusal, Vec<&str>)> = Vec::new();
        for (_, node, refusal) in &vm.refusals {
            match reasons.iter_mut().find(|(known, _)| known == refusal) {
                Some((_, nodes)) => nodes.push(node),
                None => reasons.push((*refusal, vec![node])),
            }
        }
        let told = reasons.iter().map(|(why, nodes)| {
            format!("{}: {}", self.target_refusal(*why), escape(&names(nodes.iter().copied())))
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Returns what runs now.
    #[must_use]
    pub fn running(&self, status: &Status) -> Page {
        if status.running.is_empty() {
            return self.page(vec![self.say("nothing-running", args![])]);
        }
        let mut lines = vec![self.say("running-title", args![n = status.running.len()])];
        lines.extend(status.running.iter().map(|entry| self.running_line(entry, status.now)));
        let cancel = self.button("button-cancel", Press::Cancel.data());
        self.page(lines).with_row(vec![cancel])
    }

    fn running_line(&self, entry: &JournalEntry, now: DateTime<Utc>) -> String {
        let since = match &entry.state {
            JournalState::Ordered { at, .. } => *at,
            JournalState::Intended | JournalState::Closed { .. } => entry.intended_at,
        };
        self.say(
            "running-line",
            args![
                vm = Arg::Html(self.vm(&entry.vm_name, entry.vm)),
                source = name(&entry.source_name),
                target = name(&entry.target_name),
                since = self.time(since, now),
                lasts = self.lasting(now - since),
                plan = entry.proposal.to_string(),
            ],
        )
    }

    /// Returns nodes that are closed.
    #[must_use]
    pub fn exclusions(&self, status: &Status) -> Page {
        let now = status.now;
        let open: Vec<_> =
            status.exclusions.iter().filter(|closed| closed.until.is_none_or(|until| until > now)).collect();
        if open.is_empty() {
            return self.page(vec![self.say("no-exclusions", args![])]);
        }
        let mut lines = vec![self.say("exclusions-title", args![])];
        lines.extend(open.into_iter().map(|closed| self.exclusion_line(closed, status)));
        self.page(lines)
    }

    fn exclusion_line(&self, closed: &Exclusion, status: &Status) -> String {
        let nodes = status.picture.iter().flat_map(|picture| &picture.snapshot.nodes);
        let known = nodes.into_iter().find(|node| closed.node.is_node(node.id, &node.name));
        let node = known.map_or_else(
            || code(&name(&closed.node.0)),
            |node| format!("{} ({})", code(&name(&node.name)), node.id),
        );
        let mut line = format!("· {node}: {}", self.direction(closed.direction));
        if let Some(until) = closed.until {
            let until = self.time(until, status.now);
            line.push_str(&format!(", {}", self.say("until", args![until = until])));
        }
        format!("{line}; {}", self.exclusion_why(&closed.why, status.now))
    }

    /// Returns one part of the history, newest first.
    #[must_use]
    pub fn history(&self, part: &HistoryPage) -> Page {
        let title = match &part.of {
            Some(of) => self.say("history-title-of", args![of = name(of)]),
            None => self.say("history-title", args![]),
        };
        let mut lines = vec![title];
        if part.rows.is_empty() {
            lines.push(self.say("history-empty", args![]));
        }
        for row in &part.rows {
            lines.extend(self.history_lines(row));
        }
        let mut page = self.page(lines);
        let press = |skip| {
            let data = Press::History { skip, count: part.count, of: part.of.clone() }.data();
            (data.len() <= BUTTON_DATA_BYTES_MAX).then_some(data)
        };
        let newer = (part.skip > 0).then(|| press(part.skip.saturating_sub(part.count))).flatten();
        let older = part.older.then(|| press(part.skip + part.count)).flatten();
        let row: Vec<_> = newer
            .map(|data| self.button("button-newer", data))
            .into_iter()
            .chain(older.map(|data| self.button("button-older", data)))
            .collect();
        if !row.is_empty() {
            page.buttons.push(row);
        }
        page
    }

    fn history_lines(&self, row: &HistoryRow) -> [String; 2] {
        let entry = &row.entry;
        let (mark, outcome) = match entry.outcome() {
            Some((Outcome::Done, _)) => ("✓", self.outcome(Outcome::Done)),
            Some((outcome, _)) => ("✗", self.outcome(outcome)),
            None => ("▸", self.say("history-open", args![])),
        };
        let detail = match &entry.state {
            JournalState::Closed { detail: Some(detail), outcome, .. } if *outcome != Outcome::Done => {
                format!(": {}", escape(&words(detail)))
            }
            _ => String::new(),
        };
        let lasts = entry.outcome().map(|(_, at)| self.lasting(at - entry.intended_at));
        let why = row.why.as_ref().map_or_else(|| escape(&words(&entry.why)), |why| self.move_why(why));
        let first = format!(
            "{mark} {}: {} → {} · {outcome}{detail}",
            self.vm(&entry.vm_name, entry.vm),
            escape(&name(&entry.source_name)),
            escape(&name(&entry.target_name)),
        );
        let second = self.say(
            "history-line",
            args![
                at = self.stamp(entry.intended_at),
                lasts = lasts.unwrap_or_else(|| "…".into()),
                who = Arg::Html(self.approver(&entry.approver)),
                why = Arg::Html(why),
            ],
        );
        [first, format!("   {second}")]
    }

    /// Returns that there is no such VM or node, with names that are like it.
    #[must_use]
    pub fn no_such(&self, found: &str, similar: &[String]) -> Page {
        let sorry = self.say("no-such", args![found = name(found)]);
        let line = if similar.is_empty() {
            sorry
        } else {
            let similar = names(similar.iter().map(String::as_str));
            format!("{sorry} {}", self.say("did-you-mean", args![similar = similar]))
        };
        self.page(vec![line])
    }

    /// Returns that several VMs or nodes have that name, with their ids.
    #[must_use]
    pub fn ambiguous(&self, found: &str, ids: &[u64]) -> Page {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let ids = names(ids.iter().map(String::as_str));
        self.page(vec![self.say("refused-ambiguous", args![found = name(found), ids = ids])])
    }
}

/// A VM or a node that somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<Id> {
    One(Id),
    Several(Vec<u64>),
    None { similar: Vec<String> },
}

/// Finds a node by name or id.
pub(crate) fn find_node(snapshot: &Snapshot, named: &str) -> Found<NodeId> {
    find(named, snapshot.nodes.iter().map(|node| (node.id.0, node.name.as_str())), NodeId)
}

/// Finds a VM by name or id.
pub(crate) fn find_vm(snapshot: &Snapshot, named: &str) -> Found<VmId> {
    find(named, snapshot.vms.iter().map(|vm| (vm.id.0, vm.name.as_str())), VmId)
}

/// Finds a cluster by name or id.
pub(crate) fn find_cluster(snapshot: &Snapshot, named: &str) -> Found<ClusterId> {
    find(named, snapshot.clusters.iter().map(|c| (c.id.0, c.name.as_str())), ClusterId)
}

/// The id wins over the name, the exact name over one in other letters.
fn find<'a, Id>(
    named: &str,
    all: impl Iterator<Item = (u64, &'a str)> + Clone,
    id: impl Fn(u64) -> Id,
) -> Found<Id> {
    let by_id = named.parse::<u64>().ok();
    if let Some((found, _)) = all.clone().find(|(known, _)| Some(*known) == by_id) {
        return Found::One(id(found));
    }
    let exact: Vec<_> = all.clone().filter(|(_, name)| *name == named).map(|(id, _)| id).collect();
    let folded = named.to_lowercase();
    let loose = || all.clone().filter(|(_, name)| name.to_lowercase() == folded).map(|(id, _)| id).collect();
    let found: Vec<u64> = if exact.is_empty() { loose() } else { exact };
    match found[..] {
        [one] => Found::One(id(one)),
        [] => Found::None { similar: similar(&folded, all.map(|(_, name)| name)) },
        _ => Found::Several(found),
    }
}

fn similar<'a>(named: &str, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut likely: Vec<_> = all
        .map(|name| (strsim::jaro_winkler(named, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    likely.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    likely.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}
