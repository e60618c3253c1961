//! The platforms that scenarios begin with. A node has 16 cores and 64 GiB where nothing else is said, so six VMs of
//! 8 GiB are one too many for it.

use vm_balancer::sandbox::vmmanager::{SimNode, SimVm, World, WorldBuilder};

/// Two nodes that each need one VM moved away, and room for them.
pub fn two_overloaded() -> World {
    two_overloaded_and().build()
}

/// [`two_overloaded`], and a node with one VM that nothing asks to move.
pub fn overloaded_beside_a_small_one() -> World {
    two_overloaded_and().node(node("kvm-05")).vms(1, &vm("dns", 1)).build()
}

fn two_overloaded_and() -> WorldBuilder {
    msk()
        .node(node("kvm-01"))
        .vms(6, &vm("web", 8))
        .node(node("kvm-02"))
        .vms(6, &vm("db", 8))
        .node(node("kvm-03"))
        .node(node("kvm-04"))
}

/// A node that needs one VM moved away, one that is 1.25 points below its memory threshold, and room for both.
pub fn one_over_and_one_near() -> World {
    one_near_and().node(node("kvm-04")).vms(6, &vm("db", 8)).build()
}

/// A node that is 1.25 points below its memory threshold, and room.
pub fn one_near() -> World {
    one_near_and().build()
}

fn one_near_and() -> WorldBuilder {
    msk().node(node("kvm-01")).vms(11, &vm("web", 4)).node(node("kvm-02")).node(node("kvm-03"))
}

/// Two clusters, and in each a node that needs one VM moved away.
pub fn two_clusters() -> World {
    msk()
        .node(node("kvm-01"))
        .vms(6, &vm("web", 8))
        .node(node("kvm-02"))
        .cluster("spb")
        .node(node("neva-01"))
        .vms(6, &vm("db", 8))
        .node(node("neva-02"))
        .build()
}

/// Three nodes that each need four VMs moved away, and room for them.
pub fn many_overloaded() -> World {
    let full = ["alpha", "beta", "gamma"].into_iter().fold(msk(), |world, name| {
        world.node(large(&format!("kvm-{name}"))).vms(15, &vm(&format!("customer-{name}-storefront"), 4))
    });
    (1..=3).fold(full, |world, number| world.node(large(&format!("kvm-free-{number}")))).build()
}

/// Ten nodes that each need four VMs moved away, one that needs three, and room for them.
pub fn of_43_steps() -> World {
    let full = (1..=10)
        .fold(msk(), |world, number| world.node(large(&format!("kvm-{number:02}"))).vms(15, &vm("web", 4)));
    let full = full.node(large("kvm-11")).vms(14, &vm("web", 4));
    (1..=5).fold(full, |world, number| world.node(large(&format!("free-{number}")))).build()
}

/// Five nodes that each need one VM moved away, and five that take them.
pub fn five_pairs() -> World {
    let full = (1..=5)
        .fold(msk(), |world, number| world.node(node(&format!("kvm-0{number}"))).vms(6, &vm("web", 8)));
    (1..=5).fold(full, |world, number| world.node(node(&format!("free-{number}")))).build()
}

/// Three nodes that must give one VM each, and three empty ones.
pub fn three_full_nodes() -> World {
    let web = vm("web", 8).cores(2);
    let full = (1..=3).fold(msk(), |world, number| world.node(node(&format!("kvm-0{number}"))).vms(6, &web));
    (4..=6).fold(full, |world, number| world.node(node(&format!("kvm-0{number}")))).build()
}

/// `count` nodes that must give one VM each, and as many that have room for one.
pub fn pairs(count: usize) -> World {
    let web = vm("web", 8).cores(2);
    let full =
        (0..count).fold(msk(), |world, number| world.node(node(&format!("full-{number}"))).vms(6, &web));
    (0..count).fold(full, |world, number| world.node(node(&format!("empty-{number}")).gib(12))).build()
}

/// A node of which one VM must go, and its only neighbour, which is empty.
pub fn crowded() -> World {
    msk().node(large("kvm-01")).vms(6, &vm("web", 8).cores(2)).node(large("kvm-02")).build()
}

/// A node with one VM that may move away, and two that have room.
pub fn only_one_to_move() -> World {
    msk()
        .node(node("kvm-01"))
        .vm(vm("web", 8).cores(2))
        .vms(2, &vm("held", 20).cores(2).with_snapshots(1))
        .node(node("kvm-02"))
        .node(node("kvm-03"))
        .build()
}

/// Two nodes with room to spare.
pub fn quiet() -> World {
    msk().node(node("kvm-01")).vms(2, &SimVm::new("web")).node(node("kvm-02")).build()
}

/// Three nodes with room to spare.
pub fn roomy() -> World {
    msk()
        .node(node("kvm-01"))
        .vms(2, &vm("web", 8))
        .node(node("kvm-02"))
        .vms(1, &vm("db", 8))
        .node(node("kvm-03"))
        .build()
}

/// A full node, and one that is to be emptied.
pub fn uneven() -> World {
    msk().node(node("kvm-01")).vms(4, &vm("web", 8)).node(node("kvm-02")).vms(1, &vm("db", 8)).build()
}

/// Three nodes to work on, one of them with a VM that cannot be moved, and room for their VMs.
pub fn three_to_maintain() -> World {
    msk()
        .node(node("kvm-01"))
        .vms(2, &vm("web", 8))
        .node(node("kvm-02"))
        .vms(1, &vm("db", 8))
        .vms(1, &vm("cd", 4).with_iso())
        .node(node("kvm-03"))
        .vms(1, &vm("mail", 16))
        .node(node("kvm-04"))
        .build()
}

/// Two nodes that no other has room for, and two small ones.
pub fn full() -> World {
    let small = |name: &str| SimNode::new(name).cores(8).gib(16);
    msk()
        .node(node("kvm-01"))
        .vms(5, &vm("web", 8))
        .node(node("kvm-02"))
        .vms(5, &vm("db", 8))
        .node(small("kvm-03"))
        .vms(1, &vm("mail", 2))
        .node(small("kvm-04"))
        .build()
}

fn msk() -> WorldBuilder {
    World::builder().cluster("msk")
}

pub fn node(name: &str) -> SimNode {
    SimNode::new(name).cores(16).gib(64)
}

fn large(name: &str) -> SimNode {
    node(name).cores(64)
}

pub fn vm(name: &str, gib: u64) -> SimVm {
    SimVm::new(name).gib(gib)
}
