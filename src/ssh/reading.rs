//! What a node measured of itself, and how that enters a snapshot. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::parse::{Answer, Process, Sample};
use crate::model::{Measured, Mib, Snapshot, VmId, VmInfo, VmUse};

/// The shortest time over which CPU use is computed, in seconds.
///
/// The kernel counts in hundredths of a second; over less than half a second the error would be seen.
const WINDOW_MIN_SECONDS: f64 = 0.5;

/// How young a process may be, in seconds, for its whole life to stand in for the time between two readings.
const YOUNG_SECONDS: f64 = 900.0;

/// A node's reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub at: DateTime<Utc>,
    /// Load averages over 1, 5 and 15 minutes, for the whole machine (not per core).
    pub load: [f64; 3],
    /// The five-minute average of the reading before this one: the newest that is between half an interval and
    /// two intervals older, whatever was read in between.
    pub previous_five: Option<f64>,
    /// Logical CPUs.
    pub cpus: Option<u32>,
    /// What the CPU calls itself.
    pub cpu_model: Option<String>,
    /// All CPUs together: how many of them were busy, over the time between two samples.
    pub busy_cores: Option<f64>,
    pub memory_total: Option<Mib>,
    /// Memory really used: total less available.
    pub memory_used: Option<Mib>,
    /// Percent of time over 300 s in which some task waited for CPU, memory or storage.
    pub cpu_pressure: Option<f64>,
    pub memory_pressure: Option<f64>,
    pub io_pressure: Option<f64>,
    /// Each QEMU process or libvirt domain that could be seen, in the order of name.
    pub domains: Vec<DomainUse>,
}

/// The CPU use of one QEMU process or libvirt domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainUse {
    /// libvirt's name, e.g. `311_web-1`; empty where the process does not say.
    pub name: String,
    /// In cores; `None` where there is nothing to compare with yet.
    pub cores: Option<f64>,
}

impl Reading {
    /// Makes a reading of an answer; `earlier` is the last sample of the reading before.
    pub(super) fn new(
        answer: &Answer,
        earlier: Option<&Sample>,
        previous_five: Option<f64>,
        at: DateTime<Utc>,
    ) -> Self {
        let Answer { load, cpus, cpu_model, memory, pressure, ticks_per_second: _, names: _, samples: _ } =
            answer;
        let window = Window::of(answer, earlier);
        Self {
            at,
            load: *load,
            previous_five,
            cpus: *cpus,
            cpu_model: cpu_model.clone(),
            busy_cores: window.as_ref().and_then(Window::busy),
            memory_total: memory.map(|memory| memory.total),
            memory_used: memory.map(|memory| memory.used),
            cpu_pressure: pressure.cpu,
            memory_pressure: pressure.memory,
            io_pressure: pressure.io,
            domains: domains(answer, window.as_ref()),
        }
    }

    /// Returns the use of each VM that is on the node, as far as a domain is known to be it.
    ///
    /// VMmanager calls its domains `<id>_<name>`. A domain of another form is taken by the VM of exactly its
    /// name, where the node has only one of that name.
    fn use_of<'a>(&self, vms: impl Iterator<Item = &'a VmInfo> + Clone) -> BTreeMap<VmId, VmUse> {
        let mut uses: BTreeMap<VmId, (Claim, f64)> = BTreeMap::new();
        for domain in &self.domains {
            let (Some(cores), Some((vm, claim))) = (domain.cores, owner(&domain.name, vms.clone())) else {
                continue;
            };
            let best = uses.entry(vm).or_insert((claim, cores));
            // Two processes for one VM: the surer name, then the busier one.
            if claim > best.0 || claim == best.0 && cores > best.1 {
                *best = (claim, cores);
            }
        }
        uses.into_iter().map(|(vm, (_, cores))| (vm, VmUse { cores, at: self.at })).collect()
    }

    fn to_measured(&self) -> Measured {
        let [one, five, fifteen] = self.load;
        Measured {
            one,
            five,
            fifteen,
            at: self.at,
            cpus: self.cpus,
            cpu_model: self.cpu_model.clone(),
            previous_five: self.previous_five,
            busy_cores: self.busy_cores,
            memory_total_mib: self.memory_total,
            memory_used_mib: self.memory_used,
            cpu_pressure: self.cpu_pressure,
            memory_pressure: self.memory_pressure,
            io_pressure: self.io_pressure,
        }
    }
}

/// Puts readings into the nodes and VMs they belong to. What has no reading stays as it is.
pub(super) fn apply(snapshot: &mut Snapshot, readings: &BTreeMap<crate::model::NodeId, Reading>) {
    let mut uses: BTreeMap<VmId, VmUse> = BTreeMap::new();
    for (node, vms) in snapshot.vms_by_node() {
        if let Some(reading) = readings.get(&node) {
            uses.extend(reading.use_of(vms.iter().copied()));
        }
    }
    for vm in &mut snapshot.vms {
        if let Some(measured) = uses.remove(&vm.id) {
            vm.measured = Some(measured);
        }
    }
    for node in &mut snapshot.nodes {
        if let Some(reading) = readings.get(&node.id) {
            node.load = Some(reading.to_measured());
        }
    }
}

/// How sure it is that a domain is a VM; later is surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Name,
    Id,
    IdAndName,
}

fn owner<'a>(domain: &str, vms: impl Iterator<Item = &'a VmInfo> + Clone) -> Option<(VmId, Claim)> {
    let digits = domain.bytes().take_while(u8::is_ascii_digit).count();
    let (id, rest) = domain.split_at(digits);
    let by_id = id.parse().ok().and_then(|id| vms.clone().find(|vm| vm.id == VmId(id)));
    match (by_id, rest.strip_prefix(['_', '-'])) {
        (Some(vm), Some(name)) if name == vm.name => return Some((vm.id, Claim::IdAndName)),
        (Some(vm), Some(_)) => return Some((vm.id, Claim::Id)),
        (Some(vm), None) if rest.is_empty() => return Some((vm.id, Claim::Id)),
        _ => {}
    }
    let mut named = vms.filter(|vm| vm.name == domain);
    match (named.next(), named.next()) {
        (Some(vm), None) => Some((vm.id, Claim::Name)),
        _ => None,
    }
}

/// Two samples of one node between which it ran on.
struct Window<'a> {
    first: &'a Sample,
    last: &'a Sample,
    seconds: f64,
}

impl<'a> Window<'a> {
    /// The two samples of one answer, or the earlier reading's and this one's.
    fn of(answer: &'a Answer, earlier: Option<&'a Sample>) -> Option<Self> {
        let (first, last) = match answer.samples.as_slice() {
            [] => return None,
            [only] => (earlier?, only),
            [first, .., last] => (first, last),
        };
        // Negative after the node was started anew.
        let seconds = last.uptime - first.uptime;
        (seconds >= WINDOW_MIN_SECONDS).then_some(Self { first, last, seconds })
    }

    fn busy(&self) -> Option<f64> {
        self.rate(self.first.busy?, self.last.busy?)
    }

    fn rate(&self, before: f64, after: f64) -> Option<f64> {
        (after >= before).then_some((after - before) / self.seconds)
    }

    fn process(&self, pid: u32, process: &Process) -> Option<f64> {
        match self.first.processes.get(&pid) {
            // The same start: the same process, not one that got its number.
            Some(before) if before.started == process.started => self.rate(before.cpu, process.cpu),
            // It came after the first sample: its whole life lies between the two.
            _ if process.started >= self.first.uptime => {
                running_seconds(self.last.uptime, process).map(|seconds| process.cpu / seconds)
            }
            _ => None,
        }
    }
}

fn domains(answer: &Answer, window: Option<&Window<'_>>) -> Vec<DomainUse> {
    let Some(last) = answer.samples.last() else { return Vec::new() };
    let processes = last.processes.iter().map(|(pid, process)| {
        let name = answer.names.get(pid).cloned().unwrap_or_default();
        let cores = window.and_then(|w| w.process(*pid, process)).or_else(|| life(last.uptime, process));
        DomainUse { name, cores }
    });
    let domains = last.domains.iter().flatten().map(|(name, cpu)| {
        let before = window.and_then(|w| w.first.domains.as_ref()?.get(name));
        let cores = before.and_then(|before| window?.rate(*before, *cpu));
        DomainUse { name: name.clone(), cores }
    });
    let mut all: Vec<DomainUse> = processes.chain(domains).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// A young process, e.g. of a VM that came by migration, is measured over its own life.
fn life(uptime: f64, process: &Process) -> Option<f64> {
    running_seconds(uptime, process)
        .filter(|seconds| *seconds <= YOUNG_SECONDS)
        .map(|seconds| process.cpu / seconds)
}

/// How long a process has run, in seconds, where that is long enough to tell its CPU use.
fn running_seconds(uptime: f64, process: &Process) -> Option<f64> {
    Some(uptime - process.started).filter(|seconds| *seconds >= WINDOW_MIN_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{ClusterId, ClusterInfo, NodeId},
        ssh::{parse, testing},
    };

    const DEBIAN: &str = include_str!("answers/debian12.txt");
    const ALMA: &str = include_str!("answers/almalinux9.txt");
    const UBUNTU: &str = include_str!("answers/ubuntu2204.txt");
    const HIDDEN: &str = include_str!("answers/hidepid-virsh.txt");

    #[test]
    fn two_samples_of_one_answer_give_each_vm_its_share() {
        let reading = read(DEBIAN, None);
        assert_eq!(shares(&reading), ["311_web-1 3.50", "312_db-1 0.50", "mail.example.com 0.00"]);
        assert_eq!(format!("{:.2}", reading.busy_cores.unwrap()), "7.00");
    }

    #[test]
    fn one_sample_is_compared_with_the_reading_before() {
        assert_eq!(shares(&read(UBUNTU, None)), ["77_build -"]);
        let mut earlier = parse::answer(UBUNTU).unwrap().samples.remove(0);
        earlier.uptime -= 600.0;
        let process = earlier.processes.get_mut(&900).unwrap();
        process.cpu -= 6.0;
        assert_eq!(shares(&read(UBUNTU, Some(&earlier))), ["77_build 0.01"]);
        // Another process that has got the number.
        earlier.processes.get_mut(&900).unwrap().started -= 1.0;
        assert_eq!(shares(&read(UBUNTU, Some(&earlier))), ["77_build -"]);
        // The node was started anew.
        earlier.uptime += 10_000.0;
        assert_eq!(shares(&read(UBUNTU, Some(&earlier))), ["77_build -"]);
    }

    #[test]
    fn a_process_without_name_belongs_to_no_vm() {
        let reading = read(ALMA, None);
        assert_eq!(reading.domains[0].name, "");
        let snapshot = applied(&reading, vec![testing::vm(1024, "shop,eu", 10)]);
        assert_eq!(format!("{:.1}", snapshot.vms[0].measured.as_ref().unwrap().cores), "16.0");
    }

    #[test]
    fn libvirts_numbers_do_as_well() {
        assert_eq!(shares(&read(HIDDEN, None)), ["311_web-1 1.00", "312_db-1 0.10"]);
    }

    #[test]
    fn a_reading_enters_its_node_and_its_vms_and_no_others() {
        let reading = read(DEBIAN, None);
        let snapshot = applied(
            &reading,
            vec![
                testing::vm(311, "web-1", 10),
                testing::vm(312, "renamed", 10),
                testing::vm(400, "mail.example.com", 10),
                testing::vm(401, "idle", 10),
                testing::vm(402, "mail.example.com", 11),
            ],
        );
        let cores: Vec<_> = snapshot.vms.iter().map(|vm| vm.measured.as_ref().map(|m| m.cores)).collect();
        assert!((cores[0].unwrap() - 3.5).abs() < 1e-6);
        assert!((cores[1].unwrap() - 0.5).abs() < 1e-6);
        assert_eq!(cores[2..], [Some(0.0), None, None]);
        let load = snapshot.nodes[0].load.as_ref().unwrap();
        assert_eq!((load.five, load.cpus, load.previous_five), (6.91, Some(32), Some(6.5)));
        assert_eq!(load.memory_used_mib, Some(Mib(154_249)));
        assert_eq!((load.cpu_pressure, load.memory_pressure), (Some(1.55), Some(0.02)));
        assert_eq!(load.io_pressure, reading.io_pressure);
        assert!(load.io_pressure.is_some() && (load.busy_cores.unwrap() - 7.0).abs() < 1e-6);
        assert_eq!(snapshot.nodes[1].load, None);
    }

    #[test]
    fn a_name_that_two_vms_bear_names_none() {
        let reading = read(DEBIAN, None);
        let vms = vec![testing::vm(1, "mail.example.com", 10), testing::vm(2, "mail.example.com", 10)];
        assert!(applied(&reading, vms).vms.iter().all(|vm| vm.measured.is_none()));
    }

    #[test]
    fn the_surest_of_two_claims_counts() {
        let mut reading = read(DEBIAN, None);
        reading.domains = [("311_copy", 9.0), ("311_web-1", 1.0), ("311", 5.0)]
            .map(|(name, cores)| DomainUse { name: name.into(), cores: Some(cores) })
            .into();
        let snapshot = applied(&reading, vec![testing::vm(311, "web-1", 10)]);
        assert_eq!(snapshot.vms[0].measured.as_ref().unwrap().cores, 1.0);
    }

    #[test]
    fn a_young_process_is_measured_over_its_life() {
        let process = Process { started: 100.0, cpu: 20.0 };
        assert_eq!(life(110.0, &process), Some(2.0));
        assert_eq!(life(100.1, &process), None);
        assert_eq!(life(100_000.0, &process), None);
    }

    fn read(text: &str, earlier: Option<&Sample>) -> Reading {
        Reading::new(&parse::answer(text).unwrap(), earlier, Some(6.5), testing::now())
    }

    fn shares(reading: &Reading) -> Vec<String> {
        let share = |d: &DomainUse| d.cores.map_or("-".into(), |cores| format!("{cores:.2}"));
        reading.domains.iter().map(|d| format!("{} {}", d.name, share(d))).collect()
    }

    fn applied(reading: &Reading, vms: Vec<VmInfo>) -> Snapshot {
        let mut snapshot = Snapshot::empty(testing::now());
        snapshot.clusters = vec![ClusterInfo::new(ClusterId(1), "msk")];
        snapshot.nodes = vec![testing::node(10, "node-1"), testing::node(11, "node-2")];
        snapshot.vms = vms;
        apply(&mut snapshot, &BTreeMap::from([(NodeId(10), reading.clone())]));
        snapshot
    }
}
