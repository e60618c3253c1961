//! How reasons read, in English and in Russian.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::{
    model::{ApiFailure, Block, Flaw, List, Mib, NodeId, NodeState, StoreFailure, Trouble, VmId},
    planner::{
        Excess, Hold, MoveWhy, NodeClosed, Note, Obstacle, Resource, RestWhy, SkipWhy, StillOverloaded,
        Strain, TargetRefusal,
    },
    store::Sight,
};

#[test]
fn an_excess_shows_that_it_is_one() {
    let shown = |resource, value, threshold| english().excess(&Excess { resource, value, threshold });
    assert_eq!(plain(&shown(Resource::Memory, 83.1234, 70.0)), "memory 83.1 % > 70 %");
    assert_eq!(plain(&shown(Resource::Cpu, 7.4, 7.0)), "cpu 7.4 > 7 vCPU per core");
    assert_eq!(plain(&shown(Resource::Load, 1.004, 1.0)), "load 1.004 > 1 per core");
    let memory = Excess { resource: Resource::Memory, value: 83.1234, threshold: 70.5 };
    assert_eq!(plain(&russian().excess(&memory)), "память 83,1 % > 70,5 %");
}

#[test]
fn what_stays_overloaded_says_what_it_needs_and_what_is_in_the_way() {
    let until = noon() + TimeDelta::minutes(125);
    let still = StillOverloaded {
        node: NodeId(1),
        name: "node-0001".into(),
        over: vec![Excess { resource: Resource::Memory, value: 84.0, threshold: 70.0 }],
        needs_memory: Some(Mib(14 * 1024)),
        needs_cpu: None,
        because: vec![
            Obstacle::NotEnough { movable: 0 },
            Obstacle::Immovable { why: SkipWhy::Blocked(Block::Snapshots), count: 6 },
            Obstacle::Immovable { why: SkipWhy::Resting { until, why: RestWhy::Moved }, count: 2 },
        ],
    };
    insta::assert_snapshot!(plain(&english().still_overloaded(&still)));
    insta::assert_snapshot!(plain(&russian().still_overloaded(&still)));
    let still = StillOverloaded {
        needs_memory: None,
        needs_cpu: Some(3.0),
        because: vec![
            Obstacle::Limit { migrations_max: 1 },
            Obstacle::NoTarget { movable: 4, reasons: vec![(TargetRefusal::Cpu, 4)] },
        ],
        ..still
    };
    insta::assert_snapshot!(plain(&english().still_overloaded(&still)));
}

#[test]
fn reasons_read_as_the_contract_has_them() {
    let skipped = |why| plain(&english().skip_why(&why, noon()));
    assert_eq!(skipped(SkipWhy::Blocked(Block::Snapshots)), "snapshots");
    assert_eq!(skipped(SkipWhy::NoTarget(TargetRefusal::OlderQemu)), "no target: older QEMU");
    let room = MoveWhy::MakeRoom { for_vm: VmId(7), for_vm_name: "<db&1>".into() };
    assert_eq!(plain(&english().move_why(&room)), "makes room for <db&1> (7)");
    let note = Note::SumsDiffer { node: "n1".into(), memory_node: Mib(2048), memory_vms: Mib(1024) };
    assert_eq!(plain(&english().note(&note)), "n1: VMmanager says 2 GiB allocated, its VMs add up to 1 GiB.");
}

/// What a Russian text may hold in Latin letters besides quotations and code.
const LATIN: [&str; 11] =
    ["VMmanager", "vm", "balancer", "SSH", "QEMU", "KVM", "ISO", "vCPU", "UTC", "balancer_mode", "LXD"];

#[test]
fn a_reason_in_russian_holds_no_latin_word_that_is_no_name_unit_or_quotation() {
    let words = russian();
    let mut texts: Vec<String> = Vec::new();
    for failure in api_failures() {
        texts.push(words.trouble(&Trouble::VmManager(failure.clone())));
        texts.push(words.flaw(&Flaw::TasksRefused(failure)));
    }
    texts.extend(store_failures().into_iter().map(|failure| words.trouble(&Trouble::Store(failure))));
    texts.push(words.trouble(&Trouble::Planning("index out of bounds".into())));
    for flaw in flaws() {
        texts.push(words.unseen(Some(&Sight::Incomplete(flaw.clone()))));
        texts.push(words.hold(&Hold::Incomplete(flaw)));
    }
    texts.extend([Sight::TimedOut, Sight::ClusterGone].map(|sight| words.unseen(Some(&sight))));
    texts.push(words.hold(&Hold::NotKvm { virtualization: "LXD".into() }));
    texts.push(words.hold(&Hold::Foreign { task: 7 }));
    texts.push(words.hold(&Hold::Other("an older version said so".into())));
    texts.extend(skips().iter().map(|why| words.skip_why(why, noon())));
    texts.extend(skips().into_iter().map(|why| words.obstacle(&Obstacle::Immovable { why, count: 2 })));
    texts.extend(obstacles().iter().map(|obstacle| words.obstacle(obstacle)));
    texts.extend(REFUSALS.map(|refusal| words.target_refusal(refusal)));
    texts.extend(notes().iter().map(|note| words.note(note)));
    for text in texts {
        assert_eq!(latin_words(&text, &["n1"]), Vec::<String>::new(), "{text}");
    }
}

fn notes() -> Vec<Note> {
    let node = || "n1".to_owned();
    vec![
        Note::EveryVmOptedOut,
        Note::Unmeasured { nodes: vec![node()] },
        Note::Settling { node: node(), until: noon() },
        Note::Strained {
            node: node(),
            strains: vec![Strain::MemoryInUse(95), Strain::WaitsForMemory(30), Strain::WaitsForCpu(40)],
        },
        Note::LoadIsNotCpu { node: node(), cpu_pressure: 1, io_pressure: None },
        Note::LoadIsNotCpu { node: node(), cpu_pressure: 1, io_pressure: Some(50) },
        Note::NotKvm { virtualization: "LXD".into() },
        Note::BuiltinBalancer { key: "balancer_mode".into() },
        Note::ForeignMigration { task: 7 },
        Note::UnknownSelector { selector: "n1".into() },
        Note::SumsDiffer { node: node(), memory_node: Mib(2048), memory_vms: Mib(1024) },
    ]
}

const REFUSALS: [TargetRefusal; 18] = [
    TargetRefusal::Declined,
    TargetRefusal::Memory,
    TargetRefusal::Cpu,
    TargetRefusal::Load,
    TargetRefusal::Reserve,
    TargetRefusal::VmLimit,
    TargetRefusal::OlderQemu,
    TargetRefusal::AntiAffinity,
    TargetRefusal::Excluded,
    TargetRefusal::Maintenance,
    TargetRefusal::CreationBlocked,
    TargetRefusal::NotActive,
    TargetRefusal::UnknownCapacity,
    TargetRefusal::OtherCluster,
    TargetRefusal::SameNode,
    TargetRefusal::MemoryInUse,
    TargetRefusal::MemoryPressure,
    TargetRefusal::CpuPressure,
];

fn api_failures() -> Vec<ApiFailure> {
    let (what, said) = (|| "GET /vm/v3/host".to_owned(), || "Access denied".into());
    vec![
        ApiFailure::Settings(said()),
        ApiFailure::Credentials(said()),
        ApiFailure::Forbidden { what: what(), said: said() },
        ApiFailure::Unavailable { what: what(), waited: 0 },
        ApiFailure::Unavailable { what: what(), waited: 90 },
        ApiFailure::NoAnswer { what: what(), said: said() },
        ApiFailure::NotFound { what: what(), said: "".into() },
        ApiFailure::Refused { what: what(), said: said(), status: 400, code: None },
        ApiFailure::Refused { what: what(), said: said(), status: 400, code: Some(3) },
        ApiFailure::Unreadable { what: what(), said: said() },
        ApiFailure::Other(said()),
    ]
}

fn store_failures() -> Vec<StoreFailure> {
    vec![
        StoreFailure::Locked { path: "/var/lib/balancer".into() },
        StoreFailure::Damaged("bad checksum".into()),
        StoreFailure::Newer { found: 2, known: 1 },
        StoreFailure::Disk("No space left on device".into()),
        StoreFailure::InFlight { vm: VmId(7) },
        StoreFailure::Other("an older version said so".into()),
    ]
}

fn flaws() -> Vec<Flaw> {
    let mut flaws: Vec<Flaw> = [List::Clusters, List::Nodes, List::Vms, List::Tasks]
        .into_iter()
        .flat_map(|list| {
            [
                Flaw::ShortList { list, rows: 150, promised: 300 },
                Flaw::UnreadableRows { list, rows: 2 },
                Flaw::DoubledRows { list, rows: 1 },
                Flaw::DamagedRow { list, id: 5, fields: "name".into() },
            ]
        })
        .collect();
    flaws.extend([
        Flaw::UnlistedCluster,
        Flaw::NodeWithoutCluster { node: NodeId(5) },
        Flaw::VmsWithoutNode { vms: 3, example: VmId(7) },
        Flaw::Shrank { before: 300, after: 149 },
        Flaw::BrokenPlan { violations: 1 },
        Flaw::Other("an older version said so".into()),
    ]);
    flaws
}

fn skips() -> Vec<SkipWhy> {
    let rest = |why| SkipWhy::Resting { until: noon(), why };
    let blocks = [
        Block::Iso,
        Block::Snapshots,
        Block::BalancerMode,
        Block::Rescue,
        Block::Vm5Restrictions,
        Block::NodeForbids,
        Block::UnknownSize,
        Block::Unreadable,
        Block::Unexplained,
        Block::Other("locked by billing".into()),
    ];
    let mut skips: Vec<_> = blocks.into_iter().map(SkipWhy::Blocked).collect();
    skips.extend([RestWhy::Moved, RestWhy::Failed, RestWhy::Busy, RestWhy::InFlight].map(rest));
    skips.extend(closed().map(SkipWhy::NodeState));
    skips.extend(REFUSALS.map(SkipWhy::NoTarget));
    skips.extend([
        SkipWhy::State("stopped".into()),
        SkipWhy::Pinned,
        SkipWhy::ExcludedSource,
        SkipWhy::Held(Hold::Foreign { task: 7 }),
    ]);
    skips
}

fn closed() -> [NodeClosed; 4] {
    [
        NodeClosed::Maintenance,
        NodeClosed::UnknownCapacity,
        NodeClosed::State(NodeState::Unreadable),
        NodeClosed::State("failed".into()),
    ]
}

fn obstacles() -> Vec<Obstacle> {
    let mut obstacles = vec![
        Obstacle::Limit { migrations_max: 2 },
        Obstacle::ExcludedSource,
        Obstacle::NoTarget { movable: 3, reasons: vec![(TargetRefusal::Memory, 3)] },
        Obstacle::NotEnough { movable: 0 },
        Obstacle::NotEnough { movable: 3 },
        Obstacle::Held(Hold::Foreign { task: 7 }),
    ];
    obstacles.extend(closed().map(Obstacle::State));
    obstacles
}

/// The Latin words of a text that are neither quoted, nor code, nor names.
pub(in crate::talk) fn latin_words(html: &str, names: &[&str]) -> Vec<String> {
    let mut depth = 0;
    let marked =
        html.replace("<code>", "«").replace("</code>", "»").replace("&lt;", "<").replace("&gt;", ">");
    let bare: String = marked
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '«') - i32::from(*c == '»');
            depth == 0
        })
        .collect();
    bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.chars().any(|c| c.is_ascii_alphabetic()) && !LATIN.contains(word))
        .filter(|word| !names.contains(word))
        .map(str::to_owned)
        .collect()
}

fn english() -> Words {
    Words::english()
}

fn russian() -> Words {
    Words { language: Language::Ru, ..Words::english() }
}

fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}
