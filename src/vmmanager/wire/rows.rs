//! The rows of VMmanager's lists but those of VMs: clusters, nodes, tasks.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    guard::Guard,
    plain::{Mixed, Plain, plain},
};
use crate::{
    model::NodeState,
    vmmanager::task::{TaskInfo, TaskStatus},
};

/// Task outputs hold whole libvirt logs at times; a person reads a screenful.
const OUTPUT_CHARS_MAX: usize = 4000;

/// A reference to another object: its id, or the object.
pub(in crate::vmmanager) type Reference = Mixed<Named>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct Named {
    id: Plain,
    name: Plain,
    virtualization_type: Plain,
}

impl Reference {
    pub(crate) fn id(&self) -> Option<u64> {
        self.object.as_ref().map_or_else(|| self.plain.id(), |object| object.id.id())
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.object.as_ref()?.name.text()
    }

    pub(crate) fn virtualization(&self) -> Option<String> {
        self.object.as_ref()?.virtualization_type.text()
    }
}

/// Numbers that one version writes as an object and another as one number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct Amounts {
    pub number: Plain,
    pub total: Plain,
    pub used: Plain,
    pub allocated: Plain,
}

impl Mixed<Amounts> {
    /// Returns how many there are in all.
    pub(crate) fn amount(&self) -> Option<u64> {
        match &self.object {
            Some(object) => object.number.whole().or_else(|| object.total.whole()),
            None => self.plain.whole(),
        }
    }

    pub(crate) fn small_amount(&self) -> Option<u32> {
        self.amount().and_then(|number| u32::try_from(number).ok())
    }

    /// Returns how many of them are given away.
    pub(crate) fn used_count(&self) -> Option<u64> {
        let object = self.object.as_ref()?;
        object.allocated.whole().or_else(|| object.used.whole())
    }
}

/// What a list holds.
pub(in crate::vmmanager) trait Row: DeserializeOwned + Send + 'static {
    /// What is kept of a row once it is read, for as long as the list is.
    type Kept: Kept;

    fn into_kept(self) -> Self::Kept;

    /// Notes which fields could not be read.
    fn note_damage(&mut self, _fields: Vec<String>) {}
}

/// What is kept of a row.
pub(in crate::vmmanager) trait Kept: Send + 'static {
    fn id(&self) -> Option<u64>;

    /// Tells whether another row of the same id says something else that matters.
    fn contradicts(&self, _other: &Self) -> bool {
        false
    }

    /// Notes that nobody knows which of two rows is right.
    fn doubt(&mut self) {}
}

/// A row that is kept as it was read.
pub(in crate::vmmanager) trait Whole: DeserializeOwned + Send + 'static {
    fn number(&self) -> Option<u64>;

    /// Notes which fields could not be read, where that matters.
    fn note_damage(&mut self, _fields: Vec<String>) {}

    /// Tells whether another row of the same number says something else that matters.
    fn says_otherwise(&self, _other: &Self) -> bool {
        false
    }
}

impl<T: Whole> Row for T {
    type Kept = Self;

    fn into_kept(self) -> Self {
        self
    }

    fn note_damage(&mut self, fields: Vec<String>) {
        self.note_damage(fields);
    }
}

impl<T: Whole> Kept for T {
    fn id(&self) -> Option<u64> {
        self.number()
    }

    fn contradicts(&self, other: &Self) -> bool {
        self.says_otherwise(other)
    }

    fn doubt(&mut self) {
        self.note_damage(vec!["id".to_owned()]);
    }
}

/// Clusters are few, and keys nobody documented matter, so the row is kept whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::vmmanager) struct ClusterRow {
    fields: Map<String, Value>,
    /// What could not be read of the row, where a part of it is damaged.
    #[serde(skip)]
    pub damage: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct NodeRow {
    pub id: Plain,
    pub name: Plain,
    pub cluster: Reference,
    state: Plain,
    pub ip: Plain,
    pub ip_addr: Plain,
    pub port: Plain,
    pub ssh_port: Plain,
    pub cpu: Mixed<Amounts>,
    pub cpu_number: Mixed<Amounts>,
    pub ram_mib: Mixed<Amounts>,
    pub vm: Mixed<Amounts>,
    pub host_count: Plain,
    pub host_limit: Plain,
    pub host_creation_blocked: Guard,
    pub maintenance_mode: Guard,
    pub maintenance: Guard,
    pub qemu_version: Plain,
    pub kernel_version: Plain,
    pub os_version: Plain,
    pub cpu_model: Plain,
    pub storage: Mixed<Storage>,
    pub storage_mib: Mixed<Storage>,
    pub libvirt_error: Guard,
    pub ha_error: Guard,
    pub bird_error: Guard,
    pub frr_error: Guard,
    pub virtualization_type: Plain,
    /// What could not be read of the row, where a part of it is damaged.
    #[serde(skip)]
    pub damage: Vec<String>,
}

/// A node's local storage, in MiB.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct Storage {
    size_mib: Plain,
    available_mib: Plain,
    total: Plain,
    used: Plain,
}

impl Storage {
    /// Returns the free space; `None` where it is not known, or where there is no local storage at all.
    pub(crate) fn available(&self) -> Option<u64> {
        let size = self.size_mib.whole().or_else(|| self.total.whole());
        let rest = || Some(self.total.whole()?.saturating_sub(self.used.whole()?));
        self.available_mib.whole().or_else(rest).filter(|_| size != Some(0))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::vmmanager) struct TaskRow {
    id: Plain,
    consul_id: Plain,
    name: Plain,
    status: Plain,
    output: Value,
    defer_reason: Plain,
    running_time: Plain,
    host: Reference,
    host_id: Reference,
    vm: Reference,
    vm_id: Reference,
    params: Mixed<TaskParams>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TaskParams {
    host: Reference,
    host_id: Reference,
    vm: Reference,
    vm_id: Reference,
}

impl Whole for ClusterRow {
    fn number(&self) -> Option<u64> {
        self.plain("id").id()
    }

    fn note_damage(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

impl Whole for NodeRow {
    fn number(&self) -> Option<u64> {
        self.id.id()
    }

    fn says_otherwise(&self, other: &Self) -> bool {
        let protects = |row: &Self| {
            [
                row.maintenance_mode,
                row.maintenance,
                row.host_creation_blocked,
                row.libvirt_error,
                row.ha_error,
            ]
            .map(Guard::is_yes)
        };
        let has = |row: &Self| (row.cluster.id(), row.state.text(), row.ram_mib.amount(), row.cpu.amount());
        (protects(self), has(self)) != (protects(other), has(other))
    }

    fn note_damage(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

impl Whole for TaskRow {
    fn number(&self) -> Option<u64> {
        self.id.id()
    }
}

impl NodeRow {
    pub(crate) fn state(&self) -> NodeState {
        match self.damage.is_empty() {
            true => self.state.text().map_or(NodeState::Unknown, NodeState::from),
            false => NodeState::Unreadable,
        }
    }
}

impl ClusterRow {
    /// Tells whether something was lost that may decide what is done in the cluster.
    pub(crate) fn lost_more_than_words(&self) -> bool {
        self.damage.iter().any(|field| !matches!(field.as_str(), "name" | "comment"))
    }

    pub(crate) fn plain(&self, key: &str) -> Plain {
        self.fields.get(key).map(plain).unwrap_or_default()
    }

    /// Returns every true value under a key with `balanc` in it, as `path = value`.
    pub(crate) fn balancer_signs(&self) -> Vec<String> {
        let mut signs = Vec::new();
        for (key, value) in &self.fields {
            true_values(key, value, key.to_ascii_lowercase().contains("balanc"), &mut signs);
        }
        signs
    }

    /// Tells whether the main storage copies disks with a VM; `None` for kinds of storage nobody knows.
    pub(crate) fn local_storage(&self) -> Option<bool> {
        let main = self.fields.get("storages").and_then(Value::as_array).and_then(|storages| {
            storages.iter().find(|storage| storage.get("is_main").map(plain).unwrap_or_default().is_true())
        });
        let storage = main.or_else(|| self.fields.get("storage"))?;
        if let Some(network) = storage.get("is_network").map(plain).unwrap_or_default().truth() {
            return Some(!network);
        }
        match storage.get("type").map(plain)?.text()?.to_ascii_lowercase().as_str() {
            "file" | "dir" | "lvm" | "zfs" => Some(true),
            "ceph" | "rbd" | "nas" | "nfs" | "san" | "iscsi" => Some(false),
            _ => None,
        }
    }
}

impl TaskRow {
    pub(crate) fn name(&self) -> Option<String> {
        self.name.text()
    }

    pub(crate) fn status(&self) -> Option<String> {
        self.status.text()
    }

    pub(crate) fn consul_id(&self) -> Option<u64> {
        self.consul_id.id()
    }

    /// Tells whether this may be a migration that waits or runs. A task without a name may be anything.
    pub(crate) fn may_be_migration(&self, name_of_migrations: &str) -> bool {
        let status = TaskStatus::from_word(&self.status.text().unwrap_or_default());
        self.name.text().is_none_or(|name| name == name_of_migrations) && !status.has_ended()
    }

    /// The VM, on servers that happen to name it; a documented field for it does not exist.
    pub(crate) fn vm(&self) -> Option<u64> {
        let own = [&self.host, &self.host_id, &self.vm, &self.vm_id];
        let params = self.params.object.as_ref();
        let inner = params.map(|p| [&p.host, &p.host_id, &p.vm, &p.vm_id]);
        own.into_iter().chain(inner.into_iter().flatten()).find_map(Reference::id)
    }

    pub(crate) fn into_task(self) -> Option<TaskInfo> {
        let vm = self.vm().map(crate::model::VmId);
        Some(TaskInfo {
            vm,
            id: self.id.id()?,
            consul_id: self.consul_id.id(),
            name: self.name.text().unwrap_or_default(),
            status: TaskStatus::from_word(&self.status.text().unwrap_or_default()),
            output: render(&self.output),
            defer_reason: self.defer_reason.text(),
            running_time: self.running_time.whole(),
        })
    }
}

fn true_values(path: &str, value: &Value, concerns_balancer: bool, signs: &mut Vec<String>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let concerns = concerns_balancer || key.to_ascii_lowercase().contains("balanc");
                true_values(&format!("{path}.{key}"), value, concerns, signs);
            }
        }
        Value::Array(_) | Value::Null => {}
        // A number other than 1 is an interval or a threshold, not a switch.
        Value::Number(number) if number.as_i64() != Some(1) => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            if concerns_balancer && plain(value).is_true() {
                signs.push(format!("{path} = {}", value.to_string().trim_matches('"')));
            }
        }
    }
}

fn render(output: &Value) -> Option<String> {
    let text = match output {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Object(object) => match object.get("content") {
            Some(content) => return render(content),
            None => output.to_string(),
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => output.to_string(),
    };
    Some(text.chars().take(OUTPUT_CHARS_MAX).collect()).filter(|text: &String| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_number_an_object_or_nothing() {
        for (json, id) in
            [("2", Some(2)), ("\"2\"", Some(2)), ("{\"id\": \"2\"}", Some(2)), ("null", None), ("[]", None)]
        {
            assert_eq!(serde_json::from_str::<Reference>(json).unwrap().id(), id, "{json}");
        }
    }

    #[test]
    fn a_task_that_names_its_vm_is_believed() {
        for json in [
            r#"{"id": 1, "host": {"id": 311}}"#,
            r#"{"id": 1, "host": null, "host_id": "311"}"#,
            r#"{"id": 1, "params": {"host": 311, "node": 6}}"#,
            r#"{"id": 1, "params": "{}", "vm_id": 311}"#,
        ] {
            assert_eq!(serde_json::from_str::<TaskRow>(json).unwrap().vm(), Some(311), "{json}");
        }
        assert_eq!(serde_json::from_str::<TaskRow>(r#"{"id": 1, "params": []}"#).unwrap().vm(), None);
    }

    #[test]
    fn signs_of_the_other_balancer_are_found_wherever_they_hide() {
        let signs =
            |json: &str| serde_json::from_str::<ClusterRow>(json).unwrap().balancer_signs().join("; ");
        assert_eq!(signs(r#"{"id": 1, "Balancing": true}"#), "Balancing = true");
        assert_eq!(
            signs(r#"{"balancer": {"enabled": "on", "interval": 600}, "settings": {"vm_balance": 1}}"#),
            "balancer.enabled = on; settings.vm_balance = 1"
        );
        assert_eq!(signs(r#"{"balancer": null, "balancer_enabled": false, "enabled": true}"#), "");
    }

    #[test]
    fn only_known_kinds_of_storage_are_called_local_or_not() {
        let local = |json: &str| serde_json::from_str::<ClusterRow>(json).unwrap().local_storage();
        assert_eq!(
            local(r#"{"storages": [{"type": "ceph"}, {"type": "file", "is_main": true}]}"#),
            Some(true)
        );
        assert_eq!(local(r#"{"storages": [], "storage": {"type": "Ceph"}}"#), Some(false));
        assert_eq!(local(r#"{"storage": {"type": "file", "is_network": true}}"#), Some(false));
        assert_eq!(local(r#"{"storage": {"type": "holographic"}}"#), None);
        assert_eq!(local("{}"), None);
    }
}
