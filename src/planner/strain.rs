//! Memory use and pressure measured over SSH, besides the thresholds. They close a node as a target and are reported,
//! and never make it overloaded.

use chrono::{DateTime, Utc};

use super::{
    plan::{Strain, TargetRefusal},
    policy::Policy,
};
use crate::model::{Measured, NodeInfo};

/// No move fills the memory that a target really uses further, in percent of all it has.
///
/// The kernel, the page tables of guests and what QEMU itself needs want some percent; below that the node swaps or
/// kills a guest. Thresholds on allocated memory do not see it where memory is overcommitted or the node runs more
/// than VMs.
pub(super) const MEMORY_IN_USE_MAX: f64 = 95.0;

/// Percent of time in which some task waited for memory, above which a node takes no VM: it swaps or reclaims already.
pub(super) const MEMORY_PRESSURE_MAX: f64 = 10.0;

/// Percent of time in which some task waited for a CPU, above which a node takes no VM: in a quarter of all time its
/// guests are kept waiting, whatever the average of the load says.
pub(super) const CPU_PRESSURE_MAX: f64 = 25.0;

/// Below this percent of time nobody waits for a CPU worth speaking of: load beyond the busy CPUs waits for disks.
pub(super) const CPU_PRESSURE_NONE: f64 = 5.0;

/// A load over this many times its threshold counts at the first reading; a smaller excess when the next reading is over
/// the threshold too. So does any excess while guests wait for a CPU. In a simulated week of 40 nodes it took the
/// overload from 30 node-hours to 25.
pub(super) const LOAD_SURE: f64 = 1.25;

/// A node's own measurement, where it is fresh.
pub(super) fn fresh<'a>(node: &'a NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Option<&'a Measured> {
    node.load.as_ref().filter(|measured| policy.is_fresh(measured.at, now))
}

/// Why a node under pressure takes no VM.
pub(super) fn refusal(node: &NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Option<TargetRefusal> {
    let measured = fresh(node, now, policy)?;
    if above(measured.memory_pressure, MEMORY_PRESSURE_MAX) {
        return Some(TargetRefusal::MemoryPressure);
    }
    above(measured.cpu_pressure, CPU_PRESSURE_MAX).then_some(TargetRefusal::CpuPressure)
}

/// All that a node suffers from.
pub(super) fn strains(node: &NodeInfo, now: DateTime<Utc>, policy: &Policy) -> Vec<Strain> {
    let Some(measured) = fresh(node, now, policy) else { return Vec::new() };
    let in_use = measured.memory_used_mib.zip(node.real_memory()).map(|(used, all)| used.percent_of(all));
    let told = |value: Option<f64>, max: f64, strain: fn(u32) -> Strain| {
        value.filter(|_| above(value, max)).map(|percent| strain(percent.round() as u32))
    };
    [
        told(in_use, MEMORY_IN_USE_MAX, Strain::MemoryInUse),
        told(measured.memory_pressure, MEMORY_PRESSURE_MAX, Strain::WaitsForMemory),
        told(measured.cpu_pressure, CPU_PRESSURE_MAX, Strain::WaitsForCpu),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Tells whether it is known that load beyond the busy CPUs does not wait for a CPU.
pub(super) fn waits_for_no_cpu(measured: &Measured) -> bool {
    measured.cpu_pressure.is_some_and(|percent| percent < CPU_PRESSURE_NONE)
}

/// Tells whether one reading of a load per core is enough to believe that it is over its threshold.
pub(super) fn is_sure(measured: &Measured, load: f64, policy: &Policy) -> bool {
    load > policy.load.overload * LOAD_SURE
        || (load > policy.load.overload && above(measured.cpu_pressure, CPU_PRESSURE_MAX))
}

fn above(value: Option<f64>, max: f64) -> bool {
    value.is_some_and(|value| value > max)
}
