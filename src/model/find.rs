//! The one lookup of clusters, nodes and VMs by what a person calls them.
//!
//! A command means one thing: [`cluster`], [`node`], [`vm`], [`vm_or_node`]. A thing is meant by its id or by its
//! exact name; only where there is neither, by its name in other letters or by a pattern. What could be two things is
//! a choice for the person, never a guess: an id and an equal name of something else are two things, and `#10` is the
//! id alone. Commands that may mean several take [`nodes`] and [`vms`].
//!
//! A setting means many things: [`names`] and [`Selection`] take ids, names in any case and patterns. In it too
//! `#10` is the id alone.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::{ClusterId, ClusterInfo, NodeInfo, Snapshot, VmInfo, alike};

/// Where there are no more than this, all of them are a hint when nothing is called as somebody said.
const KNOWN_MAX: usize = 12;

/// What kind of thing was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A cluster.
    Cluster,
    /// A node.
    Node,
    /// A VM.
    Vm,
    /// A VM or a node, whichever has the name.
    VmOrNode,
}

/// Why what a person named is not one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The kind of thing it should be.
    pub kind: Kind,
    /// As the person wrote it.
    pub wanted: String,
    /// What is in the way.
    pub why: MissedWhy,
}

/// What there is instead of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedWhy {
    /// Nothing is called so.
    Unknown {
        /// What is called nearly so.
        similar: Vec<Choice>,
        /// Everything of its kind, where that is little.
        known: Vec<Choice>,
    },
    /// Several could be meant.
    Several(Vec<Choice>),
}

/// One of the things that a person may mean: `node-1 (10) in msk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The kind of thing it is.
    pub kind: Kind,
    /// VMmanager's number of it.
    pub id: u64,
    /// Its name in VMmanager.
    pub name: String,
    /// The name of its cluster; `None` for a cluster itself.
    pub cluster: Option<String>,
}

/// A VM or a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VmOrNode<'a> {
    /// The VM of the snapshot.
    Vm(&'a VmInfo),
    /// The node of the snapshot.
    Node(&'a NodeInfo),
}

/// Something that a person can name.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Cluster(&'a ClusterInfo),
    Node(&'a NodeInfo),
    Vm(&'a VmInfo),
}

/// Finds the cluster that a person means.
///
/// ```
/// use vm_balancer::model::{ClusterId, ClusterInfo, Snapshot, find};
///
/// let mut snapshot = Snapshot::empty(Default::default());
/// snapshot.clusters = vec![ClusterInfo::new(ClusterId(1), "msk"), ClusterInfo::new(ClusterId(2), "1")];
/// assert_eq!(find::cluster(&snapshot, "MSK").unwrap().id, ClusterId(1));
/// assert!(find::cluster(&snapshot, "1").is_err(), "cluster 1, or the one that is called 1?");
/// ```
///
/// # Errors
///
/// What there is instead, where nothing or more than one is meant.
pub fn cluster<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a ClusterInfo, Missed> {
    one_of(snapshot.clusters.iter().map(|it| (Thing::Cluster(it), it)), Kind::Cluster, snapshot, wanted)
}

/// Finds the node that a person means.
///
/// # Errors
///
/// As [`cluster`].
pub fn node<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a NodeInfo, Missed> {
    one_of(snapshot.nodes.iter().map(|it| (Thing::Node(it), it)), Kind::Node, snapshot, wanted)
}

/// Finds the nodes that a person means: all that a pattern matches, or the one that is called so.
///
/// # Errors
///
/// As [`cluster`], but several that a pattern matches are no choice.
pub fn nodes<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<Vec<&'a NodeInfo>, Missed> {
    several_of(snapshot.nodes.iter().map(|it| (Thing::Node(it), it)), Kind::Node, snapshot, wanted)
}

/// Finds the VM that a person means.
///
/// # Errors
///
/// As [`cluster`].
pub fn vm<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<&'a VmInfo, Missed> {
    one_of(snapshot.vms.iter().map(|it| (Thing::Vm(it), it)), Kind::Vm, snapshot, wanted)
}

/// Finds the VMs that a person means: all that a pattern matches, or the one that is called so.
///
/// # Errors
///
/// As [`nodes`].
pub fn vms<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<Vec<&'a VmInfo>, Missed> {
    several_of(snapshot.vms.iter().map(|it| (Thing::Vm(it), it)), Kind::Vm, snapshot, wanted)
}

/// Finds the VM or the node that a person means.
///
/// # Errors
///
/// As [`cluster`].
pub fn vm_or_node<'a>(snapshot: &'a Snapshot, wanted: &str) -> Result<VmOrNode<'a>, Missed> {
    let vms = snapshot.vms.iter().map(|vm| (Thing::Vm(vm), VmOrNode::Vm(vm)));
    let nodes = snapshot.nodes.iter().map(|node| (Thing::Node(node), VmOrNode::Node(node)));
    one_of(vms.chain(nodes), Kind::VmOrNode, snapshot, wanted)
}

/// Writes an id so that it is never taken for a name.
#[must_use]
pub fn by_id(id: u64) -> String {
    format!("#{id}")
}

/// Tells whether a setting names the thing of that id and name: by its id, by its name in any case, or by a pattern
/// in which `*` is any text and `?` any one character.
#[must_use]
pub fn names(setting: &str, id: u64, name: &str) -> bool {
    id_in(setting) == Some(id)
        || same_but_for_case(setting, name)
        || is_pattern(setting) && WildMatch::new_case_insensitive(setting).matches(name)
}

/// Settings that name things, for many questions: each as [`names`] reads it.
#[derive(Debug, Default)]
pub struct Selection {
    ids: HashSet<u64>,
    /// In small letters.
    names: HashSet<String>,
    patterns: Vec<WildMatch>,
}

impl Selection {
    /// Sorts the settings into ids, names and patterns.
    #[must_use]
    pub fn new<'a>(settings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut selection = Self::default();
        for setting in settings {
            selection.ids.extend(id_in(setting));
            match is_pattern(setting) {
                true => selection.patterns.push(WildMatch::new_case_insensitive(setting)),
                false => drop(selection.names.insert(setting.to_lowercase())),
            }
        }
        selection
    }

    /// Tells whether one of the settings names it.
    #[must_use]
    pub fn holds(&self, id: u64, name: &str) -> bool {
        self.ids.contains(&id)
            || !self.names.is_empty() && self.names.contains(&name.to_lowercase())
            || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

/// Many selections, of which few hold a given thing: those are found without asking each.
#[derive(Debug, Default)]
pub struct Selections {
    ids: HashMap<u64, Vec<u16>>,
    /// In small letters.
    names: HashMap<String, Vec<u16>>,
    /// By what they begin with, in small letters.
    patterns: HashMap<String, Vec<(WildMatch, u16)>>,
}

impl Selections {
    /// Sorts the settings into ids, names and patterns.
    #[must_use]
    pub fn new<'a>(selections: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut all = Self::default();
        for (settings, number) in selections.into_iter().zip(0u16..) {
            for setting in settings {
                if let Some(id) = id_in(setting) {
                    all.ids.entry(id).or_default().push(number);
                }
                let small = setting.to_lowercase();
                if is_pattern(setting) {
                    let begin = small.chars().take_while(|c| !is_wild(*c)).collect();
                    let pattern = WildMatch::new_case_insensitive(setting);
                    all.patterns.entry(begin).or_default().push((pattern, number));
                } else {
                    all.names.entry(small).or_default().push(number);
                }
            }
        }
        all
    }

    /// Returns the numbers of those that hold it, in ascending order.
    #[must_use]
    pub fn holding(&self, id: u64, name: &str) -> Vec<u16> {
        let small = name.to_lowercase();
        let mut held: Vec<u16> = self.ids.get(&id).into_iter().flatten().copied().collect();
        held.extend(self.names.get(&small).into_iter().flatten());
        if !self.patterns.is_empty() {
            let ends = small.char_indices().map(|(end, _)| end).chain([small.len()]);
            let patterns = ends.filter_map(|end| self.patterns.get(&small[..end])).flatten();
            held.extend(patterns.filter(|(pattern, _)| pattern.matches(name)).map(|(_, number)| *number));
        }
        held.sort_unstable();
        held.dedup();
        held
    }
}

fn one_of<'a, T: Copy>(
    all: impl Iterator<Item = (Thing<'a>, T)> + Clone,
    kind: Kind,
    snapshot: &Snapshot,
    wanted: &str,
) -> Result<T, Missed> {
    let id = id_in(wanted);
    let is_exact = |thing: &Thing<'_>| thing.name() == wanted || Some(thing.id()) == id;
    let mut hits: Vec<_> = all.clone().filter(|(thing, _)| is_exact(thing)).collect();
    if hits.is_empty() {
        hits = all.clone().filter(|(thing, _)| same_but_for_case(thing.name(), wanted)).collect();
    }
    if hits.is_empty() && is_pattern(wanted) {
        hits = all.clone().filter(|(thing, _)| names(wanted, thing.id(), thing.name())).collect();
    }
    let why = match hits.as_slice() {
        [(_, only)] => return Ok(*only),
        [] => unknown(&all.map(|(thing, _)| thing).collect::<Vec<_>>(), snapshot, wanted),
        several => MissedWhy::Several(several.iter().map(|(thing, _)| thing.choice(snapshot)).collect()),
    };
    Err(Missed { kind, wanted: wanted.to_owned(), why })
}

/// As [`one_of`], but several that a pattern matches are all meant.
fn several_of<'a, T: Copy>(
    all: impl Iterator<Item = (Thing<'a>, T)> + Clone,
    kind: Kind,
    snapshot: &Snapshot,
    wanted: &str,
) -> Result<Vec<T>, Missed> {
    match one_of(all.clone(), kind, snapshot, wanted) {
        Ok(one) => Ok(vec![one]),
        Err(Missed { why: MissedWhy::Several(_), .. }) if is_pattern(wanted) => {
            let matched = all.filter(|(thing, _)| names(wanted, thing.id(), thing.name()));
            Ok(matched.map(|(_, it)| it).collect())
        }
        Err(missed) => Err(missed),
    }
}

fn unknown(all: &[Thing<'_>], snapshot: &Snapshot, wanted: &str) -> MissedWhy {
    let choices = |things: &[Thing<'_>]| things.iter().map(|thing| thing.choice(snapshot)).collect();
    MissedWhy::Unknown {
        similar: choices(&similar(all, wanted)),
        known: if all.len() <= KNOWN_MAX { choices(all) } else { Vec::new() },
    }
}

/// What is called nearly so. Of a pattern its letters are compared with as many of each name.
fn similar<'a>(all: &[Thing<'a>], wanted: &str) -> Vec<Thing<'a>> {
    if !is_pattern(wanted) {
        return alike::alike(wanted, all.iter().map(|thing| (thing.name(), *thing)));
    }
    let letters: String = wanted.chars().filter(|c| !is_wild(*c)).collect();
    let length = letters.chars().count();
    let part = |name: &str| -> String {
        let beyond = name.chars().count().saturating_sub(length);
        let skipped = if wanted.starts_with(is_wild) { beyond } else { 0 };
        name.chars().skip(skipped).take(length).collect()
    };
    let parts: Vec<_> = all.iter().map(|thing| (part(thing.name()), *thing)).collect();
    alike::alike(&letters, parts.iter().map(|(part, thing)| (part.as_str(), *thing)))
}

/// Returns the id that a text may mean, with or without `#`.
#[must_use]
pub fn id_in(text: &str) -> Option<u64> {
    text.strip_prefix('#').unwrap_or(text).parse().ok()
}

/// Tells whether a text may name several things: `*` and `?` stand for others.
#[must_use]
pub fn is_pattern(setting: &str) -> bool {
    setting.contains(is_wild)
}

fn is_wild(c: char) -> bool {
    matches!(c, '*' | '?')
}

fn same_but_for_case(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => one.to_lowercase() == other.to_lowercase(),
    }
}

impl Missed {
    /// Nothing is called so, and there is nothing to say beside it.
    #[must_use]
    pub fn nothing(kind: Kind, wanted: &str) -> Self {
        let why = MissedWhy::Unknown { similar: Vec::new(), known: Vec::new() };
        Self { kind, wanted: wanted.to_owned(), why }
    }
}

impl MissedWhy {
    /// Returns what can be chosen instead: all that could be meant, or all that there is where that is little.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        match self {
            Self::Several(choices) => choices,
            Self::Unknown { similar, known } if known.is_empty() => similar,
            Self::Unknown { known, .. } => known,
        }
    }
}

impl<'a> Thing<'a> {
    fn id(self) -> u64 {
        match self {
            Self::Cluster(cluster) => cluster.id.0,
            Self::Node(node) => node.id.0,
            Self::Vm(vm) => vm.id.0,
        }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Cluster(cluster) => &cluster.name,
            Self::Node(node) => &node.name,
            Self::Vm(vm) => &vm.name,
        }
    }

    fn choice(self, snapshot: &Snapshot) -> Choice {
        let name_of = |id: ClusterId| snapshot.cluster(id).map(|cluster| cluster.name.clone());
        let (kind, cluster) = match self {
            Self::Cluster(_) => (Kind::Cluster, None),
            Self::Node(node) => (Kind::Node, name_of(node.cluster)),
            Self::Vm(vm) => (Kind::Vm, snapshot.node(vm.node).and_then(|node| name_of(node.cluster))),
        };
        Choice { kind, id: self.id(), name: self.name().to_owned(), cluster }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mib, NodeId, VmId};

    #[test]
    fn one_thing_is_meant_by_its_id_by_its_name_and_by_its_name_in_other_letters() {
        let world = world(&[(1, "msk")], &[(10, "node-001", 1), (11, "Node-1", 1), (12, "node-1", 1)]);
        let found = |wanted| node(&world, wanted).map(|node| node.id.0);
        assert_eq!(found("10"), Ok(10));
        assert_eq!(found("node-001"), Ok(10));
        assert_eq!(found("NODE-001"), Ok(10));
        assert_eq!(found("Node-1"), Ok(11), "the exact name is not one of two");
        assert_eq!(said(found("NODE-1")), "several: Node-1 (11) in msk, node-1 (12) in msk");
    }

    #[test]
    fn two_nodes_of_one_name_are_a_choice_that_names_their_clusters() {
        let world = world(&[(1, "msk"), (2, "spb")], &[(10, "node-1", 1), (40, "node-1", 2)]);
        let missed = said(node(&world, "node-1"));
        assert_eq!(missed, "several: node-1 (10) in msk, node-1 (40) in spb");
        assert_eq!(node(&world, "40").unwrap().cluster, ClusterId(2));
    }

    #[test]
    fn an_id_and_an_equal_name_of_another_thing_are_a_choice() {
        let world = world(&[(1, "2"), (2, "spb"), (3, "3")], &[]);
        assert_eq!(said(cluster(&world, "2")), "several: 2 (1), spb (2)");
        assert_eq!(cluster(&world, "3").unwrap().id, ClusterId(3), "both are the same cluster");
        assert_eq!(cluster(&world, "1").unwrap().name, "2");
        assert_eq!(cluster(&world, &by_id(2)).unwrap().name, "spb");
    }

    #[test]
    fn what_nobody_knows_brings_what_is_called_nearly_so_and_a_little_of_everything() {
        let few = world(&[(1, "msk")], &[(10, "kvm-01", 1), (11, "db", 1)]);
        let missed = said(node(&few, "kvm-1"));
        assert_eq!(missed, "similar: kvm-01 (10) in msk; known: kvm-01 (10) in msk, db (11) in msk");
        let many: Vec<_> = (0..20).map(|id| (id, "a", 1)).collect();
        assert_eq!(said(node(&world(&[(1, "msk")], &many), "zzz")), "similar: ; known: ");
    }

    #[test]
    fn a_vm_and_a_node_of_one_name_are_a_choice_where_either_is_meant() {
        let mut world = world(&[(1, "msk")], &[(10, "web", 1), (11, "db", 1)]);
        world.vms = vec![VmInfo::new(VmId(11), "web", NodeId(10), 1, Mib(1024))];
        assert_eq!(said(vm_or_node(&world, "web")), "several: web (11) in msk, web (10) in msk");
        assert_eq!(said(vm_or_node(&world, "11")), "several: web (11) in msk, db (11) in msk");
        assert!(matches!(vm_or_node(&world, "DB"), Ok(VmOrNode::Node(node)) if node.id == NodeId(11)));
        assert_eq!(vm(&world, "web").unwrap().id, VmId(11));
        world.vms.push(VmInfo::new(VmId(12), "WEB-2", NodeId(10), 1, Mib(1024)));
        let ids = |wanted| vms(&world, wanted).map(|all| all.iter().map(|it| it.id.0).collect::<Vec<_>>());
        assert_eq!((ids("w*"), ids("web"), ids("#12")), (Ok(vec![11, 12]), Ok(vec![11]), Ok(vec![12])));
        assert_eq!(said(ids("db*")), "similar: ; known: web (11) in msk, WEB-2 (12) in msk");
    }

    #[test]
    fn a_pattern_means_one_thing_or_is_a_choice_and_where_several_may_be_meant_all_of_them() {
        let world =
            world(&[(1, "msk"), (2, "spb")], &[(10, "kvm-01", 1), (11, "KVM-02", 1), (12, "db-1", 2)]);
        let found =
            |wanted: &str| nodes(&world, wanted).map(|all| all.iter().map(|it| it.id.0).collect::<Vec<_>>());
        assert_eq!(found("kvm-*"), Ok(vec![10, 11]));
        assert_eq!(found("KVM-?1"), Ok(vec![10]));
        assert_eq!(found("db-1"), Ok(vec![12]));
        assert_eq!(found("#12"), Ok(vec![12]));
        assert_eq!(node(&world, "D*").map(|node| node.id.0), Ok(12));
        assert_eq!(cluster(&world, "M*").map(|cluster| cluster.id.0), Ok(1));
        assert_eq!(said(node(&world, "kvm-*")), "several: kvm-01 (10) in msk, KVM-02 (11) in msk");
        assert!(said(found("kvn-*")).starts_with("similar: KVM-02 (11) in msk, kvm-01 (10) in msk;"));
        assert!(said(found("*vn-01")).starts_with("similar: kvm-01"));
        assert!(said(found("zzz*")).starts_with("similar: ;"));
    }

    #[test]
    fn two_nodes_of_one_name_are_no_pattern() {
        let world = world(&[(1, "msk"), (2, "spb")], &[(10, "node-1", 1), (40, "node-1", 2), (41, "n*", 2)]);
        assert_eq!(said(nodes(&world, "node-1")), "several: node-1 (10) in msk, node-1 (40) in spb");
        assert_eq!(nodes(&world, "node-?").unwrap().len(), 2);
        assert_eq!(nodes(&world, "n*").unwrap().len(), 1, "a node of exactly this name");
    }

    #[test]
    fn a_setting_takes_ids_names_in_any_case_and_patterns() {
        let meant = [
            ("10", true),
            ("#10", true),
            ("kvm-10", true),
            ("KVM-10", true),
            ("kvm-1?", true),
            ("K*0", true),
        ];
        let others = [("1", false), ("kvm-1", false), ("kvm-?", false), ("kvm", false), ("", false)];
        for (setting, expected) in meant.into_iter().chain(others) {
            assert_eq!(names(setting, 10, "kvm-10"), expected, "{setting}");
            assert_eq!(Selection::new([setting]).holds(10, "kvm-10"), expected, "{setting}");
        }
        assert!(names("УЗЕЛ-1", 7, "узел-1") && Selection::new(["УЗЕЛ-?"]).holds(7, "узел-1"));
        assert!(names("10", 7, "10") && !names("#10", 7, "10"), "an id with its sign is no name");
        let all = Selection::new(["web", "7", "db-*"]);
        assert!(all.holds(1, "Web") && all.holds(7, "x") && all.holds(1, "DB-1") && !all.holds(1, "x"));
    }

    #[test]
    fn of_many_selections_those_that_hold_a_thing_are_found() {
        let groups: Vec<Vec<String>> = [&["web-*", "7"][..], &["WEB-1"], &["*-1"], &["db-?"], &[]]
            .map(|g| g.iter().map(|s| (*s).to_owned()).collect())
            .into();
        let all = Selections::new(groups.iter().map(Vec::as_slice));
        for (id, name) in [(1, "web-1"), (7, "x"), (2, "Web-2"), (3, "DB-1"), (4, "УЗЕЛ"), (5, "")] {
            let one_by_one = (0u16..)
                .zip(&groups)
                .filter(|(_, group)| Selection::new(group.iter().map(String::as_str)).holds(id, name));
            assert_eq!(all.holding(id, name), one_by_one.map(|(n, _)| n).collect::<Vec<_>>(), "{name}");
        }
    }

    fn world(clusters: &[(u64, &str)], nodes: &[(u64, &str, u64)]) -> Snapshot {
        let mut snapshot = Snapshot::empty(chrono::DateTime::UNIX_EPOCH);
        snapshot.clusters =
            clusters.iter().map(|(id, name)| ClusterInfo::new(ClusterId(*id), *name)).collect();
        let node =
            |(id, name, cluster): &(u64, &str, u64)| NodeInfo::new(NodeId(*id), *name, ClusterId(*cluster));
        snapshot.nodes = nodes.iter().map(node).collect();
        snapshot
    }

    fn said<T: std::fmt::Debug>(found: Result<T, Missed>) -> String {
        let listed = |choices: &[Choice]| {
            let one = |it: &Choice| match &it.cluster {
                Some(cluster) => format!("{} ({}) in {cluster}", it.name, it.id),
                None => format!("{} ({})", it.name, it.id),
            };
            choices.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        match found.unwrap_err().why {
            MissedWhy::Several(choices) => format!("several: {}", listed(&choices)),
            MissedWhy::Unknown { similar, known } => {
                format!("similar: {}; known: {}", listed(&similar), listed(&known))
            }
        }
    }
}
