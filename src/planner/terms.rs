//! What a live migration asks of its two nodes besides room, by ISPsystem's list: QEMU, kernel, operating system, CPU.

use std::collections::BTreeMap;

use super::{plan::TargetRefusal, policy::Lenience};
use crate::model::{NodeInfo, OsFamily, QemuVersion};

/// ISPsystem supports live migration from this QEMU on.
pub(crate) const QEMU_MIN: &str = "2.0.0";

/// How two nodes go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Why no VM may go this way.
    pub refusal: Option<TargetRefusal>,
    /// The target's kernel is newer than the source's.
    pub newer_kernel: bool,
    /// The nodes are known to have unlike CPUs.
    pub other_cpu: bool,
}

/// How any two nodes of a cluster go together. Nodes of the same versions are one kind, so the table stays small.
#[derive(Clone)]
pub(super) struct Links {
    kind: Vec<usize>,
    kinds: usize,
    table: Vec<Link>,
}

impl Links {
    pub(super) fn new(nodes: &[&NodeInfo], newer_kernel: Lenience) -> Self {
        let mut known = BTreeMap::new();
        let mut kinds: Vec<&NodeInfo> = Vec::new();
        let kind = nodes.iter().map(|node| {
            let qemu = node.qemu_version.as_ref().map(ToString::to_string);
            let kernel = node.kernel_version.as_ref().map(ToString::to_string);
            *known.entry((qemu, kernel, &node.os_version, node.cpu())).or_insert_with(|| {
                kinds.push(node);
                kinds.len() - 1
            })
        });
        let kind = kind.collect();
        let pairs = kinds.iter().flat_map(|source| kinds.iter().map(move |target| (source, target)));
        let table = pairs.map(|(source, target)| link(source, target, newer_kernel)).collect();
        Self { kind, kinds: kinds.len(), table }
    }

    pub(super) fn between(&self, source: usize, target: usize) -> Link {
        self.table[self.kind[source] * self.kinds + self.kind[target]]
    }

    pub(super) fn has_newer_kernel(&self) -> bool {
        self.table.iter().any(|link| link.newer_kernel && link.refusal.is_none())
    }

    /// The same nodes in another order.
    pub(super) fn with_node_order(mut self, order: &[usize]) -> Self {
        self.kind = order.iter().map(|node| self.kind[*node]).collect();
        self
    }

    /// The same nodes, with no way to a newer kernel.
    pub(super) fn without_newer_kernel(mut self) -> Self {
        for link in self.table.iter_mut().filter(|link| link.newer_kernel) {
            link.refusal = link.refusal.or(Some(TargetRefusal::NewerKernel));
        }
        self
    }
}

/// What is not known forbids nothing.
fn link(source: &NodeInfo, target: &NodeInfo, lenience: Lenience) -> Link {
    let least = QemuVersion::new(QEMU_MIN);
    let too_old = |node: &NodeInfo| node.qemu_version.as_ref().is_some_and(|qemu| qemu.is_older_than(&least));
    let qemu = source.qemu_version.as_ref().zip(target.qemu_version.as_ref());
    let kernels = source.kernel_version.as_ref().zip(target.kernel_version.as_ref());
    let newer_kernel = kernels.is_some_and(|(source, target)| target.is_newer_than(source));
    let cpus = source.cpu().zip(target.cpu());
    let families = family(source).zip(family(target));
    let checks = [
        (families.is_some_and(|(source, target)| source != target), TargetRefusal::OtherOsFamily),
        (too_old(source) || too_old(target), TargetRefusal::QemuTooOld),
        (qemu.is_some_and(|(source, target)| target.is_older_than(source)), TargetRefusal::OlderQemu),
        (newer_kernel && lenience == Lenience::Forbid, TargetRefusal::NewerKernel),
    ];
    Link {
        refusal: checks.into_iter().find_map(|(holds, refusal)| holds.then_some(refusal)),
        newer_kernel: newer_kernel && lenience != Lenience::Allow,
        other_cpu: cpus.is_some_and(|(source, target)| source.trim() != target.trim()),
    }
}

pub(super) fn family(node: &NodeInfo) -> Option<OsFamily> {
    OsFamily::of(node.os_version.as_deref()?)
}
