//! What a live migration asks of its nodes. Every answer that is about one names each condition that is not met.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::process::Command;
use vm_balancer::{
    model::{Mib, NodeId},
    sandbox::{
        telegram::{OPERATOR, VIEWER},
        vmmanager::{SimNode, World},
    },
};

use crate::{
    conversation::{Setup, environment},
    transcripts::{LANGUAGES, Talk},
    worlds::crowded,
};

/// A condition, the word that everybody says of it in English, the node that it shows on, and what brings it about.
type Condition = (&'static str, &'static str, &'static str, fn(&mut World));

const CONDITIONS: [Condition; 9] = [
    ("the only neighbour has a newer kernel", "kernel", "kvm-02", |world| {
        neighbour(world).kernel_version = "6.12.0-55.el10.x86_64".into();
    }),
    ("it has a system of another family", "family", "kvm-02", |world| {
        neighbour(world).os_version = "Debian 12".into();
    }),
    ("its QEMU is older than live migration", "qemu", "kvm-02", |world| {
        neighbour(world).qemu_version = "1.5.3".into();
    }),
    ("libvirt does not answer there", "libvirt", "kvm-02", |world| {
        neighbour(world).libvirt_error = "Failed to connect socket".into();
    }),
    ("it has lost its HA cluster", "high-availability", "kvm-02", |world| {
        neighbour(world).ha_error = "quorum_lost".into();
    }),
    ("it has 5 GiB of local disk for disks of 40", "disk", "kvm-02", |world| {
        neighbour(world).disk_free = Mib(5 * 1024);
    }),
    ("its 8 cores are too few for 32 vCPUs", "cores", "kvm-02", |world| {
        neighbour(world).cores = 8;
        world.vms.values_mut().for_each(|vm| vm.cores = 32);
    }),
    ("the VMs virtualize themselves", "nested", "kvm-01", |world| {
        world.vms.values_mut().for_each(|vm| vm.nesting = true);
    }),
    ("the VMs see the node's CPU", "host-passthrough", "kvm-01", |world| {
        world.vms.values_mut().for_each(|vm| vm.cpu_mode = "host-passthrough".into());
    }),
];

#[tokio::test]
async fn plans_their_json_a_vm_and_a_node_name_each_condition() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, crowded(), Setup::default()).await;
        for (what, word, node, change) in CONDITIONS {
            talk.line(&format!("— {what} —"));
            talk.bot.sim.edit(|world| {
                *world = crowded();
                change(world);
            });
            talk.bot.minutes_pass(10);
            // Questions are answered from the last picture, and a plan looks by itself.
            let plan = talk.ask(OPERATOR, "/balance 1").await;
            let vm = talk.ask(VIEWER, "/vm web-1").await;
            let node = talk.ask(VIEWER, &format!("/node {node}")).await;
            if lang == LANGUAGES[0] {
                let json = reasons_in_json(&talk).await;
                talk.line(&format!("plan --json: {json}"));
                for said in [plan.text(), vm.text(), node.text(), &json] {
                    assert!(said.to_lowercase().contains(word), "{what}: {word} is not in {said}");
                }
            }
        }
        talk.shows("what_a_live_migration_asks_of_its_nodes");
    }
}

fn neighbour(world: &mut World) -> &mut SimNode {
    world.nodes.get_mut(&NodeId(11)).unwrap()
}

/// What the plan of the command line gives as reasons: risks, nodes that stay overloaded, and VMs that stay.
async fn reasons_in_json(talk: &Talk) -> String {
    let dir = tempfile::TempDir::new().unwrap();
    let bot = &talk.bot;
    let mut program = Command::new(env!("CARGO_BIN_EXE_vm-balancer"));
    program.args(["plan", "--json"]).current_dir(dir.path()).env_clear();
    program.envs(environment(&bot.sim, &bot.telegram, dir.path(), bot.home));
    let output = program.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plan = &plan["clusters"][0];
    let rows = |of: &Value| of.as_array().unwrap().clone();
    let cautions = rows(&plan["migrations"]).into_iter().flat_map(|step| match &step["cautions"] {
        Value::Array(cautions) => cautions.clone(),
        _ => Vec::new(),
    });
    let others = ["still_overloaded", "skipped"].into_iter().flat_map(|of| rows(&plan[of]));
    let others = others.map(|of| of["why"].clone());
    let reasons: BTreeSet<_> = cautions.chain(others).map(|why| why.as_str().unwrap().to_owned()).collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}
