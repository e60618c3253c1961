//! Which steps of a plan may begin while others run.

use super::plan::{Migration, MoveWhy};

/// Returns the waiting steps that may begin now, in the order of the plan, with at most `most` running together.
///
/// No two that run share a node. A waiting step is overtaken by a later one unless that one needs what it does.
#[must_use]
pub fn startable<'a>(waiting: &[&'a Migration], running: &[&Migration], most: usize) -> Vec<&'a Migration> {
    let mut begun: Vec<&Migration> = Vec::new();
    let places = most.saturating_sub(running.len());
    for (index, step) in waiting.iter().enumerate() {
        if begun.len() >= places {
            break;
        }
        let runs = |other: &&&Migration| begun.iter().any(|begun| begun.step == other.step);
        let mut overtaken = waiting[..index].iter().filter(|other| !runs(other));
        let is_free = running.iter().chain(&begun).all(|other| !share_a_node(other, step));
        if is_free && overtaken.all(|earlier| !needs(step, earlier)) {
            begun.push(step);
        }
    }
    begun
}

/// Tells whether a step may count on an earlier one: that one moves the same VM, or takes a VM off its target. Two that
/// fill one target, or leave one source, may change places, for the ceilings hold once both are done. Evening out is
/// weighed step by step, so there the order counts wherever nodes are shared.
fn needs(step: &Migration, earlier: &Migration) -> bool {
    let evens = |one: &Migration| matches!(one.why, MoveWhy::Level { .. });
    let makes_room = earlier.vm == step.vm || earlier.source == step.target;
    makes_room || (evens(step) || evens(earlier)) && share_a_node(step, earlier)
}

fn share_a_node(one: &Migration, other: &Migration) -> bool {
    [one.source, one.target].iter().any(|node| *node == other.source || *node == other.target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mib, NodeId, VmId};
    use crate::planner::{Fullness, NodeChange};

    #[test]
    fn a_step_overtakes_one_that_waits_for_a_node_unless_it_needs_what_that_one_does() {
        let relief = |step, source, target| migration(step, source, target, MoveWhy::Drain);
        let begun = |waiting: &[Migration], running: &[Migration], most| {
            let (waiting, running): (Vec<_>, Vec<_>) = (waiting.iter().collect(), running.iter().collect());
            startable(&waiting, &running, most).iter().map(|step| step.step).collect::<Vec<_>>()
        };
        let running = [relief(1, 10, 20)];
        // 2 waits for node 10; 3 goes to its target, which has room for both in the end.
        assert_eq!(begun(&[relief(2, 10, 21), relief(3, 11, 21)], &running, 2), [3]);
        // 3 leaves what 2 waits to fill.
        assert_eq!(begun(&[relief(2, 10, 21), relief(3, 21, 22)], &running, 2), [3]);
        // 2 makes the room that 3 needs.
        assert_eq!(begun(&[relief(2, 21, 10), relief(3, 11, 21)], &running, 2), [0; 0]);
        // A running one is never joined, whatever is needed, and there are no more places.
        assert_eq!(begun(&[relief(2, 11, 20)], &running, 2), [0; 0]);
        assert_eq!(begun(&[relief(2, 11, 21), relief(3, 12, 22)], &running, 2), [2]);
        assert_eq!(begun(&[relief(2, 11, 21), relief(3, 12, 21), relief(4, 13, 22)], &running, 4), [2, 4]);
    }

    #[test]
    fn a_vm_goes_its_way_in_order_and_evening_out_keeps_its_order() {
        let to_a_third = migration(2, 10, 21, MoveWhy::Drain);
        let onward = Migration { vm: to_a_third.vm, ..migration(3, 21, 22, MoveWhy::Drain) };
        let running = migration(1, 10, 20, MoveWhy::Drain);
        assert_eq!(startable(&[&to_a_third, &onward], &[&running], 2), Vec::<&Migration>::new());
        let even = MoveWhy::Level { imbalance_before: 0.2, imbalance_after: 0.1 };
        let [first, second] = [(2, 10), (3, 11)].map(|(step, from)| migration(step, from, 21, even.clone()));
        assert_eq!(startable(&[&first, &second], &[&running], 2), Vec::<&Migration>::new());
    }

    fn migration(step: u32, source: u64, target: u64, why: MoveWhy) -> Migration {
        let full = Fullness { cpu: 1.0, load: None, memory_percent: 50.0 };
        let state = NodeChange { before: full, after: full };
        Migration {
            step,
            wave: step,
            vm: VmId(u64::from(step)),
            vm_name: format!("vm-{step}"),
            source: NodeId(source),
            source_name: format!("node-{source}"),
            target: NodeId(target),
            target_name: format!("node-{target}"),
            vcpus: 1,
            ram: Mib(1024),
            disk: None,
            why,
            cautions: Vec::new(),
            runner_up: None,
            source_state: state,
            target_state: state,
        }
    }
}
