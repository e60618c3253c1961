//! `/vm NAME|ID`: one VM, with why it can (not) be moved and where to.

use chrono::{DateTime, Utc};

use super::link;
use crate::{
    model::{
        Snapshot,
        find::{self, Kind, Missed},
    },
    planner::{self, Resource, TargetRefusal, VmExplained},
    scheduler::Picture,
    talk::{
        access::Role,
        verb::{Verb, asks_about},
        view::{Page, View},
        words::{
            Arg, args, escape,
            format::{INDENT, code, hung, name, names, packed},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "vm",
    usage: "/vm NAME|ID",
    examples: &["/vm web-1", "/vm 1000"],
    least_role: Role::Viewer,
    read: |rest| rest.name().map(|named| asks_about(named, answer)),
    button: None,
};

/// How many possible targets are named.
const TARGETS_MAX: usize = 5;

fn answer(named: &str, picture: &Picture, view: &View, now: DateTime<Utc>) -> Page {
    let Picture { snapshot, policy, .. } = picture;
    let vm = match find::vm(snapshot, named) {
        Ok(vm) => vm.id,
        Err(missed) => return view.line(view.miss(&missed)),
    };
    planner::explain_vm(snapshot, policy, vm).map_or_else(
        || view.line(view.miss(&Missed::nothing(Kind::Vm, named))),
        |vm| page(view, &vm, snapshot, now),
    )
}

fn page(view: &View, vm: &VmExplained, snapshot: &Snapshot, now: DateTime<Utc>) -> Page {
    let mut lines = vec![title(view, vm, snapshot)];
    if let Some(info) = snapshot.vm(vm.vm) {
        let memory = view.memory(info.memory);
        lines.push(format!("{} vCPU, {memory}; {}", info.cpu_cores, escape(&info.state.to_string())));
    }
    if let Some(used) = &vm.measured {
        let cores = view.decimals(used.cores, 2);
        lines.push(view.say("vm-measured", args![cores = cores, age = view.lasting(now - used.at)]));
    }
    lines.extend(reasons(view, vm, now));
    lines.push(view.as_of(snapshot.taken_at, now));
    view.narrow_page(lines)
}

/// `VM web-1 (1000) on kvm-01 (12)`
pub(super) fn title(view: &View, vm: &VmExplained, snapshot: &Snapshot) -> String {
    let node = snapshot.node(vm.node).map_or("", |node| &node.name);
    let node = Arg::Html(format!("{} {}", code(&name(node)), link::node(vm.node)));
    view.say("vm-title", args![vm = Arg::Html(view.vm(&vm.name, vm.vm)), node = node])
}

/// Why a VM stays, or which nodes would take it.
pub(super) fn reasons(view: &View, vm: &VmExplained, now: DateTime<Utc>) -> Vec<String> {
    let held = vm.held.as_ref().map(|hold| view.say("held", args![why = Arg::Html(view.hold(hold))]));
    let mut lines: Vec<_> = held.into_iter().collect();
    match &vm.movable {
        Err(why) => {
            lines.push(view.say("vm-stays", args![why = Arg::Html(view.skip_why(why, now))]));
        }
        Ok(()) => lines.extend(target_lines(view, vm)),
    }
    lines
}

fn target_lines(view: &View, vm: &VmExplained) -> Vec<String> {
    if vm.targets.is_empty() && vm.refusals.is_empty() {
        return vec![view.say("vm-no-other-node", args![])];
    }
    if vm.targets.is_empty() {
        let no_target = view.say("vm-no-target", args![]);
        return std::iter::once(no_target).chain(refusals_by_reason(view, vm)).collect();
    }
    let mut lines = vec![view.say("vm-movable", args![n = vm.targets.len()])];
    lines.extend(vm.targets.iter().take(TARGETS_MAX).map(|(id, node, after, cautions)| {
        let called = format!("· {} {}:", escape(&name(node)), link::node(*id));
        // Memory decides; the rest is behind the link.
        let memory = format!("{} {}", view.resource(Resource::Memory), view.percent(after.memory_percent));
        let cautions = cautions.iter().map(|caution| format!("⚠ {}", view.caution(caution)));
        hung([called, memory].into_iter().chain(cautions), " ").join("\n")
    }));
    if vm.targets.len() > TARGETS_MAX {
        lines.push(view.say("more-lines", args![n = vm.targets.len() - TARGETS_MAX]));
    }
    if !vm.refusals.is_empty() {
        lines.push(view.say("vm-refused", args![]));
        lines.extend(refusals_by_reason(view, vm));
    }
    lines
}

/// Each reason with the nodes that it keeps from taking the VM.
fn refusals_by_reason(view: &View, vm: &VmExplained) -> Vec<String> {
    let mut reasons: Vec<(TargetRefusal, Vec<&str>)> = Vec::new();
    for (_, node, refusal) in &vm.refusals {
        match reasons.iter_mut().find(|(known, _)| known == refusal) {
            Some((_, nodes)) => nodes.push(node),
            None => reasons.push((*refusal, vec![node])),
        }
    }
    let lines = reasons.iter().flat_map(|(why, nodes)| {
        let why = format!("{}:", view.target_refusal(*why));
        packed(INDENT, [why, escape(&names(nodes.iter().copied()))], " ")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        samples,
        verbs::tests::{Found, answers, answers_to},
    };

    #[test]
    fn a_vm_is_shown_with_why_it_stays_or_where_it_could_go() {
        let texts = ["/vm web-1", "/vm 1002", "/vm neva-01", "/vm db-9", "/vm web-11"].map(answers);
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_measured_vm_says_what_it_uses() {
        insta::assert_snapshot!(answers_to("/vm 1000", Found::of(samples::measured())));
    }
}
