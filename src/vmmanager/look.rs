//! From rows to a picture of the platform, with what is missing in it said. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::wire::{ClusterRow, HostSeen, KVM, Kept, NodeRow, Plain};
use crate::model::{
    Block, ClusterId, ClusterInfo, Flaw, KernelVersion, List, Mib, NodeFault, NodeId, NodeInfo, NodeState,
    QemuVersion, RowShape, Snapshot, VmId, VmInfo, VmState,
};

/// What one look at the platform gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// `foreign` is empty: which migrations are ours, only the journal knows.
    pub snapshot: Snapshot,
    /// Every migration that waits or runs, no matter who ordered it.
    pub migrations: Vec<RunningMigration>,
    /// Whether these are certainly all of them.
    pub tasks_known: bool,
    /// What was odd in the answers, and in which cluster where that is known.
    pub warnings: Vec<(Option<ClusterId>, Flaw)>,
}

/// What waits or runs at VMmanager.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    pub migrations: Vec<RunningMigration>,
    pub others: Vec<OtherTask>,
    /// The reason where it is unknown.
    pub unknown: Option<Flaw>,
}

/// A waiting or running task that is not a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OtherTask {
    /// The task manager's number.
    pub task_id: u64,
    /// E.g. `host_backup`.
    pub name: String,
    /// `None` where its row does not say.
    pub vm: Option<VmId>,
}

/// A `host_migrate` task that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningMigration {
    /// The task manager's number.
    pub task_id: u64,
    /// The queue's number, the one an order is answered with.
    pub consul_id: Option<u64>,
    pub status: String,
    /// `None` where the server does not say, which is the rule.
    pub vm: Option<VmId>,
}

/// All rows of one list, over all its pages.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub rows: Vec<T>,
    /// Rows without a usable id, each with its place from 1; `None` for what is no object at all.
    pub broken: Vec<(usize, Option<T>)>,
    /// How many rows were promised, where fewer came.
    pub promised: Option<u64>,
    /// How many rows came twice.
    pub doubled: usize,
    /// Of rows that came twice and contradict each other, the later ones.
    pub twins: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), broken: Vec::new(), promised: None, doubled: 0, twins: Vec::new() }
    }
}

impl<T: Kept> Listed<T> {
    /// The usable rows with their ids.
    pub(super) fn each(&self) -> impl Iterator<Item = (u64, &T)> {
        self.rows.iter().filter_map(|row| Some((row.id()?, row)))
    }

    /// How many rows came, usable or not.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.broken.len()
    }
}

/// A few VMs and nodes, read one by one, and what runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The VMs as their rows show them, with the work that VMmanager does on them.
    pub vms: Vec<VmInfo>,
    /// The nodes as their own rows show them: what those do not say is 0 here.
    pub nodes: Vec<NodeInfo>,
    /// Every migration that waits or runs, no matter who ordered it.
    pub migrations: Vec<RunningMigration>,
}

/// Everything a look asked for.
#[derive(Debug)]
pub(super) struct Answers {
    pub clusters: Listed<ClusterRow>,
    pub nodes: Listed<NodeRow>,
    pub hosts: Listed<HostSeen>,
    pub tasks: Unfinished,
}

/// Puts the lists together.
pub(super) fn assemble(taken_at: DateTime<Utc>, answers: Answers) -> Look {
    let Answers { clusters, nodes, hosts, tasks } = answers;
    let Unfinished { migrations, others, unknown: tasks_unknown } = tasks;
    let mut doubts = Doubts::default();
    let known_nodes: BTreeSet<_> = nodes.each().map(|(id, _)| id).collect();
    // What has nodes and no readable row of its own is an unlisted cluster; the other clusters miss nothing.
    doubts.of_list(List::Clusters, &clusters, |_| Touched::Nothing);
    doubts.of_list(List::Nodes, &nodes, |row| Touched::of_cluster(row.cluster.id()));
    // Its node is closed, as that of a damaged VM.
    doubts.of_list(List::Vms, &hosts, |row| {
        match row.node().is_some_and(|node| known_nodes.contains(&node)) {
            true => Touched::Nothing,
            false => Touched::of_cluster(row.cluster()),
        }
    });
    let tasks_known = tasks_unknown.is_none();
    if let Some(why) = tasks_unknown {
        doubts.everywhere(why);
    }
    doubts.of_damage(List::Clusters, clusters.each().map(|(id, row)| (id, &row.damage)));
    for (id, row) in clusters.each().filter(|(_, row)| row.lost_more_than_words()) {
        doubts.some.entry(ClusterId(id)).or_default().push(row_flaw(List::Clusters, id, &row.damage));
    }
    doubts.of_damage(List::Nodes, nodes.each().map(|(id, row)| (id, &row.damage)));
    doubts.of_damage(List::Vms, hosts.each().map(|(id, row)| (id, &row.damage)));
    let mut known = known_clusters(&clusters, &nodes, &mut doubts);
    learn_virtualization(&mut known, &nodes, &hosts);
    let sums = Sums::of(&hosts);
    let homes = Homes::of(&hosts);
    let nodes = nodes.each().filter_map(|(id, row)| match row.cluster.id() {
        Some(cluster) => Some(node(id, ClusterId(cluster), row, &sums)),
        None => {
            doubts.about(homes.cluster_of(id), Flaw::NodeWithoutCluster { node: NodeId(id) });
            None
        }
    });
    let nodes: Vec<_> = nodes.collect();
    let mut vms = vms(hosts, &nodes, &mut doubts);
    occupy(&mut vms, others);
    doubts.settle(&mut known);
    let snapshot = Snapshot { clusters: known, nodes, vms, ..Snapshot::empty(taken_at) };
    Look { snapshot, migrations, tasks_known, warnings: doubts.warnings }
}

/// Puts together what was read one by one; `None` where a row is damaged or missing, or the tasks are not all known.
pub(super) fn detail(
    vms: Vec<Option<HostSeen>>,
    nodes: Vec<Option<NodeRow>>,
    tasks: Unfinished,
) -> Option<Detail> {
    let Unfinished { migrations, others, unknown } = tasks;
    if unknown.is_some() {
        return None;
    }
    let vm = |row: Option<HostSeen>| row.filter(|row| row.damage.is_empty())?.into_vm();
    let node = |row: Option<NodeRow>| {
        let row = row.filter(|row| row.damage.is_empty())?;
        single_node(row.id()?, &row)
    };
    // A VM's row may say it where the node's own row does not.
    let in_maintenance: BTreeSet<_> =
        vms.iter().flatten().filter(|row| row.maintenance).filter_map(HostSeen::node).collect();
    let mut vms: Vec<_> = vms.into_iter().map(vm).collect::<Option<_>>()?;
    let mut nodes: Vec<_> = nodes.into_iter().map(node).collect::<Option<_>>()?;
    for node in nodes.iter_mut().filter(|node| in_maintenance.contains(&node.id.0)) {
        node.maintenance = true;
    }
    occupy(&mut vms, others);
    Some(Detail { vms, nodes, migrations })
}

/// Reads one node row on its own, without the sums of its VMs.
pub(super) fn single_node(id: u64, row: &NodeRow) -> Option<NodeInfo> {
    Some(node(id, ClusterId(row.cluster.id()?), row, &Sums::default()))
}

/// What a row that cannot be read may be about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    Everything,
    Cluster(u64),
    /// Nothing that is not held already.
    Nothing,
}

impl Touched {
    fn of_cluster(cluster: Option<u64>) -> Self {
        cluster.map_or(Self::Everything, Self::Cluster)
    }
}

/// The clusters that the VMs of each node name: the only trace of a node's cluster where its own row is silent.
struct Homes(HashMap<u64, BTreeSet<Option<u64>>>);

impl Homes {
    fn of(hosts: &Listed<HostSeen>) -> Self {
        let mut clusters: HashMap<_, BTreeSet<_>> = HashMap::new();
        for row in &hosts.rows {
            clusters.entry(row.node().unwrap_or(0)).or_default().insert(row.cluster());
        }
        Self(clusters)
    }

    /// The cluster of a node, where all of its VMs name the same.
    fn cluster_of(&self, node: u64) -> Option<u64> {
        let clusters = self.0.get(&node)?;
        clusters.first().copied().flatten().filter(|_| clusters.len() == 1)
    }
}

/// Reasons not to act on a picture, by cluster.
#[derive(Default)]
struct Doubts {
    all: Vec<Flaw>,
    some: BTreeMap<ClusterId, Vec<Flaw>>,
    warnings: Vec<(Option<ClusterId>, Flaw)>,
}

impl Doubts {
    fn everywhere(&mut self, why: Flaw) {
        self.warnings.push((None, why.clone()));
        self.all.push(why);
    }

    /// Doubts one cluster, or all where the right one is unknown.
    fn about(&mut self, cluster: Option<u64>, why: Flaw) {
        match cluster.map(ClusterId) {
            None => self.everywhere(why),
            Some(cluster) => {
                self.warnings.push((Some(cluster), why.clone()));
                self.some.entry(cluster).or_default().push(why);
            }
        }
    }

    fn of_list<T: Kept>(&mut self, what: List, list: &Listed<T>, touched: impl Fn(&T) -> Touched) {
        if let Some(promised) = list.promised {
            self.everywhere(Flaw::ShortList { list: what, rows: rows(list.len()), promised });
        }
        if list.doubled > 0 {
            self.warnings.push((None, Flaw::DoubledRows { list: what, rows: rows(list.doubled) }));
        }
        let mut broken: BTreeMap<Touched, Vec<(usize, RowShape)>> = BTreeMap::new();
        let of_nothing = if what == List::Clusters { Touched::Nothing } else { Touched::Everything };
        for (at, row) in &list.broken {
            let touched = row.as_ref().map_or(of_nothing, &touched);
            let shape = if row.is_some() { RowShape::NoId } else { RowShape::NoObject };
            broken.entry(touched).or_default().push((*at, shape));
        }
        for (touched, odd) in broken {
            let Some((first, shape)) = odd.first().copied() else { continue };
            let flaw = Flaw::UnreadableRows { list: what, rows: rows(odd.len()), first: rows(first), shape };
            match touched {
                Touched::Everything => self.everywhere(flaw),
                Touched::Cluster(cluster) => self.about(Some(cluster), flaw),
                Touched::Nothing => self.warnings.push((None, flaw)),
            }
        }
    }

    /// A damaged record is left alone, with its node; it says nothing of the others.
    fn of_damage<'a>(&mut self, list: List, rows: impl Iterator<Item = (u64, &'a Vec<String>)>) {
        for (id, fields) in rows.filter(|(_, fields)| !fields.is_empty()) {
            self.warnings.push((None, row_flaw(list, id, fields)));
        }
    }

    fn settle(&mut self, clusters: &mut [ClusterInfo]) {
        for (id, why) in std::mem::take(&mut self.some) {
            match clusters.iter_mut().find(|cluster| cluster.id == id) {
                Some(cluster) => cluster.incomplete.extend(why),
                // A cluster that nobody knows has no nodes to act on, but the row may belong anywhere.
                None => self.all.extend(why),
            }
        }
        for cluster in clusters {
            cluster.incomplete.extend(self.all.iter().cloned());
        }
    }
}

fn row_flaw(list: List, id: u64, fields: &[String]) -> Flaw {
    Flaw::DamagedRow { list, id, fields: fields.join(", ").into() }
}

fn rows(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn known_clusters(
    list: &Listed<ClusterRow>,
    nodes: &Listed<NodeRow>,
    doubts: &mut Doubts,
) -> Vec<ClusterInfo> {
    let mut known: Vec<_> = list.each().map(|(id, row)| cluster(id, row)).collect();
    let mut ids: BTreeSet<_> = known.iter().map(|cluster| cluster.id).collect();
    for row in &nodes.rows {
        let Some(id) = row.cluster.id().map(ClusterId) else { continue };
        if ids.insert(id) {
            let name = row.cluster.name().unwrap_or_else(|| format!("#{id}"));
            let virtualization = row.cluster.virtualization();
            known.push(ClusterInfo { virtualization, ..ClusterInfo::new(id, name) });
            doubts.about(Some(id.0), Flaw::UnlistedCluster);
        }
    }
    known.sort_by_key(|cluster| cluster.id);
    known
}

/// Takes the kind of virtualization from wherever it stands. Only KVM is balanced, so any other word decides.
fn learn_virtualization(clusters: &mut [ClusterInfo], nodes: &Listed<NodeRow>, hosts: &Listed<HostSeen>) {
    let mut learn = |cluster: Option<u64>, kind: &str| {
        let Some(cluster) = clusters.iter_mut().find(|known| Some(known.id.0) == cluster) else { return };
        let is_kvm = |kind: &str| kind.eq_ignore_ascii_case(KVM);
        if cluster.virtualization.as_deref().is_none_or(is_kvm) && !is_kvm(kind) {
            cluster.virtualization = Some(kind.to_owned());
        }
    };
    for row in &nodes.rows {
        let kinds = [row.virtualization_type.text(), row.cluster.virtualization()];
        kinds.iter().flatten().for_each(|kind| learn(row.cluster.id(), kind));
    }
    for row in &hosts.rows {
        row.virtualization.iter().for_each(|kind| learn(row.cluster(), kind));
    }
}

fn cluster(id: u64, row: &ClusterRow) -> ClusterInfo {
    let id = ClusterId(id);
    let signs = row.balancer_signs();
    ClusterInfo {
        id,
        name: row.plain("name").text().unwrap_or_else(|| format!("#{id}")),
        virtualization: row.plain("virtualization_type").text(),
        local_storage: row.local_storage(),
        incomplete: Vec::new(),
        builtin_balancer: Some(signs.join(", ")).filter(|signs| !signs.is_empty()),
    }
}

/// What the VMs of each node add up to, and what their rows say of the node.
#[derive(Default)]
struct Sums(HashMap<u64, NodeSum>);

#[derive(Clone, Copy, Default)]
struct NodeSum {
    vcpus: u64,
    memory: Mib,
    vms: u32,
    maintenance: bool,
    /// The record of one of them is damaged, so the sums may be too small.
    damaged: bool,
}

impl Sums {
    fn of(hosts: &Listed<HostSeen>) -> Self {
        let mut sums: HashMap<u64, NodeSum> = HashMap::new();
        let nameless = hosts.broken.iter().filter_map(|(_, row)| row.as_ref());
        for row in hosts.rows.iter().chain(&hosts.twins).chain(nameless) {
            let Some(node) = row.node() else { continue };
            let sum = sums.entry(node).or_default();
            let (vcpus, memory) = row.size();
            sum.vcpus += u64::from(vcpus);
            sum.memory += memory;
            sum.vms += 1;
            sum.maintenance |= row.maintenance;
            sum.damaged |= !row.damage.is_empty() || row.id().is_none();
        }
        Self(sums)
    }
}

fn node(id: u64, cluster: ClusterId, row: &NodeRow, sums: &Sums) -> NodeInfo {
    let sum = sums.0.get(&id).copied().unwrap_or_default();
    let cpu_total = first([row.cpu.small_amount(), row.cpu_number.small_amount()]).filter(|cores| *cores > 0);
    let used = first([row.cpu.used_count(), row.cpu_number.used_count()])
        .filter(|used| u32::try_from(*used).is_ok());
    let cpu_used = u32::try_from(used.unwrap_or(sum.vcpus)).ok();
    let memory_total = row.ram_mib.amount().filter(|mib| *mib > 0).map(Mib);
    let memory_used = row.ram_mib.used_count().map_or(sum.memory, Mib);
    let vm_count = row.vm.object.as_ref().and_then(|vm| vm.total.small()).or_else(|| row.host_count.small());
    NodeInfo {
        id: NodeId(id),
        name: row.name.text().unwrap_or_else(|| format!("#{id}")),
        cluster,
        cpu_total,
        cpu_used: cpu_total.and(cpu_used),
        memory_total,
        memory_used: memory_total.and(Some(memory_used)),
        vm_count: vm_count.unwrap_or(sum.vms),
        vm_limit: row.host_limit.small().filter(|limit| *limit > 0),
        // Any of the three places that says so is believed.
        maintenance: row.maintenance_mode.is_yes() || row.maintenance.is_yes() || sum.maintenance,
        vm_creation_allowed: !row.host_creation_blocked.is_yes(),
        qemu_version: row.qemu_version.text().map(QemuVersion::new),
        kernel_version: row.kernel_version.text().map(KernelVersion::new),
        os_version: row.os_version.text(),
        cpu_model: row.cpu_model.text(),
        storage_available: storage_available(row),
        faults: faults(row),
        load: None,
        state: match row.state() {
            NodeState::Active if sum.damaged => NodeState::UnreadableVm,
            state => state,
        },
        address: row.ip.text().or_else(|| row.ip_addr.text()),
        ssh_port: first([port(&row.port), port(&row.ssh_port)]),
    }
}

fn storage_available(row: &NodeRow) -> Option<Mib> {
    let storages = [&row.storage, &row.storage_mib].into_iter().filter_map(|storage| storage.object.as_ref());
    storages.filter_map(|storage| storage.available()).min().map(Mib)
}

fn faults(row: &NodeRow) -> Vec<NodeFault> {
    let routing = row.bird_error.is_yes() || row.frr_error.is_yes();
    let checks = [
        (row.libvirt_error.is_yes(), NodeFault::Libvirt),
        (row.ha_error.is_yes(), NodeFault::Ha),
        (routing, NodeFault::Routing),
    ];
    checks.into_iter().filter_map(|(holds, fault)| holds.then_some(fault)).collect()
}

/// Takes the VMs out of the rows, in the rows' own place.
fn vms(hosts: Listed<HostSeen>, nodes: &[NodeInfo], doubts: &mut Doubts) -> Vec<VmInfo> {
    let known: BTreeSet<_> = nodes.iter().map(|node| node.id.0).collect();
    let mut homeless: BTreeMap<Option<u64>, (u64, usize)> = BTreeMap::new();
    let place = |row: HostSeen| {
        let (id, node) = (row.id()?, row.node());
        // One that is only being made takes up nothing yet, on no node.
        let is_unborn = node.is_none() && *row.state() == VmState::Creating;
        if !is_unborn && node.is_none_or(|node| !known.contains(&node)) {
            homeless.entry(row.cluster()).or_insert((id, 0)).1 += 1;
        }
        row.into_vm()
    };
    let mut vms: Vec<_> = hosts.rows.into_iter().filter_map(place).collect();
    vms.shrink_to_fit();
    for (cluster, (example, count)) in homeless {
        doubts.about(cluster, Flaw::VmsWithoutNode { vms: rows(count), example: VmId(example) });
    }
    vms
}

/// A VM that VMmanager is at work on is left alone until the work is done.
fn occupy(vms: &mut [VmInfo], tasks: Vec<OtherTask>) {
    let mut by_vm: BTreeMap<VmId, BTreeSet<String>> = BTreeMap::new();
    for OtherTask { name, vm, .. } in tasks {
        if let Some(vm) = vm {
            by_vm.entry(vm).or_default().insert(name);
        }
    }
    for vm in vms {
        vm.blocked_by.extend(by_vm.remove(&vm.id).into_iter().flatten().map(Block::Task));
    }
}

fn port(plain: &Plain) -> Option<u16> {
    plain.whole().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
}

fn first<T, const N: usize>(choices: [Option<T>; N]) -> Option<T> {
    choices.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vmmanager::wire::{HostRow, Row};

    #[test]
    fn nodes_of_2022_are_filled_up_from_their_vms() {
        let node = json!({"id": 5, "name": "kvm-05", "cluster": {"id": 2, "name": "msk-kvm", "time_zone": "UTC"},
            "ip": "192.0.2.15", "state": "active", "cpu_number": 32, "ram_mib": {"total": 257951, "used": 214016},
            "host_count": 27, "host_limit": 0, "host_creation_blocked": false, "overselling": 1});
        let vm =
            json!({"id": 311, "node": {"id": 5, "maintenance_mode": true}, "cpu_number": 4, "ram_mib": 8192});
        let look = looked(vec![json!({"id": 2})], vec![node], vec![vm]);
        let node = &look.snapshot.nodes[0];
        assert_eq!(
            (node.cpu_total, node.cpu_used, node.memory_used),
            (Some(32), Some(4), Some(Mib(214_016)))
        );
        assert_eq!((node.vm_count, node.vm_limit, node.maintenance), (27, None, true));
        assert_eq!(look.snapshot.clusters[0].incomplete, []);
    }

    #[test]
    fn a_node_without_numbers_has_none() {
        let look = looked(
            vec![json!({"id": 2})],
            vec![json!({"id": 5, "cluster": 2, "cpu": {"number": 0}})],
            vec![],
        );
        let node = &look.snapshot.nodes[0];
        assert_eq!(
            (node.cpu_total, node.cpu_used, node.memory_total, node.memory_used),
            (None, None, None, None)
        );
        assert_eq!((node.name.as_str(), node.state.clone()), ("#5", NodeState::Unknown));
    }

    #[test]
    fn no_limit_is_written_in_many_ways() {
        for (limit, read) in
            [(json!(0), None), (json!(-1), None), (json!(null), None), (json!("30"), Some(30))]
        {
            let look = looked(vec![], vec![json!({"id": 5, "cluster": 2, "host_limit": limit})], vec![]);
            assert_eq!(look.snapshot.nodes[0].vm_limit, read);
        }
    }

    #[test]
    fn a_node_of_an_unlisted_cluster_gives_a_cluster_not_to_be_acted_on() {
        let look = looked(
            vec![json!({"id": 1})],
            vec![json!({"id": 5, "cluster": {"id": 2, "name": "spb"}})],
            vec![],
        );
        let (known, unlisted) = (&look.snapshot.clusters[0], &look.snapshot.clusters[1]);
        assert_eq!((known.incomplete.len(), unlisted.name.as_str()), (0, "spb"));
        assert_eq!(unlisted.incomplete, [Flaw::UnlistedCluster]);
    }

    #[test]
    fn a_node_without_a_cluster_marks_them_all() {
        let look = looked(vec![json!({"id": 1}), json!({"id": 2})], vec![json!({"id": 5})], vec![]);
        assert!(
            look.snapshot
                .clusters
                .iter()
                .all(|cluster| cluster.incomplete == [Flaw::NodeWithoutCluster { node: NodeId(5) }])
        );
        assert_eq!(look.warnings.len(), 1);
    }

    #[test]
    fn a_node_without_a_cluster_marks_the_one_that_its_vms_name() {
        let clusters = || vec![json!({"id": 1}), json!({"id": 2})];
        let nodes = || vec![json!({"id": 5}), json!({"id": 6, "cluster": 1})];
        let vm = |id: u64, cluster: serde_json::Value| json!({"id": id, "node": 5, "cluster": cluster});
        let held_by = |vms| held(&looked(clusters(), nodes(), vms));
        assert_eq!(held_by(vec![vm(1, json!(2)), vm(2, json!({"id": 2}))]), [false, true]);
        assert_eq!(
            held_by(vec![vm(1, json!(2)), vm(2, json!(null))]),
            [true, true],
            "one of them does not say"
        );
        assert_eq!(held_by(vec![vm(1, json!(2)), vm(2, json!(1))]), [true, true], "they differ");
    }

    #[test]
    fn a_vm_without_an_id_closes_its_node_and_holds_no_more_than_it_may_be_about() {
        let seen = |odd: serde_json::Value| {
            let clusters = listed::<ClusterRow>(vec![json!({"id": 1}), json!({"id": 2})]);
            let nodes = listed::<NodeRow>(vec![
                json!({"id": 5, "cluster": 1, "state": "active", "ram_mib": 65536, "cpu": 8}),
                json!({"id": 6, "cluster": 1, "state": "active"}),
                json!({"id": 7, "cluster": 2, "state": "active"}),
            ]);
            let mut hosts =
                listed::<HostRow>(vec![json!({"id": 1, "node": 6, "cpu_number": 2, "ram_mib": 1024})]);
            let odd = (!odd.is_null()).then(|| serde_json::from_value::<HostRow>(odd).unwrap().into_kept());
            hosts.broken.push((2, odd));
            assemble(DateTime::UNIX_EPOCH, Answers { clusters, nodes, hosts, tasks: Unfinished::default() })
        };
        let row = |shape| Flaw::UnreadableRows { list: List::Vms, rows: 1, first: 2, shape };
        let on_node = seen(json!({"node": 5, "cluster": 1, "cpu_number": 2, "ram_mib": 2048}));
        assert_eq!(held(&on_node), [false, false]);
        let states: Vec<_> = on_node.snapshot.nodes.iter().map(|node| node.state.clone()).collect();
        assert_eq!(states, [NodeState::UnreadableVm, NodeState::Active, NodeState::Active]);
        assert_eq!(on_node.snapshot.nodes[0].memory_used, Some(Mib(2048)), "it takes its room");
        assert_eq!(on_node.warnings, [(None, row(RowShape::NoId))]);
        let in_cluster = seen(json!({"cluster": 1}));
        assert_eq!(held(&in_cluster), [true, false]);
        assert_eq!(in_cluster.warnings, [(Some(ClusterId(1)), row(RowShape::NoId))]);
        assert_eq!(held(&seen(json!({"node": 99, "cluster": 2}))), [false, true]);
        assert_eq!(held(&seen(json!({"name": "x"}))), [true, true]);
        let nothing = seen(json!(null));
        assert_eq!(nothing.snapshot.clusters[0].incomplete, [row(RowShape::NoObject)]);
    }

    #[test]
    fn a_cluster_row_that_cannot_be_read_holds_that_cluster_only() {
        let mut clusters = listed::<ClusterRow>(vec![json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
        clusters.broken.extend([(4, None), (5, Some(ClusterRow::default()))]);
        clusters.rows[1].note_damage(vec!["storages".into()]);
        clusters.rows[2].note_damage(vec!["name".into()]);
        let nodes = listed::<NodeRow>(vec![json!({"id": 5, "cluster": 1}), json!({"id": 6, "cluster": 4})]);
        let hosts = listed::<HostRow>(vec![]);
        let answers = Answers { clusters, nodes, hosts, tasks: Unfinished::default() };
        let look = assemble(DateTime::UNIX_EPOCH, answers);
        assert_eq!(held(&look), [false, true, false, true]);
        assert_eq!(look.snapshot.clusters[3].incomplete, [Flaw::UnlistedCluster]);
        let named: Vec<_> = look.warnings.iter().map(|(_, flaw)| flaw.clone()).collect();
        let odd = Flaw::UnreadableRows { list: List::Clusters, rows: 2, first: 4, shape: RowShape::NoObject };
        assert!(named.contains(&odd), "{named:?}");
    }

    #[test]
    fn a_vm_that_is_being_made_and_is_nowhere_yet_stops_nothing() {
        let nodes = vec![json!({"id": 5, "cluster": 2})];
        let vms = vec![json!({"id": 2, "cluster": 2, "node": null, "state": "creating"})];
        let look = looked(vec![json!({"id": 2})], nodes, vms);
        assert!(look.snapshot.vms.is_empty());
        assert!(look.snapshot.clusters[0].incomplete.is_empty());
    }

    #[test]
    fn a_vm_of_unknown_size_or_place_is_not_taken_for_a_small_one() {
        let nodes = vec![json!({"id": 5, "cluster": 2})];
        let vms =
            vec![json!({"id": 1, "node": 5, "cpu_number": 2}), json!({"id": 2, "cluster": 2, "node": null})];
        let look = looked(vec![json!({"id": 2})], nodes, vms);
        assert_eq!(look.snapshot.vms[0].blocked_by, [Block::UnknownSize]);
        assert_eq!(look.snapshot.vms.len(), 1);
        assert_eq!(look.snapshot.clusters[0].incomplete, [Flaw::VmsWithoutNode { vms: 1, example: VmId(2) }]);
    }

    #[test]
    fn a_vm_that_a_task_runs_for_is_left_alone_whatever_the_task() {
        let task = |id, name: &str, vm| OtherTask { task_id: id, name: name.into(), vm };
        let others = vec![
            task(1, "host_backup", Some(VmId(1))),
            task(2, "node_host_restore", Some(VmId(1))),
            task(3, "host_backup", Some(VmId(99))),
            task(4, "host_backup", None),
        ];
        let answers = Answers {
            clusters: listed::<ClusterRow>(vec![json!({"id": 2})]),
            nodes: listed::<NodeRow>(vec![json!({"id": 5, "cluster": 2})]),
            hosts: listed::<HostRow>(vec![
                json!({"id": 1, "node": 5, "cpu_number": 2, "ram_mib": 1024}),
                json!({"id": 2, "node": 5, "cpu_number": 2, "ram_mib": 1024}),
            ]),
            tasks: Unfinished { others, ..Unfinished::default() },
        };
        let vms = assemble(DateTime::UNIX_EPOCH, answers).snapshot.vms;
        let tasks = ["host_backup", "node_host_restore"].map(|task| Block::Task(task.into()));
        assert_eq!((vms[0].blocked_by.as_slice(), vms[1].blocked_by.as_slice()), (&tasks[..], &[][..]));
    }

    #[test]
    fn maintenance_is_believed_wherever_and_however_it_is_said() {
        let in_maintenance = |node: serde_json::Value, of_host: serde_json::Value| {
            let mut row = json!({"id": 5, "cluster": 2});
            row.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
            let vm = json!({"id": 1, "node": {"id": 5, "maintenance_mode": of_host}});
            looked(vec![json!({"id": 2})], vec![row], vec![vm]).snapshot.nodes[0].maintenance
        };
        let no = json!(false);
        assert!(in_maintenance(json!({"maintenance_mode": {"enabled": true}}), no.clone()));
        assert!(in_maintenance(json!({"maintenance_mode": "in_progress"}), no.clone()));
        assert!(in_maintenance(json!({"maintenance_mode": false, "maintenance": 1}), no.clone()));
        assert!(in_maintenance(json!({"maintenance_mode": false}), json!({"state": "entering"})));
        assert!(!in_maintenance(json!({"maintenance_mode": {"enabled": false}}), no.clone()));
        assert!(!in_maintenance(json!({}), json!(null)));
    }

    #[test]
    fn a_kind_of_virtualization_that_only_a_node_or_a_vm_names_counts() {
        let kind = |cluster: serde_json::Value, node: serde_json::Value, of_vm: &str| {
            let vm = json!({"id": 1, "node": 5, "cluster": {"id": 2, "virtualization_type": of_vm}});
            let look = looked(vec![cluster], vec![node], vec![vm]);
            look.snapshot.clusters[0].virtualization.clone().unwrap()
        };
        let (silent, kvm) = (json!({"id": 2}), json!({"id": 2, "virtualization_type": "kvm"}));
        let plain = json!({"id": 5, "cluster": 2});
        let lxd = json!({"id": 5, "cluster": {"id": 2, "virtualization_type": "lxd"}});
        assert_eq!(kind(silent.clone(), lxd.clone(), "kvm"), "lxd");
        assert_eq!(kind(kvm.clone(), lxd, "kvm"), "lxd");
        assert_eq!(kind(silent, plain.clone(), "lxd"), "lxd");
        assert_eq!(kind(kvm, plain, "KVM"), "kvm");
    }

    #[test]
    fn a_damaged_record_stops_itself_and_its_node_only() {
        let vm = |id| json!({"id": id, "node": 5, "cpu_number": 2, "ram_mib": 2048});
        let mut hosts = listed::<HostRow>(vec![vm(2)]);
        let mut damaged: HostRow = serde_json::from_value(vm(1)).unwrap();
        damaged.note_damage(vec!["name".into()]);
        hosts.rows.insert(0, damaged.into_kept());
        let mut nodes = listed::<NodeRow>(vec![
            json!({"id": 5, "cluster": 2, "state": "active"}),
            json!({"id": 6, "cluster": 2, "state": "active"}),
            json!({"id": 7, "cluster": 2, "state": "active"}),
        ]);
        nodes.rows[1].note_damage(vec!["name".into()]);
        let answers = Answers {
            clusters: listed::<ClusterRow>(vec![json!({"id": 2})]),
            nodes,
            hosts,
            tasks: Unfinished::default(),
        };
        let Look { snapshot, warnings, .. } = assemble(DateTime::UNIX_EPOCH, answers);
        assert!(snapshot.clusters[0].incomplete.is_empty());
        assert_eq!(snapshot.vms[0].blocked_by, [Block::Unreadable]);
        assert!(snapshot.vms[1].blocked_by.is_empty());
        let states = snapshot.nodes.iter().map(|node| node.state.clone());
        let [vm, node] = [NodeState::UnreadableVm, NodeState::Unreadable];
        assert_eq!(states.collect::<Vec<_>>(), [vm, node, NodeState::Active]);
        let damaged = |list, id| (None, Flaw::DamagedRow { list, id, fields: "name".into() });
        assert_eq!(warnings, [damaged(List::Nodes, 6), damaged(List::Vms, 1)]);
    }

    #[test]
    fn what_a_live_migration_depends_on_is_read_of_any_version() {
        let node = |row: serde_json::Value| {
            let mut node = json!({"id": 5, "cluster": 2});
            node.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
            looked(vec![json!({"id": 2})], vec![node], vec![]).snapshot.nodes.remove(0)
        };
        let sound = node(json!({"kernel_version": "5.14.0-362.el9.x86_64", "os_version": "AlmaLinux 9.3",
            "storage": {"size_mib": 7_340_032, "available_mib": "2100000"}, "libvirt_error": "",
            "ha_error": "no_error", "bird_error": "null", "frr_error": null}));
        assert_eq!(sound.kernel_version, Some(KernelVersion::new("5.14.0-362.el9.x86_64")));
        assert_eq!(
            (sound.os_version.as_deref(), sound.storage_available),
            (Some("AlmaLinux 9.3"), Some(Mib(2_100_000)))
        );
        assert_eq!(sound.faults, []);
        let old = node(json!({"storage_mib": {"total": 100, "used": 40}, "libvirt_error": {"code": 38},
            "ha_error": "quorum_lost", "bird_error": "down"}));
        assert_eq!(old.storage_available, Some(Mib(60)));
        assert_eq!(old.faults, [NodeFault::Libvirt, NodeFault::Ha, NodeFault::Routing]);
        assert_eq!(node(json!({"storage": {"size_mib": 0, "available_mib": 0}})).storage_available, None);
        let nested: HostRow =
            serde_json::from_value(json!({"id": 1, "node": 5, "cpu_number": 2, "ram_mib": 2, "nesting": 1}))
                .unwrap();
        assert_eq!(nested.into_kept().into_vm().unwrap().blocked_by, [Block::Nesting]);
    }

    #[test]
    fn a_balancer_mode_of_off_is_the_only_one_that_blocks() {
        for (mode, blocked) in [
            (json!("off"), true),
            (json!("OFF"), true),
            (json!(false), true),
            (json!("on"), false),
            (json!(null), false),
            (json!("aggressive"), false),
        ] {
            let row: HostRow = serde_json::from_value(
                json!({"id": 1, "node": 5, "cpu_number": 2, "ram_mib": 2, "balancer_mode": mode}),
            )
            .unwrap();
            let vm = row.into_kept().into_vm().unwrap();
            assert_eq!(vm.blocked_by.contains(&Block::BalancerMode), blocked, "{mode}");
        }
    }

    /// Which clusters must not be acted on.
    fn held(look: &Look) -> Vec<bool> {
        look.snapshot.clusters.iter().map(|cluster| !cluster.incomplete.is_empty()).collect()
    }

    fn looked(
        clusters: Vec<serde_json::Value>,
        nodes: Vec<serde_json::Value>,
        hosts: Vec<serde_json::Value>,
    ) -> Look {
        let answers = Answers {
            clusters: listed::<ClusterRow>(clusters),
            nodes: listed::<NodeRow>(nodes),
            hosts: listed::<HostRow>(hosts),
            tasks: Unfinished::default(),
        };
        assemble(DateTime::UNIX_EPOCH, answers)
    }

    fn listed<T: Row>(rows: Vec<serde_json::Value>) -> Listed<T::Kept> {
        let rows = rows.into_iter().map(|row| serde_json::from_value::<T>(row).unwrap().into_kept());
        Listed { rows: rows.filter(|row| row.id().is_some()).collect(), ..Listed::default() }
    }
}
