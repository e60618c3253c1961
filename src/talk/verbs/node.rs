//! `/node NAME`: one node, with why it is (not) a source or a target.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use super::{balance, link};

use crate::{
    model::{
        NodeInfo, Snapshot, VmInfo, WhyUnmeasured,
        find::{self, Kind, Missed},
    },
    planner::{self, NodeExplained, NodeOverview},
    scheduler::Picture,
    talk::{
        access::Role,
        chart::Wanted,
        verb::{Verb, asks_about},
        view::{Page, View},
        words::{
            Arg, args, escape,
            format::{INDENT, hung, name, packed},
        },
    },
};

pub(super) static VERB: Verb = Verb {
    word: "node",
    usage: "/node NAME",
    examples: &["/node kvm-01", "/node 12"],
    least_role: Role::Viewer,
    read: |rest| rest.name().map(|named| asks_about(named, answer)),
    button: None,
};

/// How many VMs of a node are listed: the largest are what a plan would move.
const VMS_MAX: usize = 15;

fn answer(named: &str, picture: &Picture, view: &View, now: DateTime<Utc>) -> Page {
    let Picture { snapshot, policy, .. } = picture;
    let node = match find::node(snapshot, named) {
        Ok(node) => node.id,
        Err(missed) => return view.line(view.miss(&missed)),
    };
    planner::explain_node(snapshot, policy, node).map_or_else(
        || view.line(view.miss(&Missed::nothing(Kind::Node, named))),
        |node| page(view, &node, snapshot, now),
    )
}

fn page(view: &View, node: &NodeExplained, snapshot: &Snapshot, now: DateTime<Utc>) -> Page {
    let overview = &node.overview;
    let mut lines = vec![title(view, node, snapshot)];
    let vms = view.say("count-vms", args![n = overview.vms]);
    let full =
        if overview.known { view.fullness(&overview.at) } else { vec![view.say("node-unknown", args![])] };
    lines.extend(hung(full.into_iter().chain([vms]), ", "));
    lines.extend(snapshot.node(overview.node).into_iter().flat_map(|node| equipment(view, node)));
    lines.extend(measured_lines(view, overview, snapshot.why_unmeasured(overview.node), now));
    lines.extend(reasons(view, node, now));
    lines.extend(vm_lines(view, node, snapshot, now));
    lines.push(view.as_of(snapshot.taken_at, now));
    let cluster = snapshot.cluster(node.cluster).map(|cluster| (cluster.id, cluster.name.clone()));
    let mut page = view.narrow_page(lines);
    page.buttons = balance::buttons(view, &cluster.into_iter().collect::<Vec<_>>());
    page.buttons.push(vec![view.button("button-chart", Wanted::Node(overview.node).data())]);
    page
}

/// The VMs of a node, the largest first, each with its link, and why it stays where it does.
fn vm_lines(view: &View, node: &NodeExplained, snapshot: &Snapshot, now: DateTime<Utc>) -> Vec<String> {
    let mut vms: Vec<_> = snapshot.vms.iter().filter(|vm| vm.node == node.overview.node).collect();
    vms.sort_by_key(|vm| (Reverse(vm.memory), vm.id));
    let lines = |vm: &VmInfo| {
        let stays = node.stays.get(&vm.id).map(|why| view.skip_why(why, now));
        let stays = stays.or_else(|| vm.host_passthrough.then(|| view.say("vm-passthrough", args![])));
        let called = escape(&name(&vm.name));
        let shown = format!("· {called} {}: {}", link::vm(vm.id), view.memory(vm.memory));
        hung([shown].into_iter().chain(stays), "; ")
    };
    let mut lines: Vec<_> = vms.iter().take(VMS_MAX).flat_map(|vm| lines(vm)).collect();
    let more = vms.len().saturating_sub(VMS_MAX);
    lines.extend((more > 0).then(|| view.say("more-lines", args![n = more])));
    lines
}

/// What live migrations depend on: cores, CPU, versions, and room for disks.
fn equipment(view: &View, node: &NodeInfo) -> Vec<String> {
    let cores = node.cpu_total.map(|cores| view.say("node-cores", args![n = cores]));
    let cpu = node.cpu().map(|model| view.say("node-cpu", args![model = name(model)]));
    let qemu = node.qemu_version.as_ref().map(|version| escape(&format!("QEMU {version}")));
    let kernel = node.kernel_version.as_ref();
    let kernel = kernel.map(|version| view.say("node-kernel", args![version = name(&version.to_string())]));
    let disk = node.storage_available;
    let disk = disk.map(|free| view.say("node-disk-free", args![free = view.memory(free)]));
    let os = node.os_version.as_deref().map(|os| escape(&name(os)));
    hung([cores, cpu, qemu, kernel, os, disk].into_iter().flatten(), ", ")
}

/// `Node kvm-01 (12), cluster msk`
pub(super) fn title(view: &View, node: &NodeExplained, snapshot: &Snapshot) -> String {
    let cluster = snapshot.cluster(node.cluster).map_or("", |cluster| &cluster.name);
    let (node, id) = (&node.overview.name, node.overview.node.to_string());
    view.say("node-title", args![node = Arg::copyable(node), id = id, cluster = name(cluster)])
}

/// Whether a node is overloaded, and why it is (not) a source or a target.
pub(super) fn reasons(view: &View, node: &NodeExplained, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = match node.overview.over.as_slice() {
        [] => vec![view.say("node-not-overloaded", args![])],
        over => {
            let over = over.iter().map(|excess| view.excess(excess));
            hung(std::iter::once(view.say("node-overloaded", args![])).chain(over), " ")
        }
    };
    if let Some(hold) = &node.held {
        lines.push(view.say("held", args![why = Arg::Html(view.hold(hold))]));
    }
    lines.push(match &node.source {
        Ok(()) => view.say("node-source", args![n = node.movable]),
        Err(why) => view.say("node-no-source", args![why = Arg::Html(view.skip_why(why, now))]),
    });
    lines.push(match node.target {
        Ok(()) => view.say("node-target", args![room = view.memory(node.memory_room)]),
        Err(why) => view.say("node-no-target", args![why = Arg::Html(view.target_refusal(why))]),
    });
    if node.newer_than > 0 && node.target.is_ok() {
        lines.push(view.say("node-newer-kernel", args![n = node.newer_than]));
    }
    lines
}

/// What a node measured, beside what is allocated on it, and how old that is.
fn measured_lines(
    view: &View,
    node: &NodeOverview,
    why: Option<WhyUnmeasured>,
    now: DateTime<Utc>,
) -> Vec<String> {
    let Some(reading) = &node.measured else {
        let never = view.measured_briefly(node, why, now);
        return never.into_iter().map(|never| format!("⚠ {never}")).collect();
    };
    let mut what = view.reading(reading);
    if let (Some(used), Some(last)) = (reading.memory_used, what.last_mut()) {
        last.push_str(&format!(" ({})", view.memory(used)));
    }
    let pressures = [
        ("pressure-cpu", reading.cpu_pressure),
        ("pressure-memory", reading.memory_pressure),
        ("pressure-io", reading.io_pressure),
    ];
    what.extend(
        pressures
            .into_iter()
            .filter_map(|(key, percent)| Some(view.say(key, args![percent = view.percent(percent?)]))),
    );
    let key = if reading.fresh { "node-measured" } else { "node-measured-old" };
    let age = view.lasting(now - reading.at);
    let at = view.time(reading.at, now);
    let mut lines = vec![view.say(key, args![age = age, at = at])];
    lines.extend(packed(INDENT, what, ", "));
    lines.extend(why.map(|why| view.say("node-last-try", args![why = view.why_unmeasured(why)])));
    lines.extend(reading.waits.then(|| view.say("node-load-waits", args![])));
    lines.extend(
        reading.settles.map(|until| view.say("node-load-settles", args![until = view.time(until, now)])),
    );
    let strained = !node.strains.is_empty();
    lines.extend(strained.then(|| format!("⚠ {}", view.strains(&node.name, &node.strains))));
    lines
}

#[cfg(test)]
mod tests {
    use crate::talk::{
        grammar::Problem,
        samples,
        verbs::tests::{Found, answers, answers_to, problem},
    };

    #[test]
    fn a_node_is_shown_with_why_it_is_a_source_or_a_target() {
        let texts = ["/node node-001", "/node NODE-002", "/node 11", "/node nod-001"].map(answers);
        insta::assert_snapshot!(texts.join("\n"));
        assert_eq!(problem("/node"), Problem::Missing);
    }

    #[test]
    fn nodes_that_measure_themselves_say_what_they_measured() {
        let texts: Vec<_> =
            (10..=16).map(|id| answers_to(&format!("/node {id}"), Found::of(samples::measured()))).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
