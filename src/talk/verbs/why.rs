//! `/why NAME`: why a VM or a node is (not) moved, a source, a target.

use chrono::{DateTime, Utc};

use super::{node, vm};
use crate::{
    model::find::{self, Kind, Missed, MissedWhy},
    planner,
    scheduler::Picture,
    talk::{
        access::Role,
        verb::{Verb, asks_about},
        view::{Page, View},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "why",
    usage: "/why NAME",
    examples: &["/why web-1", "/why kvm-01"],
    least_role: Role::Viewer,
    read: |rest| rest.name().map(|named| asks_about(named, page)),
    button: None,
};

/// Answers for the VM and for the node of that name; where there is neither, says what is called nearly so.
fn page(named: &str, picture: &Picture, view: &View, now: DateTime<Utc>) -> Page {
    let Picture { snapshot, policy, .. } = picture;
    let of_vm = one_or_choice(find::vm(snapshot, named), view, |info| {
        let found = planner::explain_vm(snapshot, policy, info.id)?;
        let title = vm::title(view, &found, snapshot);
        Some(std::iter::once(title).chain(vm::reasons(view, &found, now)).collect())
    });
    let of_node = one_or_choice(find::node(snapshot, named), view, |info| {
        let found = planner::explain_node(snapshot, policy, info.id)?;
        let title = node::title(view, &found, snapshot);
        Some(std::iter::once(title).chain(node::reasons(view, &found, now)).collect())
    });
    let parts: Vec<_> = [of_vm, of_node].into_iter().flatten().collect();
    if parts.is_empty() {
        let missed = find::vm_or_node(snapshot, named).err();
        let missed = missed.unwrap_or_else(|| Missed::nothing(Kind::VmOrNode, named));
        return view.line(view.miss(&missed));
    }
    let as_of = view.as_of(snapshot.taken_at, now);
    let mut lines = parts.join(&String::new());
    lines.push(as_of);
    view.narrow_page(lines)
}

/// What there is to say of the one thing that is meant, or which of several could be meant; `None` for nothing.
fn one_or_choice<T>(
    found: Result<&T, Missed>,
    view: &View,
    explain: impl FnOnce(&T) -> Option<Vec<String>>,
) -> Option<Vec<String>> {
    match found {
        Ok(found) => explain(found),
        Err(missed) => match &missed.why {
            MissedWhy::Several(_) => Some(vec![view.miss(&missed)]),
            MissedWhy::Unknown { .. } => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn vms_and_nodes_say_why_they_stay_and_a_name_of_both_answers_for_both() {
        let texts =
            ["/why web-1", "/why db-1", "/why node-001", "/why node-002", "/why neva-01", "/why nod-001"];
        insta::assert_snapshot!(texts.map(answers).join("\n"));
    }
}
