//! Every reason that is worded, at least once each. A variant that is added to one of the enums does not compile here
//! until it has a sample.

use super::tests::noon;
use crate::{
    model::{
        AnswerFlaw, ApiFailure, ApiSettingsFlaw, Block, Body, BodyKind, Damage, DiskFailure, ExportFlaw,
        Flaw, List, LoginRefusal, Mib, MigrationId, NodeFault, NodeId, NodeState, Person, ProposalId, Quote,
        RowShape, Said, Silence, StoreFailure, TaskFailure, Trouble, VmId, Whereabouts, WhyUnmeasured,
        ssh::{
            AgentFlaw, HandshakeFlaw, HostKeyDoubt, KnownLine, LoginWay, Phase, SessionRefusal, SshError,
            SshFailure, Tried, Unreadable, UnreadableHosts,
        },
    },
    planner::{Hold, NodeClosed, Note, Obstacle, Resource, RestWhy, SkipWhy, Strain, TargetRefusal, Unfit},
    store::{Ending, Sight},
};

/// Samples of an enum by variant.
macro_rules! samples {
    ($of:ty: $($variant:pat => $samples:expr),+ $(,)?) => {{
        let _every_variant_has_a_line = |sample: &$of| match sample { $($variant => {})+ };
        let mut all: Vec<$of> = Vec::new();
        $(
            let samples: Vec<$of> = $samples.into_iter().collect();
            assert!(!samples.is_empty() && samples.iter().all(|sample| matches!(sample, $variant)));
            all.extend(samples);
        )+
        all
    }};
}
pub(in crate::talk) use samples;

fn said() -> Quote {
    "Access denied".into()
}

fn what() -> String {
    "GET /vm/v3/host".into()
}

pub(in crate::talk) fn api_failures() -> Vec<ApiFailure> {
    samples![ApiFailure:
        ApiFailure::Settings(_) => settings_flaws().into_iter().map(ApiFailure::Settings),
        ApiFailure::Credentials(_) => logins().into_iter().map(ApiFailure::Credentials),
        ApiFailure::NoLogin { .. } => [ApiFailure::NoLogin { what: what() }],
        ApiFailure::Forbidden { .. } => saids().into_iter().map(|said| ApiFailure::Forbidden { what: what(), said }),
        ApiFailure::Unavailable { .. } => [0, 90].map(|waited| ApiFailure::Unavailable { what: what(), waited }),
        ApiFailure::NoAnswer { .. } => silences().into_iter().map(|said| ApiFailure::NoAnswer { what: what(), said }),
        ApiFailure::NotFound { .. } =>
            saids().into_iter().map(|said| ApiFailure::NotFound { what: what(), said, code: None }),
        ApiFailure::Refused { .. } =>
            saids().into_iter().map(|said| ApiFailure::Refused { what: what(), said, status: 400, code: Some(3) }),
        ApiFailure::Unreadable { .. } =>
            answer_flaws().into_iter().map(|said| ApiFailure::Unreadable { what: what(), said }),
        ApiFailure::Other(_) => [ApiFailure::Other(said())],
    ]
}

fn settings_flaws() -> Vec<ApiSettingsFlaw> {
    samples![ApiSettingsFlaw:
        ApiSettingsFlaw::UserInAddress => [ApiSettingsFlaw::UserInAddress],
        ApiSettingsFlaw::Client(_) => [ApiSettingsFlaw::Client(said())],
        ApiSettingsFlaw::NoCertificate => [ApiSettingsFlaw::NoCertificate],
        ApiSettingsFlaw::Authority(_) => [ApiSettingsFlaw::Authority(said())],
        ApiSettingsFlaw::Other(_) => [ApiSettingsFlaw::Other(said())],
    ]
}

fn logins() -> Vec<LoginRefusal> {
    let rests = LoginRefusal::Rests { because: Box::new(LoginRefusal::NoToken), seconds: 30 };
    samples![LoginRefusal:
        LoginRefusal::NotConfirmed => [LoginRefusal::NotConfirmed],
        LoginRefusal::NoToken => [LoginRefusal::NoToken],
        LoginRefusal::Rests { .. } => [rests],
        LoginRefusal::Said(_) => saids().into_iter().map(LoginRefusal::Said),
    ]
}

fn saids() -> Vec<Said> {
    let bodies = samples![BodyKind:
        BodyKind::Empty => [BodyKind::Empty],
        BodyKind::Object => [BodyKind::Object],
        BodyKind::List => [BodyKind::List],
        BodyKind::Page => [BodyKind::Page],
        BodyKind::Text => [BodyKind::Text],
    ];
    let foreign = |kind| Said::Foreign { status: 502, body: Body { kind, bytes: 30 } };
    samples![Said:
        Said::Numbers { .. } => [None, Some(3001)].map(|code| Said::Numbers { status: 401, code }),
        Said::Foreign { .. } => bodies.into_iter().map(foreign),
        Said::Words(_) => [Said::Words(said()), Said::Words("".into())],
    ]
}

fn silences() -> Vec<Silence> {
    samples![Silence:
        Silence::TimedOut(_) => [Silence::TimedOut("".into()), Silence::TimedOut(said())],
        Silence::Lost(_) => [Silence::Lost(said())],
        Silence::Status { .. } => saids().into_iter().map(|said| Silence::Status { status: 502, said }),
        Silence::Other(_) => [Silence::Other(said())],
    ]
}

fn answer_flaws() -> Vec<AnswerFlaw> {
    let (line, column) = (1, 7);
    let body = |kind| Body { kind, bytes: 1 };
    samples![AnswerFlaw:
        AnswerFlaw::CutOff { .. } => [AnswerFlaw::CutOff { line, column, body: body(BodyKind::List) }],
        AnswerFlaw::NotJson { .. } => [AnswerFlaw::NotJson { line, column, body: body(BodyKind::Text) }],
        AnswerFlaw::OddShape { .. } => [AnswerFlaw::OddShape { line, column, body: body(BodyKind::Object) }],
        AnswerFlaw::TooLong { .. } => [AnswerFlaw::TooLong { bytes_max: 1024 }],
        AnswerFlaw::VmWithoutNode { .. } => [AnswerFlaw::VmWithoutNode { vm: VmId(7) }],
        AnswerFlaw::Panicked(_) => [AnswerFlaw::Panicked(said())],
        AnswerFlaw::Other(_) => [AnswerFlaw::Other(said())],
    ]
}

pub(in crate::talk) fn store_failures() -> Vec<StoreFailure> {
    let disk = samples![DiskFailure:
        DiskFailure::File { .. } => [DiskFailure::File { path: "/var/lib/balancer".into(), said: said() }],
        DiskFailure::Files(_) => [DiskFailure::Files(said())],
        DiskFailure::Other(_) => [DiskFailure::Other(said())],
    ];
    let exports = samples![ExportFlaw:
        ExportFlaw::CutOff => [ExportFlaw::CutOff],
        ExportFlaw::Count { .. } => [ExportFlaw::Count { has: 3, of: 5 }],
        ExportFlaw::Unreadable(_) => [ExportFlaw::Unreadable(said())],
    ];
    samples![StoreFailure:
        StoreFailure::Locked { .. } => [StoreFailure::Locked { path: "/var/lib/balancer".into() }],
        StoreFailure::Damaged(_) => damages().into_iter().map(StoreFailure::Damaged),
        StoreFailure::Newer { .. } => [StoreFailure::Newer { found: 2, known: 1 }],
        StoreFailure::Disk(_) => disk.into_iter().map(StoreFailure::Disk),
        StoreFailure::InFlight { .. } => [StoreFailure::InFlight { vm: VmId(7) }],
        StoreFailure::Closed(_) => [StoreFailure::Closed(Box::new(StoreFailure::Opening))],
        StoreFailure::Opening => [StoreFailure::Opening],
        StoreFailure::Export(_) => exports.into_iter().map(StoreFailure::Export),
        StoreFailure::Unwritable(_) => [StoreFailure::Unwritable(said())],
        StoreFailure::NoSuchEntry(_) => [StoreFailure::NoSuchEntry(MigrationId(7))],
        StoreFailure::EntryEnded(_) => [StoreFailure::EntryEnded(MigrationId(7))],
        StoreFailure::NoSuchProposal(_) => [StoreFailure::NoSuchProposal(ProposalId(7))],
        StoreFailure::Other(_) => [StoreFailure::Other(said())],
    ]
}

fn damages() -> Vec<Damage> {
    samples![Damage:
        Damage::Emptied => [Damage::Emptied],
        Damage::Missing => [Damage::Missing],
        Damage::EndLost { .. } => [Damage::EndLost { has: 3, of: 5 }],
        Damage::EntryLost { .. } => [Damage::EntryLost { entry: MigrationId(7), vm: VmId(1000) }],
        Damage::Record { .. } => [Damage::Record { tree: "journal".into(), key: "7".into(), said: said() }],
        Damage::Files(_) => [Damage::Files(said())],
        Damage::Panicked(_) => [Damage::Panicked(said())],
        Damage::Other(_) => [Damage::Other(said())],
    ]
}

pub(in crate::talk) fn troubles() -> Vec<Trouble> {
    samples![Trouble:
        Trouble::VmManager(_) => api_failures().into_iter().map(Trouble::VmManager),
        Trouble::Store(_) => store_failures().into_iter().map(Trouble::Store),
        Trouble::Planning(_) => [Trouble::Planning("index out of bounds".into())],
    ]
}

pub(in crate::talk) fn ssh_errors() -> Vec<SshError> {
    let path = || "/etc/balancer/id".into();
    samples![SshError:
        SshError::NoCredentials => [SshError::NoCredentials],
        SshError::KeyFile { .. } => [SshError::KeyFile { path: path(), said: said() }],
        SshError::KeyEncrypted { .. } => [SshError::KeyEncrypted { path: path() }],
        SshError::Passphrase { .. } => [SshError::Passphrase { path: path() }],
        SshError::KeyIsPublic { .. } => [SshError::KeyIsPublic { path: path() }],
        SshError::KeyForm { .. } => [SshError::KeyForm { path: path(), said: said() }],
        SshError::KnownHosts(_) => [SshError::KnownHosts(unreadable_hosts())],
    ]
}

fn unreadable_hosts() -> UnreadableHosts {
    UnreadableHosts { path: "/root/.ssh/known_hosts".into(), said: said() }
}

pub(in crate::talk) fn ssh_failures() -> Vec<SshFailure> {
    let host = || "node-1:22".to_owned();
    let (expected, found) = (|| "ssh-ed25519 SHA256:a".to_owned(), || "ssh-rsa SHA256:b".to_owned());
    let line = KnownLine { file: "/k".into(), line: 2, host: host(), learned: false };
    let lines = || vec![line.clone()];
    let changed =
        |at| SshFailure::HostKeyChanged { host: host(), expected: vec![expected()], found: found(), at };
    let quotes = || [said(), "".into()];
    let auth = |tried: Vec<Tried>, offered| SshFailure::Auth { username: "monitor".into(), tried, offered };
    samples![SshFailure:
        SshFailure::Refused { .. } => [SshFailure::Refused { host: host() }],
        SshFailure::Unreachable { .. } => [SshFailure::Unreachable { host: host(), said: said() }],
        SshFailure::Timeout { .. } => phases()
            .map(|phase| SshFailure::Timeout { phase, after: std::time::Duration::from_secs(10) }),
        SshFailure::HostKeyUnknown { .. } =>
            [SshFailure::HostKeyUnknown { host: host(), found: found() }],
        SshFailure::HostKeyChanged { .. } => [changed(lines()), changed(Vec::new())],
        SshFailure::HostKeyRevoked { .. } =>
            [SshFailure::HostKeyRevoked { host: host(), found: found(), at: lines() }],
        SshFailure::HostKeyUnchecked(_) => host_key_doubts().into_iter().map(SshFailure::HostKeyUnchecked),
        SshFailure::Handshake { .. } => [HandshakeFlaw::NoHostKey, HandshakeFlaw::Said(said())]
            .map(|why| SshFailure::Handshake { host: host(), why }),
        SshFailure::Auth { .. } =>
            [auth(tries(), vec!["publickey".into(), "password".into()]), auth(Vec::new(), Vec::new())],
        SshFailure::SessionRefused(_) => session_refusals().into_iter().map(SshFailure::SessionRefused),
        SshFailure::Dropped { .. } => [SshFailure::Dropped { phase: Phase::Auth }],
        SshFailure::TooMuchOutput { .. } => [SshFailure::TooMuchOutput { limit_bytes: 1024 }],
        SshFailure::ExitStatus { .. } => quotes().map(|said| SshFailure::ExitStatus { code: 127, said }),
        SshFailure::Killed { .. } => quotes().map(|said| SshFailure::Killed { signal: "KILL".into(), said }),
        SshFailure::Unreadable(_) =>
            [Unreadable::NotAReading(said()), Unreadable::Truncated, Unreadable::Missing("uptime")]
                .map(SshFailure::Unreadable),
    ]
}

fn phases() -> impl Iterator<Item = Phase> + Clone {
    let phases = samples![Phase:
        Phase::Queue => [Phase::Queue],
        Phase::Connect => [Phase::Connect],
        Phase::Handshake => [Phase::Handshake],
        Phase::Auth => [Phase::Auth],
        Phase::Command => [Phase::Command],
    ];
    phases.into_iter()
}

fn host_key_doubts() -> Vec<HostKeyDoubt> {
    let (host, path) = ("node-1:22".to_owned(), "/data/ssh_known_hosts".into());
    samples![HostKeyDoubt:
        HostKeyDoubt::KnownHosts(_) => [HostKeyDoubt::KnownHosts(unreadable_hosts())],
        HostKeyDoubt::NotKept { .. } => [HostKeyDoubt::NotKept { host, path, said: said() }],
        HostKeyDoubt::NoText(_) => [HostKeyDoubt::NoText(said())],
        HostKeyDoubt::Panicked(_) => [HostKeyDoubt::Panicked(said())],
    ]
}

fn tries() -> Vec<Tried> {
    let flaws = [AgentFlaw::Silent, AgentFlaw::Said(said())];
    let socket = || "/run/agent".into();
    samples![Tried:
        Tried::Way(_) => login_ways().into_iter().map(Tried::Way),
        Tried::MoreThanPassword { .. } => [Tried::MoreThanPassword { answers: 2 }],
        Tried::TriesUsedUp { .. } => [Tried::TriesUsedUp { tries: 6 }],
        Tried::AgentUnreachable { .. } =>
            flaws.clone().map(|why| Tried::AgentUnreachable { socket: socket(), why }),
        Tried::NotSigned(_) => flaws.map(Tried::NotSigned),
    ]
}

pub(in crate::talk) fn login_ways() -> Vec<LoginWay> {
    let fingerprint = || "SHA256:c".to_owned();
    samples![LoginWay:
        LoginWay::Open => [LoginWay::Open],
        LoginWay::Key { .. } => [LoginWay::Key { fingerprint: fingerprint() }],
        LoginWay::AgentKey { .. } => [LoginWay::AgentKey { fingerprint: fingerprint() }],
        LoginWay::Password => [LoginWay::Password],
        LoginWay::KeyboardInteractive => [LoginWay::KeyboardInteractive],
    ]
}

fn session_refusals() -> Vec<SessionRefusal> {
    samples![SessionRefusal:
        SessionRefusal::Prohibited => [SessionRefusal::Prohibited],
        SessionRefusal::TooMany => [SessionRefusal::TooMany],
        SessionRefusal::Unknown => [SessionRefusal::Unknown],
        SessionRefusal::Shortage => [SessionRefusal::Shortage],
        SessionRefusal::Unexplained => [SessionRefusal::Unexplained],
        SessionRefusal::Command => [SessionRefusal::Command],
    ]
}

pub(in crate::talk) fn unmeasured() -> Vec<WhyUnmeasured> {
    samples![WhyUnmeasured:
        WhyUnmeasured::Refused => [WhyUnmeasured::Refused],
        WhyUnmeasured::Unreachable => [WhyUnmeasured::Unreachable],
        WhyUnmeasured::Silent => [WhyUnmeasured::Silent],
        WhyUnmeasured::HostKeyUnknown => [WhyUnmeasured::HostKeyUnknown],
        WhyUnmeasured::HostKeyChanged => [WhyUnmeasured::HostKeyChanged],
        WhyUnmeasured::HostKeyRevoked => [WhyUnmeasured::HostKeyRevoked],
        WhyUnmeasured::HostKeyUnchecked => [WhyUnmeasured::HostKeyUnchecked],
        WhyUnmeasured::Handshake => [WhyUnmeasured::Handshake],
        WhyUnmeasured::Login => [WhyUnmeasured::Login],
        WhyUnmeasured::Lost => [WhyUnmeasured::Lost],
        WhyUnmeasured::Command => [WhyUnmeasured::Command],
        WhyUnmeasured::Unreadable => [WhyUnmeasured::Unreadable],
    ]
}

pub(in crate::talk) fn flaws() -> Vec<Flaw> {
    let lists = samples![List:
        List::Clusters => [List::Clusters],
        List::Nodes => [List::Nodes],
        List::Vms => [List::Vms],
        List::Tasks => [List::Tasks],
    ];
    let of = |flaw: fn(List) -> Flaw| lists.iter().copied().map(flaw);
    samples![Flaw:
        Flaw::ShortList { .. } => of(|list| Flaw::ShortList { list, rows: 150, promised: 300 }),
        Flaw::UnreadableRows { .. } => lists.iter().flat_map(|list| {
            let of = |rows, first, shape| Flaw::UnreadableRows { list: *list, rows, first, shape };
            [of(1, 3, RowShape::NoId), of(2, 17, RowShape::NoObject)]
        }),
        Flaw::DoubledRows { .. } => of(|list| Flaw::DoubledRows { list, rows: 1 }),
        Flaw::DamagedRow { .. } => of(|list| Flaw::DamagedRow { list, id: 5, fields: "name".into() }),
        Flaw::TasksRefused(_) => api_failures().into_iter().map(Flaw::TasksRefused),
        Flaw::UnlistedCluster => [Flaw::UnlistedCluster],
        Flaw::NodeWithoutCluster { .. } => [Flaw::NodeWithoutCluster { node: NodeId(5) }],
        Flaw::VmsWithoutNode { .. } => [Flaw::VmsWithoutNode { vms: 3, example: VmId(7) }],
        Flaw::Shrank { .. } => [Flaw::Shrank { before: 300, after: 149 }],
        Flaw::BrokenPlan { .. } => [Flaw::BrokenPlan { violations: 1 }],
        Flaw::Other(_) => [Flaw::Other("an older version said so".into())],
    ]
}

pub(in crate::talk) fn holds() -> Vec<Hold> {
    samples![Hold:
        Hold::Incomplete(_) => flaws().into_iter().map(Hold::Incomplete),
        Hold::NotKvm { .. } => [Hold::NotKvm { virtualization: "LXD".into() }],
        Hold::Foreign { .. } => [Hold::Foreign { task: 7 }],
        Hold::Other(_) => [Hold::Other("an older version said so".into())],
    ]
}

pub(in crate::talk) fn sights() -> Vec<Sight> {
    let seen =
        Sight::Seen { at: noon(), figures: Default::default(), nodes: Default::default(), emptied: None };
    samples![Sight:
        Sight::Seen { .. } => [seen],
        Sight::Failed(_) => troubles().into_iter().map(Sight::Failed),
        Sight::Incomplete(_) => flaws().into_iter().map(Sight::Incomplete),
        Sight::TimedOut => [Sight::TimedOut],
        Sight::ClusterGone => [Sight::ClusterGone],
    ]
}

pub(in crate::talk) fn refusals() -> Vec<TargetRefusal> {
    samples![TargetRefusal:
        TargetRefusal::Memory => [TargetRefusal::Memory],
        TargetRefusal::Declined => [TargetRefusal::Declined],
        TargetRefusal::Cpu => [TargetRefusal::Cpu],
        TargetRefusal::Load => [TargetRefusal::Load],
        TargetRefusal::Reserve => [TargetRefusal::Reserve],
        TargetRefusal::VmLimit => [TargetRefusal::VmLimit],
        TargetRefusal::OlderQemu => [TargetRefusal::OlderQemu],
        TargetRefusal::QemuTooOld => [TargetRefusal::QemuTooOld],
        TargetRefusal::NewerKernel => [TargetRefusal::NewerKernel],
        TargetRefusal::OtherOsFamily => [TargetRefusal::OtherOsFamily],
        TargetRefusal::OtherCpu => [TargetRefusal::OtherCpu],
        TargetRefusal::TooFewCores => [TargetRefusal::TooFewCores],
        TargetRefusal::Disk => [TargetRefusal::Disk],
        TargetRefusal::Fault(_) => faults().into_iter().map(TargetRefusal::Fault),
        TargetRefusal::RealMemory => [TargetRefusal::RealMemory],
        TargetRefusal::Unreadable => [TargetRefusal::Unreadable],
        TargetRefusal::AntiAffinity => [TargetRefusal::AntiAffinity],
        TargetRefusal::Excluded => [TargetRefusal::Excluded],
        TargetRefusal::Maintenance => [TargetRefusal::Maintenance],
        TargetRefusal::CreationBlocked => [TargetRefusal::CreationBlocked],
        TargetRefusal::NotActive => [TargetRefusal::NotActive],
        TargetRefusal::UnknownCapacity => [TargetRefusal::UnknownCapacity],
        TargetRefusal::OtherCluster => [TargetRefusal::OtherCluster],
        TargetRefusal::SameNode => [TargetRefusal::SameNode],
        TargetRefusal::MemoryInUse => [TargetRefusal::MemoryInUse],
        TargetRefusal::MemoryPressure => [TargetRefusal::MemoryPressure],
        TargetRefusal::CpuPressure => [TargetRefusal::CpuPressure],
    ]
}

fn faults() -> Vec<NodeFault> {
    samples![NodeFault:
        NodeFault::Libvirt => [NodeFault::Libvirt],
        NodeFault::Ha => [NodeFault::Ha],
        NodeFault::Routing => [NodeFault::Routing],
    ]
}

pub(in crate::talk) fn skips() -> Vec<SkipWhy> {
    let blocks = samples![Block:
        Block::Iso => [Block::Iso],
        Block::Snapshots => [Block::Snapshots],
        Block::BalancerMode => [Block::BalancerMode],
        Block::Rescue => [Block::Rescue],
        Block::Vm5Restrictions => [Block::Vm5Restrictions],
        Block::NodeForbids => [Block::NodeForbids],
        Block::Nesting => [Block::Nesting],
        Block::UnknownSize => [Block::UnknownSize],
        Block::Unreadable => [Block::Unreadable],
        Block::Unexplained => [Block::Unexplained],
        Block::Task(_) => [Block::Task("host_backup".into())],
        Block::Other(_) => [Block::Other("locked by billing".into())],
    ];
    let rests = samples![RestWhy:
        RestWhy::Moved => [RestWhy::Moved],
        RestWhy::Failed => [RestWhy::Failed],
        RestWhy::FailedAgain => [RestWhy::FailedAgain],
        RestWhy::PulledBack => [RestWhy::PulledBack],
        RestWhy::Busy => [RestWhy::Busy],
        RestWhy::InFlight => [RestWhy::InFlight],
    ];
    samples![SkipWhy:
        SkipWhy::Blocked(_) => blocks.into_iter().map(SkipWhy::Blocked),
        SkipWhy::State(_) => [SkipWhy::State("stopped".into())],
        SkipWhy::Pinned => [SkipWhy::Pinned],
        SkipWhy::HostPassthrough => [SkipWhy::HostPassthrough],
        SkipWhy::NotWorthIt => [SkipWhy::NotWorthIt],
        SkipWhy::Resting { .. } => rests.into_iter().map(|why| SkipWhy::Resting { until: noon(), why }),
        SkipWhy::ExcludedSource => [SkipWhy::ExcludedSource],
        SkipWhy::NodeState(_) => closed().into_iter().map(SkipWhy::NodeState),
        SkipWhy::NoTarget(_) => refusals().into_iter().map(SkipWhy::NoTarget),
        SkipWhy::NoRoomBack { .. } => [SkipWhy::NoRoomBack {
            node: "узел".into(),
            resource: Resource::Memory,
            value: 7001,
            most: 7000,
        }],
        SkipWhy::NotBack { .. } => [SkipWhy::NotBack { node: "узел".into(), why: TargetRefusal::Memory }],
        SkipWhy::NotThere => [SkipWhy::NotThere],
        SkipWhy::Gone => [SkipWhy::Gone],
        SkipWhy::Held(_) => holds().into_iter().map(SkipWhy::Held),
    ]
}

fn closed() -> Vec<NodeClosed> {
    samples![NodeClosed:
        NodeClosed::Maintenance => [NodeClosed::Maintenance],
        NodeClosed::UnknownCapacity => [NodeClosed::UnknownCapacity],
        NodeClosed::State(_) =>
            [NodeState::Unreadable, NodeState::UnreadableVm, "failed".into()].map(NodeClosed::State),
    ]
}

pub(in crate::talk) fn obstacles() -> Vec<Obstacle> {
    let no_target = Obstacle::NoTarget { movable: 3, reasons: vec![(TargetRefusal::Memory, 3)] };
    samples![Obstacle:
        Obstacle::Limit { .. } => [Obstacle::Limit { migrations_max: 2 }],
        Obstacle::ExcludedSource => [Obstacle::ExcludedSource],
        Obstacle::State(_) => closed().into_iter().map(Obstacle::State),
        Obstacle::Immovable { .. } => skips().into_iter().map(|why| Obstacle::Immovable { why, count: 2 }),
        Obstacle::NoTarget { .. } => [no_target],
        Obstacle::NotEnough { .. } => [0, 3].map(|movable| Obstacle::NotEnough { movable }),
        Obstacle::Held(_) => holds().into_iter().map(Obstacle::Held),
    ]
}

/// Each is about `n1`.
pub(in crate::talk) fn notes() -> Vec<Note> {
    let node = || "n1".to_owned();
    let strains = samples![Strain:
        Strain::MemoryInUse(_) => [Strain::MemoryInUse(95)],
        Strain::WaitsForMemory(_) => [Strain::WaitsForMemory(30)],
        Strain::WaitsForCpu(_) => [Strain::WaitsForCpu(40)],
    ];
    let waits = |io_pressure| Note::LoadIsNotCpu { node: node(), cpu_pressure: 1, io_pressure };
    samples![Note:
        Note::EveryVmOptedOut => [Note::EveryVmOptedOut],
        Note::Unmeasured { .. } => [Note::Unmeasured { nodes: vec![node()] }],
        Note::Settling { .. } => [Note::Settling { node: node(), until: noon() }],
        Note::Strained { .. } => [Note::Strained { node: node(), strains }],
        Note::LoadIsNotCpu { .. } => [None, Some(50)].map(waits),
        Note::NotKvm { .. } => [Note::NotKvm { virtualization: "LXD".into() }],
        Note::BuiltinBalancer { .. } => [Note::BuiltinBalancer { key: "balancer_mode".into() }],
        Note::ForeignMigration { .. } => [Note::ForeignMigration { task: 7 }],
        Note::UnknownSelector { .. } => [Note::UnknownSelector { selector: node() }],
        Note::Faulty { .. } => [Note::Faulty { node: node(), faults: faults() }],
        Note::MixedOsFamilies => [Note::MixedOsFamilies],
        Note::NamelessVm { .. } => [Note::NamelessVm { node: node() }],
        Note::Unreadable { .. } => [vec![], vec!["web-1".into()], vec!["web-1".into(), "web-2".into()]]
            .map(|vms| Note::Unreadable { node: node(), vms }),
        Note::StepsDropped { .. } => [1, 2].map(|steps| Note::StepsDropped { steps, violations: 1 }),
        Note::ClosedAfterFailures { .. } => [None, Some(noon())]
            .map(|until| Note::ClosedAfterFailures { node: node(), count: 3, until }),
        Note::SumsDiffer { .. } =>
            [Note::SumsDiffer { node: node(), memory_node: Mib(2048), memory_vms: Mib(1024) }],
    ]
}

/// Named are the person Anna and the VM `web-<1>`.
pub(in crate::talk) fn endings() -> Vec<Ending> {
    let places = samples![Whereabouts:
        Whereabouts::OnTarget => [Whereabouts::OnTarget],
        Whereabouts::OnSource => [Whereabouts::OnSource],
        Whereabouts::Elsewhere(_) => [Whereabouts::Elsewhere(NodeId(3))],
        Whereabouts::Gone => [Whereabouts::Gone],
    ];
    let failed = samples![TaskFailure:
        TaskFailure::Said(_) => [TaskFailure::Said("guest CPU doesn't match".into())],
        TaskFailure::Cancelled => [TaskFailure::Cancelled],
        TaskFailure::Silent => [TaskFailure::Silent],
    ];
    let forbidden = ApiFailure::Forbidden { what: what(), said: Said::Words(said()) };
    let login = ApiFailure::Credentials(LoginRefusal::NoToken);
    let silence = ApiFailure::NoAnswer { what: what(), said: Silence::TimedOut("".into()) };
    let busy =
        ApiFailure::Refused { what: what(), said: Said::Words("locked".into()), status: 409, code: None };
    let unknown = ApiFailure::NotFound { what: what(), said: Said::Words("".into()), code: None };
    let placed = |ending: fn(Whereabouts) -> Ending| places.iter().copied().map(ending);
    samples![Ending:
        Ending::Unfit(_) => unfits().into_iter().map(Ending::Unfit),
        Ending::NoAnswer(_) => placed(Ending::NoAnswer),
        Ending::TaskVanished(_) => placed(Ending::TaskVanished),
        Ending::TaskComplete(_) => placed(Ending::TaskComplete),
        Ending::TaskWord { .. } =>
            ["retired", ""].map(|word| Ending::TaskWord { word: word.into(), place: Whereabouts::OnSource }),
        Ending::TaskFailed(_) => failed.into_iter().map(Ending::TaskFailed),
        Ending::NotOffered => [Ending::NotOffered],
        Ending::NodeOccupied { .. } =>
            [Ending::NodeOccupied { vm_name: "web-<1>".into(), by: MigrationId(4) }],
        Ending::AlreadyMoving => [Ending::AlreadyMoving],
        Ending::SomebodyElse => [Ending::SomebodyElse],
        Ending::Doubted(_) => [Ending::Doubted(Flaw::Shrank { before: 300, after: 149 })],
        Ending::VmManager(_) => [Ending::VmManager(silence)],
        Ending::NotAllowed(_) => [Ending::NotAllowed(forbidden), Ending::NotAllowed(login)],
        Ending::Busy(_) => [Ending::Busy(busy)],
        Ending::NotUnderstood(_) => [Ending::NotUnderstood(unknown)],
        Ending::CancelledBy(_) => [Ending::CancelledBy(Person { id: 42, name: "Anna".into() })],
        Ending::GivenUp(_) => [Ending::GivenUp(Person { id: 42, name: "Anna".into() })],
        Ending::DryRun => [Ending::DryRun],
        Ending::Stopped => [Ending::Stopped],
        Ending::Restarted => [Ending::Restarted],
        Ending::Store(_) => [Ending::Store(StoreFailure::InFlight { vm: VmId(7) })],
        Ending::Planning(_) => [Ending::Planning(said())],
        Ending::Panicked => [Ending::Panicked],
        Ending::Other(_) => [Ending::Other(said())],
    ]
}

fn unfits() -> Vec<Unfit> {
    samples![Unfit:
        Unfit::VmGone => [Unfit::VmGone],
        Unfit::NodeGone(_) => [Unfit::NodeGone(NodeId(3))],
        Unfit::Moved { .. } => [Unfit::Moved { now: NodeId(3) }],
        Unfit::AlreadyThere => [Unfit::AlreadyThere],
        Unfit::Vm(_) => [Unfit::Vm(SkipWhy::Pinned)],
        Unfit::Target(_) => [Unfit::Target(TargetRefusal::Memory)],
        Unfit::Held(_) => [Unfit::Held(Hold::Foreign { task: 7 })],
        Unfit::NoRelief => [Unfit::NoRelief],
    ]
}
