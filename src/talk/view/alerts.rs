//! Alerts: what an operator must know, the failures of a plan, and who takes them in hand.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Page, View};
use crate::{
    event::{Alert, KeptKey, KnownSwitches},
    model::{NodeId, Person},
    store::{Step, StepState},
    talk::{
        cards::{Failures, Hand, HandKind},
        hand,
        words::{
            Arg, args,
            format::{INDENT, bold, code, name, narrow, words},
        },
    },
};

/// A host has a key or two of each kind; what more lines say is no more help.
const KEPT_KEYS_MAX: usize = 4;

impl View {
    /// Returns something that an operator must know.
    #[must_use]
    pub fn alert(
        &self,
        alert: &Alert,
        count: u32,
        earlier: Option<(DateTime<Utc>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Page {
        let mut lines = vec![self.alert_line(alert, now)];
        let is_counted = !matches!(alert, Alert::VmManagerAway { .. } | Alert::VmManagerBack { .. });
        lines.extend((is_counted && count > 1).then(|| self.say("alert-count", args![n = count])));
        lines.extend(earlier.map(|(since, until)| {
            self.say(
                "alert-earlier",
                args![since = self.time(since, now), lasts = self.lasting(until - since)],
            )
        }));
        self.page(lines)
    }

    /// Returns the failures of a plan, with what followed from them.
    #[must_use]
    pub fn failures(&self, failures: &Failures, now: DateTime<Utc>) -> Page {
        let mut lines = Vec::new();
        if let Some(plan) = &failures.plan {
            let cluster = Arg::Html(bold(&name(&plan.cluster_name)));
            let args = args![plan = plan.id.to_string(), cluster = cluster, n = plan.steps.len()];
            lines.push(self.say("failures-title", args));
            let same = self.same_endings(&plan.steps, now);
            for step in &plan.steps {
                lines.extend(self.failed_step(step, same.get(&step.migration.step), now));
            }
        }
        lines.extend(failures.alerts.iter().map(|alert| self.alert_line(alert, now)));
        self.narrow_page(lines)
    }

    fn failed_step(&self, step: &Step, same_as: Option<&u32>, now: DateTime<Utc>) -> Vec<String> {
        let state = match &step.state {
            StepState::Ended { outcome, detail, .. } => {
                self.how_it_ended(*outcome, detail.as_ref(), same_as, now)
            }
            StepState::Running { since, .. } => {
                let slow = self.say("step-slow", args![since = self.time(*since, now)]);
                vec![format!("{INDENT}{slow}")]
            }
            StepState::Waiting | StepState::LeftOut { .. } => Vec::new(),
        };
        self.route(step).into_iter().chain(state).collect()
    }

    /// Says that another message of the same matter may stand in the chat.
    #[must_use]
    pub fn copy_may_be_there(&self, mut page: Page) -> Page {
        page.lines.push(narrow(&self.say("copy-may-be-there", args![])));
        page
    }

    /// Names the person who takes an alert in hand. Where nobody does, adds the buttons for it.
    #[must_use]
    pub fn in_hand(&self, page: Page, key: &str, hand: Option<&Hand>, now: DateTime<Utc>) -> Page {
        let who = |by: &Person| format!("{} ({})", name(&by.name), by.id);
        let (line, kinds) = match hand {
            Some(Hand::Taken { by, at }) => {
                (Some(self.say("hand-taken", args![who = who(by), at = self.time(*at, now)])), &[][..])
            }
            Some(Hand::Snoozed { by, until }) => {
                let args = args![who = who(by), until = self.time(*until, now)];
                (Some(self.say("hand-snoozed", args)), &[HandKind::Take][..])
            }
            None => (None, &[HandKind::Take, HandKind::Snooze][..]),
        };
        let mut page = page;
        page.lines.extend(line);
        let button = |kind: &HandKind| {
            let label = match kind {
                HandKind::Take => "button-take",
                HandKind::Snooze => "button-snooze",
            };
            self.button(label, hand::data(key, *kind))
        };
        if kinds.is_empty() { page } else { page.with_row(kinds.iter().map(button).collect()) }
    }

    fn alert_line(&self, alert: &Alert, now: DateTime<Utc>) -> String {
        match alert {
            Alert::VmManagerAway { since, why } => {
                let why = Arg::Html(self.api_failure(why));
                self.say("alert-away", args![since = self.time(*since, now), why = why])
            }
            Alert::VmManagerBack { since, until } => self.say(
                "alert-back",
                args![until = self.time(*until, now), lasts = self.lasting(*until - *since)],
            ),
            Alert::PictureShrank { cluster, vms_before, vms_after } => self.say(
                "alert-shrank",
                args![
                    cluster = cluster.to_string(),
                    before = vms_before.to_string(),
                    after = vms_after.to_string(),
                ],
            ),
            Alert::ForeignMigration { task, cluster, vm } => {
                let vm = vm.map_or_else(|| "?".into(), |vm| vm.to_string());
                let task = task.to_string();
                match cluster {
                    Some(cluster) => {
                        self.say("alert-foreign", args![task = task, vm = vm, cluster = cluster.to_string()])
                    }
                    None => self.say("alert-foreign-anywhere", args![task = task, vm = vm]),
                }
            }
            Alert::PulledBack { .. } => self.pulled_back(alert, now),
            Alert::NodeTakenOut { cluster, node, name: node_name, failures, until } => self.say(
                "alert-node-out",
                args![
                    node = Arg::copyable(node_name),
                    id = node.to_string(),
                    cluster = cluster.to_string(),
                    n = *failures,
                    until = self.time(*until, now),
                ],
            ),
            Alert::ClusterStopped { cluster, name: cluster_name, failures, until } => {
                let stopped = self.say(
                    "alert-cluster-stopped",
                    args![cluster = name(cluster_name), id = cluster.to_string(), n = *failures],
                );
                let ends = |until: &DateTime<Utc>| {
                    self.say("alert-cluster-stop-ends", args![until = self.time(*until, now)])
                };
                std::iter::once(stopped).chain(until.as_ref().map(ends)).collect::<Vec<_>>().join(" ")
            }
            Alert::ClusterResumed { cluster, name: cluster_name } => self
                .say("alert-cluster-resumed", args![cluster = name(cluster_name), id = cluster.to_string()]),
            Alert::HostKeyChanged { node, name, expected, found, at } => {
                self.host_key_changed(*node, name, expected, found, at)
            }
            Alert::StoreRestored { .. } => self.store_restored(alert, now),
            Alert::ClockJumped { before, after } => {
                // What passed between two looks at the clock is not a part of it.
                let by =
                    TimeDelta::minutes(((*after - *before).abs() + TimeDelta::seconds(30)).num_minutes());
                let by = self.lasting(by);
                let key = if after > before { "alert-time-ahead" } else { "alert-time-back" };
                // Without their dates only where they are of one day.
                let (before, after) = (self.time(*before, *after), self.time(*after, *before));
                self.say(key, args![by = by, before = before, after = after])
            }
            Alert::StoreTrouble { since, why } => {
                let why = Arg::Html(self.store_failure(why));
                self.say("alert-store", args![since = self.time(*since, now), why = why])
            }
            Alert::SecondPoller { since } => {
                self.say("alert-second-poller", args![since = self.time(*since, now)])
            }
        }
    }

    fn pulled_back(&self, alert: &Alert, now: DateTime<Utc>) -> String {
        let Alert::PulledBack { vm, name: vm_name, node, times, by, until } = alert else {
            return String::new();
        };
        let by = by.as_ref().map(|who| self.say("alert-pulled-by", args![who = words(who)]));
        self.say(
            "alert-pulled",
            args![
                vm = Arg::Html(self.vm(vm_name, *vm)),
                node = Arg::copyable(node),
                n = *times,
                by = Arg::Html(by.unwrap_or_default()),
                until = self.time(*until, now),
            ],
        )
    }

    fn store_restored(&self, alert: &Alert, now: DateTime<Utc>) -> String {
        let Alert::StoreRestored { exported_at, moved_to, writes_lost, switches } = alert else {
            return String::new();
        };
        let dir = words(moved_to);
        let restored = match exported_at {
            Some(at) => self.say("alert-restored", args![at = self.time(*at, now), dir = dir]),
            None => self.say("alert-restored-empty", args![dir = dir]),
        };
        let lost = match writes_lost {
            Some(0) => self.say("alert-restored-whole", args![]),
            Some(lost) => self.say("alert-restored-lost", args![n = *lost]),
            None => self.say("alert-restored-unknown", args![]),
        };
        let switches = match switches {
            KnownSwitches::Known => "alert-restored-switches-known",
            KnownSwitches::AsExported => "alert-restored-switches-exported",
            KnownSwitches::Unknown => "alert-restored-switches-unknown",
        };
        [restored, lost, self.say(switches, args![])].join("\n")
    }

    /// What was shown in place of which key, and what to do about it for each place that holds one.
    fn host_key_changed(
        &self,
        node: NodeId,
        node_name: &str,
        expected: &str,
        found: &str,
        at: &[KeptKey],
    ) -> String {
        // A revoked key may be the one that was expected.
        let is_revoked = expected.is_empty();
        let changed = self.say(
            if is_revoked { "alert-host-key-revoked" } else { "alert-host-key" },
            args![
                node = Arg::copyable(node_name),
                id = node.to_string(),
                expected = words(expected),
                found = words(found),
            ],
        );
        let remedies = at.iter().take(KEPT_KEYS_MAX).map(|kept| self.host_key_remedy(kept, is_revoked));
        std::iter::once(changed).chain(remedies).collect::<Vec<_>>().join("\n")
    }

    fn host_key_remedy(&self, kept: &KeptKey, is_revoked: bool) -> String {
        let KeptKey { file, line, host, learned } = kept;
        let key = match (is_revoked, learned) {
            (true, _) => "alert-host-key-revoked-in",
            (false, true) => "alert-host-key-learned",
            (false, false) => "alert-host-key-known",
        };
        let command = format!("ssh-keygen -R '{host}' -f '{file}'");
        let (file, command) = (Arg::Html(code(&words(file))), Arg::Html(code(&words(&command))));
        self.say(key, args![file = file, line = *line, command = command])
    }
}
