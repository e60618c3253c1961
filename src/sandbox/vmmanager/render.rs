//! The world as JSON, in the words of three kinds of servers.
//!
//! Written as text, row by row: a list of 50,000 VMs is asked for again and again.

use std::{fmt::Write, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    engine::{Entry, Task},
    filter::Field,
    world::{SimCluster, SimNode, SimVm, World},
};

/// Which kind of server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As live servers of 2024 and later are known to answer.
    #[default]
    Current,
    /// As the schema of July 2022 has it: other names, no maintenance mode, tasks by id flat.
    Old,
    /// The same facts, with numbers as words, references as numbers, nulls, and neither `size` nor order.
    Messy,
}

/// Something that is a row of a list.
pub(super) trait Listable {
    /// For filters and order; `None` for a field that rows of this kind do not have.
    fn field(&self, name: &str) -> Option<Field<'_>>;
    /// Appends the row as JSON.
    fn write(&self, world: &World, profile: Profile, out: &mut String);
}

impl Listable for SimCluster {
    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Number(self.id.0),
            "name" => Field::Text(&self.name),
            "virtualization_type" => Field::Text(&self.virtualization),
            _ => return None,
        })
    }

    fn write(&self, world: &World, profile: Profile, out: &mut String) {
        let Self { id, name, virtualization, storage, builtin_balancer } = self;
        let (name, virtualization, storage) = (quoted(name), quoted(virtualization), quoted(storage));
        let nodes: Vec<_> = world.nodes.values().filter(|node| node.cluster == *id).collect();
        let (count, hosts) = (nodes.len(), nodes.iter().map(|node| node.vm_count).sum::<u32>());
        let (cores, vcpus) =
            nodes.iter().fold((0, 0), |sum, node| (sum.0 + node.cores, sum.1 + node.vcpus_used));
        let memory: u64 = nodes.iter().map(|node| node.memory.0).sum();
        let used: u64 = nodes.iter().map(|node| node.memory_used.0).sum();
        written(match profile {
            Profile::Current | Profile::Old => write!(
                out,
                r#"{{"id":{id},"name":{name},"comment":"","virtualization_type":{virtualization},"datacenter_type":"common","state":"active","node_count":{count},"host_count":{hosts},"host_per_node_limit":0,"host_distribution_policy":"spread","host_filter":[],"overselling":1.5,"balancer_enabled":{builtin_balancer},"cpu_number":{{"total":{cores},"used":{vcpus}}},"ram_mib":{{"total":{memory},"used":{used}}},"storages":[{{"id":4,"name":"main","type":{storage},"enabled":true,"is_main":true,"tags":[]}}],"storage":{{"id":4,"name":"main","type":{storage}}},"ippools":[{{"id":11}}]}}"#
            ),
            Profile::Messy => write!(
                out,
                r#"{{"id":"{id}","name":{name},"comment":null,"virtualization_type":{virtualization},"overselling":"1.5","balancer_enabled":"{builtin_balancer}","cpu_number":"{cores}","ram_mib":null,"storages":null,"storage":{{"id":"4","type":{storage}}}}}"#
            ),
        });
    }
}

impl Listable for SimNode {
    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Number(self.id.0),
            "name" => Field::Text(&self.name),
            "state" => Field::Text(&self.state),
            "cluster" | "cluster.id" => Field::Number(self.cluster.0),
            _ => return None,
        })
    }

    fn write(&self, world: &World, profile: Profile, out: &mut String) {
        let Self {
            id, cluster, cores, vcpus_used, vm_count, maintenance, creation_blocked, ssh_port, ..
        } = self;
        let (memory, used) = (self.memory.0, self.memory_used.0);
        let (name, state, ip) = (quoted(&self.name), quoted(&self.state), quoted(&self.address));
        let qemu = quoted(&self.qemu_version);
        let (kernel, os) = (quoted(&self.kernel_version), quoted(&self.os_version));
        let (libvirt_error, ha_error) = (quoted(&self.libvirt_error), quoted(&self.ha_error));
        let (disk_free, disk_used) = (self.disk_free.0, 7_340_032_u64.saturating_sub(self.disk_free.0));
        let limit = self.vm_limit.map_or(0, i64::from);
        let of = world.clusters.get(cluster);
        let cluster_name = quoted(of.map_or("", |cluster| &cluster.name));
        let kind = quoted(of.map_or("kvm", |cluster| &cluster.virtualization));
        written(match profile {
            Profile::Current => write!(
                out,
                r#"{{"id":{id},"name":{name},"ip":{ip},"ipv6":null,"port":{ssh_port},"ssh_user":"root","cluster":{{"id":{cluster},"name":{cluster_name},"virtualization_type":{kind}}},"state":{state},"comment":"","cpu":{{"number":{cores},"used":{vcpus_used}}},"ram_mib":{{"total":{memory},"allocated":{used}}},"storage":{{"size_mib":7340032,"available_mib":{disk_free},"used_mib":5240032,"allocated_mib":6000000}},"vm":{{"total":{vm_count},"active":{vm_count},"stopped":0,"crashed":0,"estimated":{vm_count}}},"host_limit":{limit},"host_filter":[],"host_creation_blocked":{creation_blocked},"maintenance_mode":{maintenance},"qemu_version":{qemu},"kernel_version":{kernel},"os_version":{os},"libvirt_error":{libvirt_error},"ha_state":"disabled","ha_error":{ha_error},"bird_error":"","frr_error":null}}"#
            ),
            Profile::Old => write!(
                out,
                r#"{{"id":{id},"name":{name},"cluster":{{"id":{cluster},"name":{cluster_name},"data_center":"","time_zone":"UTC"}},"ip":{ip},"ssh_port":{ssh_port},"state":{state},"cpu_number":{cores},"ram_mib":{{"total":{memory},"used":{used}}},"storage_mib":{{"total":7340032,"used":{disk_used}}},"host_count":{vm_count},"host_limit":{limit},"host_creation_blocked":{creation_blocked},"libvirt_error":{libvirt_error},"host_filter":[],"overselling":1,"interfaces":[],"qemu_version":{qemu},"comment":""}}"#
            ),
            Profile::Messy => write!(
                out,
                r#"{{"id":"{id}","name":{name},"ip":null,"ip_addr":{ip},"port":"{ssh_port}","cluster":{cluster},"state":{state},"cpu":{{"number":"{cores}","used":{vcpus_used}.0}},"ram_mib":{{"total":"{memory}","allocated":{used}.0}},"vm":null,"host_count":"{vm_count}","host_limit":{messy_limit},"host_creation_blocked":{blocked},"maintenance":"{maintenance}","qemu_version":{qemu},"kernel_version":{kernel},"os_version":{os},"storage":{{"available_mib":"{disk_free}.0"}},"libvirt_error":{libvirt_error},"ha_error":{ha_error},"unheard_of":[{{"a":[1,2]}}]}}"#,
                messy_limit = if limit == 0 { "-1".to_owned() } else { format!("\"{limit}\"") },
                blocked = u8::from(*creation_blocked),
            ),
        });
    }
}

impl Listable for SimVm {
    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Number(self.id.0),
            "name" => Field::Text(&self.name),
            "state" => Field::Text(&self.state),
            "node" | "node.id" => Field::Number(self.node.0),
            _ => return None,
        })
    }

    fn write(&self, world: &World, profile: Profile, out: &mut String) {
        let Self {
            id,
            node,
            cores,
            iso_mounted: iso,
            snapshots,
            rescue_mode: rescue,
            vm5_restricted: vm5,
            nesting,
            ..
        } = self;
        let (memory, disk) = (self.memory.0, self.disk.0);
        let (name, state) = (quoted(&self.name), quoted(&self.state));
        let (balancer, cpu_mode) = (quoted(&self.balancer_mode), quoted(&self.cpu_mode));
        let on = world.nodes.get(node);
        let (node_name, node_ip) =
            (quoted(on.map_or("", |n| &n.name)), quoted(on.map_or("", |n| &n.address)));
        let maintenance = on.is_some_and(|node| node.maintenance);
        let cluster = on.map_or(0, |node| node.cluster.0);
        let cluster_name = quoted(world.cluster_of(self).map_or("", |cluster| &cluster.name));
        written(match profile {
            Profile::Current => write!(
                out,
                r#"{{"id":{id},"name":{name},"domain":"vm{id}.example.com","state":{state},"node":{{"id":{node},"name":{node_name},"ip_addr":{node_ip},"live_migration_allowed":true,"maintenance_mode":{maintenance},"hot_plug_memory":true}},"cluster":{{"id":{cluster},"name":{cluster_name}}},"account":{{"id":3,"email":"owner@example.com"}},"comment":"","tags":[],"cpu_number":{cores},"cpu_number_new":0,"ram_mib":{memory},"ram_mib_new":0,"disk":{{"id":{id},"disk_mib":{disk},"disk_mib_new":0}},"disk_count":1,"snapshot_count":{snapshots},"snapshot_limit":5,"snapshots_allowed":true,"iso_mounted":{iso},"rescue_mode":{rescue},"balancer_mode":{balancer},"cpu_mode":{cpu_mode},"nesting":{nesting},"disabled":false,"linked_clone_image":null,"vm5_restrictions":{{"net_iface_count":{vm5},"nat_or_extra":false,"ipv6":false,"unsupported_storage":false,"iso":false,"snapshot":false}},"ip4":[{{"ip":"198.51.100.7","interface":"eth0"}}],"ip6":[],"os_name":"Debian 12","os_group":"debian","uptime":1209600}}"#
            ),
            // Without `balancer_mode`, which came later: every VM may be moved.
            Profile::Old => write!(
                out,
                r#"{{"id":{id},"name":{name},"domain":"vm{id}.example.com","state":{state},"node":{{"id":{node},"name":{node_name},"ip_addr":{node_ip},"maintenance_mode":{maintenance}}},"cluster":{{"id":{cluster},"name":{cluster_name},"datacenter_type":"common"}},"account":{{"id":3,"email":"owner@example.com"}},"comment":"","tags":[],"cpu_number":{cores},"ram_mib":{memory},"disk":{{"id":{id},"disk_mib":{disk}}},"disk_count":1,"snapshot_count":{snapshots},"iso_mounted":{iso},"rescue_mode":{rescue},"cpu_mode":{cpu_mode},"vm5_restrictions":{{"net_iface_count":{vm5}}},"ip4":[]}}"#
            ),
            Profile::Messy => write!(
                out,
                r#"{{"id":"{id}","name":{name},"state":{state},"node":"{node}","cluster":null,"account":null,"comment":null,"tags":[1,"x",{{"id":2}}],"cpu_number":"{cores}","ram_mib":{memory}.0,"disk":{{"disk_mib":"{disk}"}},"snapshot_count":"{snapshots}","iso_mounted":{iso},"rescue_mode":"{rescue}","balancer_mode":{balancer},"cpu_mode":{cpu_mode},"vm5_restrictions":{vm5},"vxlan":[],"ip4":null}}"#,
                iso = u8::from(*iso),
                vm5 = if *vm5 { r#"{"iso":"1"}"# } else { "null" },
            ),
        });
    }
}

/// A task as the list has it.
pub(super) struct TaskRow<'a> {
    pub task: &'a Task,
    pub now: Duration,
}

impl Listable for TaskRow<'_> {
    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Number(self.task.seen.id),
            "consul_id" => Field::Number(self.task.seen.consul_id),
            "name" => Field::Text(&self.task.seen.name),
            "status" => Field::Text(&self.task.seen.status),
            _ => return None,
        })
    }

    fn write(&self, _world: &World, profile: Profile, out: &mut String) {
        let Task { seen, defer_reason, says_vm, accepted, started, ended, .. } = self.task;
        let (id, consul) = (seen.id, seen.consul_id);
        let until = ended.unwrap_or(self.now);
        let running = started.map(|started| until.saturating_sub(started).as_secs());
        let running = running.map_or("null".to_owned(), |seconds| seconds.to_string());
        let waiting = started.unwrap_or(self.now).saturating_sub(*accepted).as_secs();
        let (output, reason) = (quoted(&seen.output), quoted(defer_reason.as_deref().unwrap_or("")));
        let host = if *says_vm { format!(r#","host":{{"id":{}}}"#, seen.vm) } else { String::new() };
        let (status, name) = (quoted(&seen.status), quoted(&seen.name));
        written(match profile {
            Profile::Current | Profile::Old => write!(
                out,
                r#"{{"id":{id},"consul_id":{consul},"name":{name},"status":{status},"running_time":{running},"waiting_time":{waiting},"defer_reason":{reason},"output":{output}{host}}}"#
            ),
            Profile::Messy => write!(
                out,
                r#"{{"id":"{id}","consul_id":"{consul}","name":{name},"status":{status},"running_time":{running},"output":{{"content":{output}}}{host}}}"#,
                // The other word for it, in other letters.
                status = if seen.status == "failed" { r#""Fail""#.to_owned() } else { quoted(&seen.status) },
            ),
        });
    }
}

/// One task as the request by id has it: wrapped, and flat on old servers.
pub(super) fn single_task(row: &TaskRow<'_>, world: &World, profile: Profile) -> String {
    let mut text = String::new();
    row.write(world, profile, &mut text);
    match profile {
        Profile::Current | Profile::Messy => format!(r#"{{"task":{text}}}"#),
        Profile::Old => text,
    }
}

/// A node by id: without what belongs to it.
pub(super) fn single_node(node: &SimNode) -> String {
    let (name, state) = (quoted(&node.name), quoted(&node.state));
    let (ip, qemu) = (quoted(&node.address), quoted(&node.qemu_version));
    let SimNode { id, cluster, .. } = node;
    format!(
        r#"{{"id":{id},"name":{name},"cluster":{cluster},"state":{state},"ip_addr":{ip},"qemu_version":{qemu}}}"#
    )
}

/// A VM by id: without what belongs to it.
pub(super) fn single_vm(vm: &SimVm) -> String {
    let (name, state, memory) = (quoted(&vm.name), quoted(&vm.state), vm.memory.0);
    let SimVm { id, node, cores, .. } = vm;
    format!(
        r#"{{"id":{id},"internal_name":"{id}_vm","node":{node},"name":{name},"state":{state},"cpu_number":{cores},"ram_mib":{memory},"expand_part":"","net_is_synced":true}}"#
    )
}

/// What was done with a VM; the newest entry first, where the server is messy.
pub(super) fn history(entries: &[Entry], profile: Profile) -> String {
    let rows: Vec<_> = entries.iter().map(|entry| history_row(entry, profile)).collect();
    let max = entries.iter().map(|entry| entry.id).max().unwrap_or(0);
    match profile {
        Profile::Current => format!(r#"{{"max_id":{max},"list":[{}]}}"#, rows.join(",")),
        Profile::Old => format!(r#"{{"list":[{}]}}"#, rows.join(",")),
        Profile::Messy => {
            let turned: Vec<_> = rows.into_iter().rev().collect();
            format!(r#"{{"max_id":"{max}","list":[{}],"size":null}}"#, turned.join(","))
        }
    }
}

fn history_row(entry: &Entry, profile: Profile) -> String {
    let Entry { id, task, name, user, state, at, .. } = entry;
    let (name, state, at) = (quoted(name), quoted(state), at.format("%Y-%m-%d %H:%M:%S"));
    match profile {
        Profile::Current => format!(
            r#"{{"id":{id},"task":{task},"name":{name},"state":{state},"date_create":"{at}","user":"{user}","params":{{}}}}"#
        ),
        // The schema of 2022 has neither ids nor tasks.
        Profile::Old => {
            format!(r#"{{"name":{name},"date_create":"{at}","state":{state},"params":{{}},"user":"{user}"}}"#)
        }
        Profile::Messy => format!(
            r#"{{"id":"{id}","task":"{task}","name":{name},"state":{state},"date_create":"{at}","user":"{user}","params":null}}"#
        ),
    }
}

/// The targets that the server itself offers for a VM.
pub(super) fn migrate_form(
    world: &World,
    vm: &SimVm,
    says_no: impl Fn(crate::model::NodeId) -> bool,
) -> String {
    let cluster = world.nodes.get(&vm.node).map(|node| node.cluster);
    let others = world.nodes.values().filter(|node| Some(node.cluster) == cluster && node.id != vm.node);
    let rows: Vec<_> = others.map(|node| form_row(node, vm, says_no(node.id))).collect();
    format!(r#"{{"nodes":[{}]}}"#, rows.join(","))
}

fn form_row(node: &SimNode, vm: &SimVm, says_no: bool) -> String {
    let SimNode { id, vm_count, creation_blocked, maintenance, .. } = node;
    let unused = node.memory.saturating_sub(node.memory_used);
    let (name, state) = (quoted(&node.name), quoted(&node.state));
    let room = node.vm_limit.is_none_or(|limit| node.vm_count < limit);
    let suitable = !says_no && room && unused >= vm.memory && !maintenance && node.state == "active";
    let (unused, limit) = (unused.0, node.vm_limit.unwrap_or(0));
    format!(
        r#"{{"id":{id},"name":{name},"state":{state},"suitable":{suitable},"priority":1,"ram_mib":{{"unused":{unused}}},"host_count":{vm_count},"host_limit":{limit},"host_creation_blocked":{creation_blocked},"storage":{{"id":4,"name":"main","type":"file","available_mib":4100000}},"storages":[]}}"#
    )
}

/// The body of a list, with or without its size.
pub(super) fn list(rows: &str, size: usize, profile: Profile) -> String {
    match profile {
        Profile::Current | Profile::Old => {
            format!(r#"{{"last_notify":48211,"list":[{rows}],"size":{size}}}"#)
        }
        Profile::Messy => format!(r#"{{"last_notify":null,"list":[{rows}]}}"#),
    }
}

/// The body of an error.
pub(super) fn error(code: i64, msg: &str) -> String {
    format!(r#"{{"error":{{"code":{code},"msg":{}}}}}"#, quoted(msg))
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A node's row without its id.
pub(super) fn without_id(row: &str) -> String {
    row.replacen(r#""id":"#, r#""id":null,"lost_id":"#, 1)
}

/// Writing to a string does not fail.
fn written(result: std::fmt::Result) {
    debug_assert!(result.is_ok());
}

/// A node id that no world has.
#[cfg(test)]
const NOWHERE: crate::model::NodeId = crate::model::NodeId(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_profile_is_json() {
        let mut world = World::small();
        if let Some(vm) = world.vms.values_mut().next() {
            (vm.name, vm.node) = ("a \"quoted\" <b>имя</b>\n".into(), NOWHERE);
        }
        for profile in [Profile::Current, Profile::Old, Profile::Messy] {
            let mut rows: Vec<String> = Vec::new();
            let mut add = |row: &dyn Listable| {
                let mut text = String::new();
                row.write(&world, profile, &mut text);
                rows.push(text);
            };
            world.clusters.values().for_each(|row| add(row));
            world.nodes.values().for_each(|row| add(row));
            world.vms.values().for_each(|row| add(row));
            for row in rows {
                assert!(serde_json::from_str::<serde_json::Value>(&row).is_ok(), "{row}");
            }
        }
    }
}
