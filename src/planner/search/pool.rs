//! What can be moved, with identical VMs of a node merged: a search over kinds is far smaller than one over VMs.

use std::collections::HashMap;

use crate::planner::{amounts::Amounts, board::Board};

/// VMs that are alike in everything a plan looks at.
#[derive(Clone)]
pub(super) struct Class {
    pub needs: Amounts,
    pub cost: f64,
    pub groups: Vec<u16>,
    /// Nodes that may not take it, whatever room they have.
    pub declined: Vec<usize>,
    pub needs_same_cpu: bool,
}

/// The movable VMs of one class on one node.
pub(super) struct Slot {
    pub node: usize,
    pub class: usize,
    /// In the order in which they are taken: the idle first.
    pub vms: Vec<usize>,
}

/// All that can be moved.
pub(super) struct Pool {
    pub classes: Vec<Class>,
    pub slots: Vec<Slot>,
    pub slots_on: Vec<Vec<usize>>,
}

/// One VM of a slot goes to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub slot: usize,
    pub target: usize,
}

impl Pool {
    /// Collects what may leave its node; `drain` is the node that VMs may leave even in maintenance.
    pub(super) fn new(board: &Board<'_>, drain: Option<usize>) -> Self {
        let mut pool =
            Self { classes: Vec::new(), slots: Vec::new(), slots_on: vec![Vec::new(); board.nodes.len()] };
        let mut classes: HashMap<_, usize> = HashMap::new();
        for node in 0..board.nodes.len() {
            let mut on_node: HashMap<usize, usize> = HashMap::new();
            // By size, so that no search depends on the ids of VMs.
            let mut there = board.vms_on[node].clone();
            there.sort_by_key(|vm| (board.vms[*vm].needs, board.disk(*vm), *vm));
            for vm in there {
                let may_leave = match drain {
                    Some(drained) => board.movable(vm, drained == node),
                    None => board.may_relieve(vm, node, &board.nodes[node].start),
                };
                if may_leave.is_err() || !may_go_somewhere(board, vm) {
                    continue;
                }
                let what = &board.vms[vm];
                let disk = board.disk(vm).map_or(0, |disk| disk.0);
                let lists = (what.groups.clone(), what.declined.clone());
                let key = (what.needs, disk, what.needs_same_cpu, lists);
                let class = *classes.entry(key).or_insert_with(|| {
                    pool.classes.push(Class {
                        needs: what.needs,
                        cost: board.cost(vm),
                        groups: what.groups.clone(),
                        declined: what.declined.clone(),
                        needs_same_cpu: what.needs_same_cpu,
                    });
                    pool.classes.len() - 1
                });
                let slot = *on_node.entry(class).or_insert_with(|| {
                    pool.slots.push(Slot { node, class, vms: Vec::new() });
                    pool.slots_on[node].push(pool.slots.len() - 1);
                    pool.slots.len() - 1
                });
                pool.slots[slot].vms.push(vm);
            }
        }
        for slot in &mut pool.slots {
            slot.vms.sort_by(|a, b| {
                let busy = |vm: usize| board.vms[vm].info.measured.as_ref().map_or(0.0, |own| own.cores);
                busy(*a).total_cmp(&busy(*b)).then(a.cmp(b))
            });
        }
        pool
    }

    pub(super) fn class(&self, slot: usize) -> &Class {
        &self.classes[self.slots[slot].class]
    }
}

/// A VM that every open node was declined for stays, and no search should count on it.
fn may_go_somewhere(board: &Board<'_>, vm: usize) -> bool {
    let (home, declined) = (board.vms[vm].node, &board.vms[vm].declined);
    let open = |node: usize| node != home && board.nodes[node].target.is_ok() && !declined.contains(&node);
    declined.is_empty() || (0..board.nodes.len()).any(open)
}
