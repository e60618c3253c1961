//! A set of moves as a whole, without their order: what every node holds once all are done, kept up by small sums.
//!
//! A node that receives must end within its ceilings; a node that only gives may stay over. In which order the moves
//! can run is asked in `order`.

use super::pool::{Move, Pool};
use crate::planner::{
    amounts::Amounts,
    board::Board,
    step::{Purpose, Step},
};

/// The state of a search.
#[derive(Clone)]
pub(super) struct Flow<'a, 'b> {
    pub board: &'a Board<'b>,
    pub pool: &'a Pool,
    pub moves: Vec<Move>,
    pub used: Vec<Amounts>,
    pub cost: f64,
    /// How many VMs of each slot are on their way.
    pub taken: Vec<u32>,
    count: Vec<i64>,
    pub arrivals: Vec<u32>,
    in_group: Vec<u32>,
}

impl<'a, 'b> Flow<'a, 'b> {
    pub(super) fn new(board: &'a Board<'b>, pool: &'a Pool) -> Self {
        let mut in_group = vec![0; board.nodes.len() * board.groups];
        for vm in &board.vms {
            for group in &vm.groups {
                in_group[vm.node * board.groups + usize::from(*group)] += 1;
            }
        }
        Self {
            board,
            pool,
            moves: Vec::new(),
            used: board.nodes.iter().map(|node| node.start).collect(),
            cost: 0.0,
            taken: vec![0; pool.slots.len()],
            count: board.nodes.iter().map(|node| node.start_count).collect(),
            arrivals: vec![0; board.nodes.len()],
            in_group,
        }
    }

    /// How many single moves there are to choose from, at most.
    pub(super) fn choices(&self) -> usize {
        self.pool.slots.len() * self.board.nodes.len()
    }

    pub(super) fn available(&self, slot: usize) -> bool {
        (self.taken[slot] as usize) < self.pool.slots[slot].vms.len()
    }

    /// Tells whether a VM of the slot may end on the target.
    pub(super) fn fits(&self, slot: usize, target: usize) -> bool {
        self.may_meet(slot, target) && self.holds(slot, target)
    }

    /// Tells whether the target is open to VMs from the slot's node, full or not.
    pub(super) fn may_meet(&self, slot: usize, target: usize) -> bool {
        let source = self.pool.slots[slot].node;
        let class = self.pool.class(slot);
        let barrier = || self.board.barrier(class.needs, class.needs_same_cpu, source, target);
        source != target
            && self.board.nodes[target].target.is_ok()
            && !class.declined.contains(&target)
            && barrier().is_none()
    }

    /// Tells whether a node has room for one more VM of the slot.
    pub(super) fn holds(&self, slot: usize, node: usize) -> bool {
        let used = self.used[node] + self.needs_on(slot, node);
        !self.board.nodes[node].is_overfilled(&used) && self.seats(slot, node)
    }

    /// What a VM of the slot adds to a node.
    pub(super) fn needs_on(&self, slot: usize, node: usize) -> Amounts {
        let needs = self.pool.class(slot).needs;
        if node == self.pool.slots[slot].node { needs.as_at_home() } else { needs }
    }

    /// Tells whether a node has room for one more VM of the slot as far as numbers and anti-affinity go.
    pub(super) fn seats(&self, slot: usize, node: usize) -> bool {
        !self.board.nodes[node].room.is_reached_by(self.count[node]) && self.is_apart(slot, node)
    }

    /// Tells whether nobody of the slot's anti-affinity groups is on a node.
    pub(super) fn is_apart(&self, slot: usize, node: usize) -> bool {
        let alone = |g: &u16| self.in_group[node * self.board.groups + usize::from(*g)] == 0;
        self.pool.class(slot).groups.iter().all(alone)
    }

    /// Tells whether the VM of a move may stay at home after all.
    pub(super) fn may_return(&self, index: usize) -> bool {
        let Move { slot, .. } = self.moves[index];
        let source = self.pool.slots[slot].node;
        self.arrivals[source] == 0 || self.holds(slot, source)
    }

    /// Tells whether a VM that was just put on a node may be there beside what arrived.
    pub(super) fn may_stay(&self, slot: usize, node: usize, fullness_counts: bool) -> bool {
        let facts = &self.board.nodes[node];
        let alone = |g: &u16| self.in_group[node * self.board.groups + usize::from(*g)] <= 1;
        self.arrivals[node] == 0
            || (!facts.room.is_exceeded_by(self.count[node])
                && self.pool.class(slot).groups.iter().all(alone)
                && (!fullness_counts || !facts.is_overfilled(&self.used[node])))
    }

    pub(super) fn add(&mut self, mv: Move) {
        let source = self.pool.slots[mv.slot].node;
        self.shift(mv.slot, source, mv.target);
        self.taken[mv.slot] += 1;
        self.arrivals[mv.target] += 1;
        self.cost += self.pool.class(mv.slot).cost;
        self.moves.push(mv);
    }

    /// Takes a move back; the last one takes its place in the list.
    pub(super) fn remove(&mut self, index: usize) -> Move {
        let mv = self.moves.swap_remove(index);
        let source = self.pool.slots[mv.slot].node;
        self.shift(mv.slot, mv.target, source);
        self.taken[mv.slot] -= 1;
        self.arrivals[mv.target] -= 1;
        self.cost -= self.pool.class(mv.slot).cost;
        mv
    }

    fn shift(&mut self, slot: usize, from: usize, to: usize) {
        let class = &self.pool.classes[self.pool.slots[slot].class];
        self.used[from] = self.used[from] - self.needs_on(slot, from);
        self.used[to] = self.used[to] + self.needs_on(slot, to);
        self.count[from] -= 1;
        self.count[to] += 1;
        for group in &class.groups {
            self.in_group[from * self.board.groups + usize::from(*group)] -= 1;
            self.in_group[to * self.board.groups + usize::from(*group)] += 1;
        }
    }

    /// By how much a node is above its ceilings, if it receives.
    pub(super) fn overfill(&self, node: usize, used: &Amounts, arrivals: u32) -> f64 {
        if arrivals > 0 { self.board.nodes[node].overfill(used) } else { 0.0 }
    }

    /// Tells whether every node that receives ends within its ceilings.
    pub(super) fn is_sound(&self) -> bool {
        let receives = |n: &usize| self.arrivals[*n] > 0;
        (0..self.used.len()).filter(receives).all(|n| !self.board.nodes[n].is_overfilled(&self.used[n]))
    }

    /// Takes moves back, the largest first, until no target is overfilled.
    pub(super) fn make_sound(&mut self) {
        let overfilled = |flow: &Self, node: usize| {
            flow.arrivals[node] > 0 && flow.board.nodes[node].is_overfilled(&flow.used[node])
        };
        while let Some(node) = (0..self.used.len()).find(|node| overfilled(self, *node)) {
            let cost = |index: &usize| self.pool.class(self.moves[*index].slot).cost;
            let arrived = (0..self.moves.len()).filter(|index| self.moves[*index].target == node);
            let Some(index) = arrived.max_by(|a, b| cost(a).total_cmp(&cost(b))) else { break };
            self.remove(index);
        }
    }

    /// The overload that is left.
    pub(super) fn overload(&self) -> f64 {
        self.board.nodes.iter().zip(&self.used).map(|(node, used)| node.overload(used)).sum()
    }

    /// The overload that is left on one node.
    pub(super) fn overload_of(&self, node: usize) -> f64 {
        self.board.nodes[node].overload(&self.used[node])
    }
}

/// Names the VMs of a set of moves.
pub(super) fn concrete(flow: &Flow<'_, '_>, even: bool) -> Vec<Step> {
    let mut next = vec![0; flow.pool.slots.len()];
    let mut moves = flow.moves.clone();
    moves.sort_by_key(|mv| (mv.slot, mv.target));
    let is_over = |node: usize| flow.board.nodes[node].is_over(&flow.board.nodes[node].start);
    let named = moves.iter().map(|mv| {
        let slot = &flow.pool.slots[mv.slot];
        let vm = slot.vms[next[mv.slot]];
        next[mv.slot] += 1;
        let purpose = match is_over(slot.node) {
            true => Purpose::Relieve,
            false if even => Purpose::Level,
            false => Purpose::MakeRoom,
        };
        Step { vm, target: mv.target, purpose }
    });
    named.collect()
}
