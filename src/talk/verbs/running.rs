//! `/running`: what runs now.

use super::cancel;
use crate::{
    scheduler::{PlanOf, Status},
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        verb::{Verb, asks},
        view::{Page, View},
        words::args,
    },
};

pub(super) static VERB: Verb = Verb {
    word: "running",
    usage: "/running",
    examples: &[],
    least_role: Role::Viewer,
    read: |rest| {
        let answer = |status: Status, view: &View, _| Answer::Page(page(view, &status));
        rest.end(asks(move |_| Ask::Status(Then::new(answer))))
    },
    button: None,
};

fn page(view: &View, status: &Status) -> Page {
    if status.running.is_empty() {
        return view.line(view.say("nothing-running", args![]));
    }
    let mut lines = vec![view.say("running-title", args![n = status.running.len()])];
    lines.extend(status.running.iter().flat_map(|entry| view.running_lines(entry, status.now)));
    let mut plans: Vec<PlanOf> = Vec::new();
    for entry in &status.running {
        if plans.iter().all(|known| known.plan != entry.proposal) {
            plans.push(PlanOf { plan: entry.proposal, cluster: entry.cluster_name.clone() });
        }
    }
    let mut page = view.page(lines);
    page.buttons = cancel::buttons(view, &plans);
    page
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn what_runs_can_be_stopped_from_there() {
        insta::assert_snapshot!(answers("/running"));
    }
}
