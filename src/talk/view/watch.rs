//! The words for a migration that takes long: what VMmanager shows of it, and what giving up means.

use chrono::{DateTime, Utc};

use super::{ALERT_CHARS_MAX, Button, Page, View};
use crate::{
    scheduler::{Glimpse, PlanOf, Says},
    store::{Proposal, Step, StepState},
    talk::{
        proposal::{Choice, Press},
        words::{
            Arg, args,
            format::{INDENT, clip, name},
            plain,
        },
    },
};

impl View {
    /// The buttons under a plan that watches a migration for too long.
    pub(in crate::talk) fn watch_buttons(&self, proposal: &Proposal) -> Option<Vec<Button>> {
        let data = |choice| Press { proposal: proposal.id, tag: proposal.tag(), choice }.data();
        proposal.steps.iter().any(Step::is_watched_long).then(|| {
            vec![
                self.button("button-look-again", data(Choice::LookAgain)),
                self.button("button-give-up", data(Choice::GiveUp)),
            ]
        })
    }

    /// What giving up would mean, with the button that does it.
    pub(in crate::talk) fn confirm_giving_up(&self, proposal: &Proposal, now: DateTime<Utc>) -> Page {
        let title = args![plan = proposal.id.to_string(), cluster = name(&proposal.cluster_name)];
        let mut lines = vec![self.say("give-up-title", title)];
        for step in proposal.steps.iter().filter(|step| step.is_watched_long()) {
            let StepState::Running { since, .. } = step.state else { continue };
            lines.extend(self.migration(&step.migration));
            let runs = self.say("step-slow", args![since = self.time(since, now)]);
            lines.push(format!("{INDENT}{runs}"));
        }
        lines.push(self.say("give-up-means", args![]));
        let press = Press { proposal: proposal.id, tag: proposal.tag(), choice: Choice::GiveUpSurely };
        let mut page = self.page(lines);
        page.buttons = vec![vec![self.button("button-give-up-surely", press.data())]];
        page
    }

    pub(in crate::talk) fn gave_up(&self, plan: &PlanOf) -> Page {
        let PlanOf { plan, cluster } = plan;
        self.line(self.say("gave-up", args![plan = plan.to_string(), cluster = name(cluster)]))
    }

    /// What VMmanager shows of the migrations of a plan.
    pub(in crate::talk) fn glimpses(&self, seen: &[Glimpse]) -> String {
        let lines: Vec<_> = seen.iter().map(|glimpse| plain(&self.glimpse(glimpse))).collect();
        let lines = match lines.is_empty() {
            true => plain(&self.say("nothing-running", args![])),
            false => lines.join("\n"),
        };
        clip(&lines, ALERT_CHARS_MAX)
    }

    fn glimpse(&self, glimpse: &Glimpse) -> String {
        let Glimpse { vm, vm_name, task, says, place } = glimpse;
        let says = match says {
            Says::Runs => self.say("glimpse-runs", args![]),
            Says::Complete => self.say("glimpse-complete", args![]),
            Says::Failed => self.say("glimpse-failed", args![]),
            Says::Word(word) if word.is_empty() => self.say("glimpse-wordless", args![]),
            Says::Word(word) => self.in_quotes(word),
            Says::Nothing => self.say("glimpse-nothing", args![]),
        };
        let task = task.map_or_else(String::new, |task| format!(" {task}"));
        let place = self.place(*place);
        self.say(
            "glimpse",
            args![
                vm = format!("{} ({vm})", name(vm_name)),
                task = task,
                says = Arg::Html(says),
                place = place
            ],
        )
    }
}
