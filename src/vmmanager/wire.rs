//! VMmanager's JSON as it is, read leniently: any field may be missing, null or of another type.
//!
//! Pure: bytes in, rows out. A row is typed from the start, so that 50,000 VMs are read in one pass.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::MapAccessDeserializer,
    },
};
use serde_json::{Map, Value, value::RawValue};

use super::task::{FormTarget, History, HistoryEntry, TaskInfo, TaskStatus};
use crate::model::{NodeId, NodeState, VmState};

/// Task outputs hold whole libvirt logs at times; a person reads a screenful.
const OUTPUT_CHARS_MAX: usize = 4000;

/// A number, a word, a truth or nothing, however the server wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Plain {
    #[default]
    Nothing,
    Truth(bool),
    Whole(i64),
    Float(f64),
    Text(String),
}

impl Plain {
    /// Returns a usable id: a whole number above zero.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Float(float) if float.fract() != 0.0 => None,
            _ => self.whole().filter(|id| *id > 0),
        }
    }

    pub fn whole(&self) -> Option<u64> {
        self.signed().and_then(|number| u64::try_from(number).ok())
    }

    fn signed(&self) -> Option<i64> {
        match self {
            Self::Nothing | Self::Truth(_) => None,
            Self::Whole(number) => Some(*number),
            Self::Float(float) => floor(*float),
            Self::Text(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| floor(text.parse().ok()?))
            }
        }
    }

    pub fn small(&self) -> Option<u32> {
        self.whole().and_then(|number| u32::try_from(number).ok())
    }

    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Nothing => None,
            Self::Truth(truth) => Some(*truth),
            Self::Whole(number) => Some(*number != 0),
            Self::Float(float) => Some(*float != 0.0),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" | "enabled" => Some(true),
                "false" | "0" | "no" | "off" | "disabled" => Some(false),
                _ => None,
            },
        }
    }

    pub fn is_true(&self) -> bool {
        self.truth() == Some(true)
    }

    pub fn text(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Truth(_) => None,
            Self::Whole(number) => Some(number.to_string()),
            Self::Float(float) => Some(float.to_string()),
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        }
    }
}

/// A switch that protects something, in whatever shape the server writes it.
///
/// A field that is there and not plainly "no" is a "yes": a node may be on its way into maintenance, or a newer
/// version may say more than a truth value. An object is judged by its own flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Guard {
    /// The field is missing or null.
    #[default]
    Absent,
    No,
    Yes,
}

impl Guard {
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Absent,
            // An empty list stands for an empty object in some answers.
            Value::Array(list) if list.is_empty() => Self::No,
            Value::Array(_) => Self::Yes,
            Value::Object(object) => Self::of_object(object),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => Self::of_plain(&plain(value)),
        }
    }

    fn of_plain(plain: &Plain) -> Self {
        match (plain.truth(), plain) {
            (Some(false), _) => Self::No,
            (_, Plain::Text(text)) if is_word_for_no(text) => Self::No,
            (Some(true) | None, _) => Self::Yes,
        }
    }

    /// A key that names the switch itself decides; else every flag in the object must say no.
    fn of_object(object: &Map<String, Value>) -> Self {
        const SWITCHES: [&str; 9] =
            ["enabled", "is_enabled", "active", "is_active", "blocked", "value", "state", "status", "mode"];
        let own: Vec<_> = SWITCHES.iter().filter_map(|key| object.get(*key)).map(Self::of).collect();
        let flags: Vec<_> = match own.is_empty() {
            false => own,
            true => object.values().filter(|value| plain(value).truth().is_some()).map(Self::of).collect(),
        };
        let all_say_no = !flags.is_empty() && flags.iter().all(|flag| *flag == Self::No);
        if all_say_no { Self::No } else { Self::Yes }
    }
}

/// A permission, in whatever shape: one that is there and not plainly "yes" is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Permission {
    /// Missing, null or a "yes".
    #[default]
    Granted,
    Denied,
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

impl Permission {
    fn of(value: &Value) -> Self {
        let granted = match value {
            Value::Null => true,
            Value::Object(object) => {
                let flags: Vec<_> =
                    object.values().filter(|value| !value.is_object()).map(Self::of).collect();
                !flags.is_empty() && flags.iter().all(|flag| *flag == Self::Granted)
            }
            Value::String(text) if text.trim().eq_ignore_ascii_case("allowed") => true,
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => plain(value).is_true(),
        };
        if granted { Self::Granted } else { Self::Denied }
    }
}

/// A set of restrictions: any that is not plainly "no" counts, and an empty set restricts nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Restrictions {
    pub any: bool,
}

impl<'de> Deserialize<'de> for Restrictions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let any = match Value::deserialize(deserializer)? {
            Value::Object(flags) => flags.values().any(|flag| Guard::of(flag).is_yes()),
            other => Guard::of(&other).is_yes(),
        };
        Ok(Self { any })
    }
}

/// A VM's word on the balancer: out where it says no in any shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OptOut {
    #[default]
    In,
    Out,
}

impl<'de> Deserialize<'de> for OptOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let says_no = |guard| guard == Guard::No;
        Ok(match Value::deserialize(deserializer)? {
            // Nothing is said: an edition without the field covers every VM.
            Value::Null => Self::In,
            Value::String(text) if text.trim().is_empty() => Self::In,
            value if says_no(Guard::of(&value)) => Self::Out,
            _ => Self::In,
        })
    }
}

/// Words for "not in force" besides those that [`Plain::truth`] knows.
fn is_word_for_no(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "" | "none" | "null" | "inactive" | "normal" | "finished" | "ok" | "no_error" | "no error"
    )
}

impl<'de> Deserialize<'de> for Guard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

/// Either plain or an object of a known shape; a list or anything else counts as nothing.
#[derive(Clone, Debug)]
pub(super) struct Mixed<T> {
    pub plain: Plain,
    pub object: Option<T>,
}

impl<T> Default for Mixed<T> {
    fn default() -> Self {
        Self { plain: Plain::Nothing, object: None }
    }
}

/// A reference to another object: its id, or the object.
pub(super) type Reference = Mixed<Named>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    id: Plain,
    name: Plain,
    virtualization_type: Plain,
    maintenance_mode: Guard,
    live_migration_allowed: Permission,
}

impl Reference {
    pub fn id(&self) -> Option<u64> {
        self.object.as_ref().map_or_else(|| self.plain.id(), |object| object.id.id())
    }

    pub fn name(&self) -> Option<String> {
        self.object.as_ref()?.name.text()
    }

    pub fn virtualization(&self) -> Option<String> {
        self.object.as_ref()?.virtualization_type.text()
    }

    pub fn is_in_maintenance(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.maintenance_mode.is_yes())
    }

    pub fn forbids_live_migration(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.live_migration_allowed == Permission::Denied)
    }
}

/// Numbers that one version writes as an object and another as one number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Amounts {
    pub number: Plain,
    pub total: Plain,
    pub used: Plain,
    pub allocated: Plain,
}

/// What a list holds.
pub(super) trait Row: DeserializeOwned + Send + 'static {
    fn id(&self) -> Option<u64>;

    /// Notes which fields could not be read.
    fn damaged(&mut self, _fields: Vec<String>) {}
}

/// Clusters are few, and keys nobody documented matter, so the row is kept whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct ClusterRow(pub Map<String, Value>);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeRow {
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

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HostRow {
    pub id: Plain,
    pub name: Plain,
    state: Plain,
    pub node: Reference,
    pub cluster: Reference,
    pub cpu_number: Mixed<Amounts>,
    pub cpu: Mixed<Amounts>,
    pub ram_mib: Mixed<Amounts>,
    pub disk: Mixed<Disk>,
    pub snapshot_count: Guard,
    pub iso_mounted: Guard,
    pub rescue_mode: Guard,
    pub balancer_mode: OptOut,
    pub cpu_mode: Plain,
    pub nesting: Guard,
    pub vm5_restrictions: Restrictions,
    /// What could not be read of the row, where a part of it is damaged.
    #[serde(skip)]
    pub damage: Vec<String>,
}

/// A node's local storage, in MiB.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Storage {
    size_mib: Plain,
    available_mib: Plain,
    total: Plain,
    used: Plain,
}

impl Storage {
    /// Returns the free space; `None` where it is not known, or where there is no local storage at all.
    pub fn available(&self) -> Option<u64> {
        let size = self.size_mib.whole().or_else(|| self.total.whole());
        let rest = || Some(self.total.whole()?.saturating_sub(self.used.whole()?));
        self.available_mib.whole().or_else(rest).filter(|_| size != Some(0))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disk {
    pub disk_mib: Plain,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskRow {
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

impl Row for ClusterRow {
    fn id(&self) -> Option<u64> {
        self.plain("id").id()
    }
}

impl Row for NodeRow {
    fn id(&self) -> Option<u64> {
        self.id.id()
    }

    fn damaged(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

impl Row for HostRow {
    fn id(&self) -> Option<u64> {
        self.id.id()
    }

    fn damaged(&mut self, fields: Vec<String>) {
        self.damage = fields;
    }
}

impl Row for TaskRow {
    fn id(&self) -> Option<u64> {
        self.id.id()
    }
}

impl NodeRow {
    pub fn state(&self) -> NodeState {
        match self.damage.is_empty() {
            true => self.state.text().map_or(NodeState::Unknown, NodeState::from),
            false => NodeState::Unreadable,
        }
    }
}

impl HostRow {
    pub fn state(&self) -> VmState {
        self.state.text().map_or(VmState::Unknown, VmState::from)
    }
}

impl ClusterRow {
    pub fn plain(&self, key: &str) -> Plain {
        self.0.get(key).map(plain).unwrap_or_default()
    }

    /// Returns every true value under a key with `balanc` in it, as `path = value`.
    pub fn balancer_signs(&self) -> Vec<String> {
        let mut signs = Vec::new();
        for (key, value) in &self.0 {
            true_values(key, value, key.to_ascii_lowercase().contains("balanc"), &mut signs);
        }
        signs
    }

    /// Tells whether the main storage copies disks with a VM; `None` for kinds of storage nobody knows.
    pub fn local_storage(&self) -> Option<bool> {
        let main = self.0.get("storages").and_then(Value::as_array).and_then(|storages| {
            storages.iter().find(|storage| storage.get("is_main").map(plain).unwrap_or_default().is_true())
        });
        let storage = main.or_else(|| self.0.get("storage"))?;
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
    pub fn name(&self) -> Option<String> {
        self.name.text()
    }

    pub fn status(&self) -> Option<String> {
        self.status.text()
    }

    pub fn consul_id(&self) -> Option<u64> {
        self.consul_id.id()
    }

    /// The VM, on servers that happen to name it; a documented field for it does not exist.
    pub fn vm(&self) -> Option<u64> {
        let own = [&self.host, &self.host_id, &self.vm, &self.vm_id];
        let params = self.params.object.as_ref();
        let inner = params.map(|p| [&p.host, &p.host_id, &p.vm, &p.vm_id]);
        own.into_iter().chain(inner.into_iter().flatten()).find_map(Reference::id)
    }

    pub fn into_task(self) -> Option<TaskInfo> {
        let vm = self.vm().map(crate::model::VmId);
        Some(TaskInfo {
            vm,
            id: self.id.id()?,
            consul_id: self.consul_id.id(),
            name: self.name.text().unwrap_or_default(),
            status: TaskStatus::from_word(&self.status.text().unwrap_or_default()),
            output: rendered(&self.output),
            defer_reason: self.defer_reason.text(),
            running_time: self.running_time.whole(),
        })
    }
}

/// One answer to a list request.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// As they came; a row that is no object is empty.
    pub rows: Vec<Option<T>>,
    /// How many there are in all, where the server says.
    pub size: Option<u64>,
}

/// Reads a list: `{"list": […], "size": n}`, or a bare array.
///
/// One odd record must not hide the others: where the list as a whole cannot be read, it is read row by row, and a
/// damaged row field by field.
pub(super) fn page<T: Row>(body: &[u8]) -> Result<Page<T>, serde_json::Error> {
    plain_page(body).or_else(|error| {
        // Bytes that are no text become replacement characters, which no id or number can hide behind.
        let text = String::from_utf8_lossy(body);
        let RawPage { list, size } = raw_page(&text).map_err(|_| error)?;
        Ok(Page { rows: list.iter().flatten().map(|row| mended(row)).collect(), size: size.whole() })
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPage<'a> {
    #[serde(borrow)]
    list: Option<Vec<&'a RawValue>>,
    size: Plain,
}

fn raw_page(text: &str) -> Result<RawPage<'_>, serde_json::Error> {
    match text.trim_start().starts_with('[') {
        true => Ok(RawPage { list: Some(serde_json::from_str(text)?), size: Plain::Nothing }),
        false => serde_json::from_str(text),
    }
}

fn plain_page<T: DeserializeOwned>(body: &[u8]) -> Result<Page<T>, serde_json::Error> {
    serde_json::from_slice(body)
}

/// Reads what can be read of a row and notes the rest; `None` for what is no object.
fn mended<T: Row>(row: &RawValue) -> Option<T> {
    if let Ok(Mixed { object, .. }) = serde_json::from_str::<Mixed<T>>(row.get()) {
        return object;
    }
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(row.get()).ok()?;
    let (sound, damaged): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(_, value)| serde_json::from_str::<Value>(value.get()).is_ok());
    let sound: Vec<_> =
        sound.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), value.get())).collect();
    let mut row: T = serde_json::from_str(&format!("{{{}}}", sound.join(","))).ok()?;
    row.damaged(damaged.into_iter().map(|(key, _)| key).collect());
    Some(row)
}

/// Reads one task, wrapped in `task` or flat.
pub(super) fn task(body: &[u8]) -> Result<Option<TaskInfo>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wrapped {
        task: Mixed<TaskRow>,
    }
    let row = match serde_json::from_slice::<Wrapped>(body)?.task.object {
        Some(row) => row,
        None => serde_json::from_slice(body)?,
    };
    Ok(row.into_task())
}

/// Reads the consul id out of the answer to an order.
pub(super) fn ordered_task(body: &[u8]) -> Result<Option<u64>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        task: Reference,
    }
    Ok(serde_json::from_slice::<Answer>(body)?.task.id())
}

/// Reads a VM's history.
pub(super) fn history(body: &[u8]) -> Result<History, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Entry {
        id: Plain,
        task: Reference,
        name: Plain,
        state: Plain,
        status: Plain,
        date_create: Plain,
        user: Plain,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Top {
        max_id: Plain,
    }
    let rows = plain_page::<Entry>(body)?.rows;
    let entries = rows.into_iter().flatten().map(|entry| HistoryEntry {
        id: entry.id.id(),
        task: entry.task.id(),
        name: entry.name.text().unwrap_or_default(),
        state: entry.state.text().or_else(|| entry.status.text()).unwrap_or_default(),
        at: entry.date_create.text(),
        user: entry.user.text(),
    });
    let mut entries: Vec<_> = entries.collect();
    if entries.iter().all(|entry| entry.id.is_some()) {
        entries.sort_by_key(|entry| entry.id);
    }
    // A bare array has no `max_id` beside it.
    let said = serde_json::from_slice::<Top>(body).ok().and_then(|top| top.max_id.id());
    let max_id = entries.iter().filter_map(|entry| entry.id).max().max(said);
    Ok(History { max_id, entries })
}

/// Reads the migrate form: the targets that VMmanager itself offers.
pub(super) fn migrate_form(body: &[u8]) -> Result<Vec<FormTarget>, serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Target {
        id: Plain,
        suitable: Plain,
    }
    #[derive(Deserialize)]
    struct Form {
        nodes: Vec<Mixed<Target>>,
    }
    let targets = serde_json::from_slice::<Form>(body)?.nodes.into_iter().filter_map(|target| target.object);
    Ok(targets
        .filter_map(|target| {
            let node = NodeId(target.id.id()?);
            // A node in the list without a verdict is offered.
            Some(FormTarget { node, suitable: target.suitable.truth().unwrap_or(true) })
        })
        .collect())
}

/// Reads the token out of a login's answer, and whether the login is done with it.
pub(super) fn login(body: &[u8]) -> Result<(Option<String>, bool), serde_json::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Login {
        token: Plain,
        confirmed: Plain,
    }
    let login: Login = serde_json::from_slice(body)?;
    Ok((login.token.text(), login.confirmed.truth().unwrap_or(true)))
}

/// An `error` object, or what stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WireError {
    pub code: Option<i64>,
    pub msg: String,
}

/// Finds a top-level `error` in any body; `None` where there is none or it says nothing.
pub(super) fn error(body: &[u8]) -> Option<WireError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        code: Plain,
        msg: Plain,
        message: Plain,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Envelope {
        error: Mixed<Inner>,
    }
    const KEY: &str = "\"error\"";
    // A list of 50,000 VMs is not read twice for a key that is not in it.
    if !std::str::from_utf8(body).ok()?.contains(KEY) {
        return None;
    }
    let Mixed { plain, object } = serde_json::from_slice::<Envelope>(body).ok()?.error;
    let found = match object {
        Some(inner) => WireError {
            code: inner.code.signed(),
            msg: inner.msg.text().or_else(|| inner.message.text()).unwrap_or_default(),
        },
        None => WireError { code: None, msg: plain.text().filter(|text| text != "0").unwrap_or_default() },
    };
    (found.code.is_some_and(|code| code != 0) || !found.msg.is_empty()).then_some(found)
}

/// Reads any object's text fields that are asked for, for diagnostics.
pub(super) fn texts(body: &[u8], keys: &[&str]) -> Option<BTreeMap<String, String>> {
    let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), plain(object.get(*key)?).text()?)));
    Some(found.collect())
}

/// Reads role names, given as a list of words or of objects with a name.
pub(super) fn roles(body: &[u8]) -> Vec<String> {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body) else { return Vec::new() };
    let roles = object.get("roles").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    roles.iter().filter_map(|role| plain(role.get("name").unwrap_or(role)).text()).collect()
}

fn floor(float: f64) -> Option<i64> {
    // Beyond 2^53 a float is no exact number of anything.
    (float.is_finite() && float.abs() < 9e15).then(|| float.floor() as i64)
}

fn plain(value: &Value) -> Plain {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => Plain::Nothing,
        Value::Bool(truth) => Plain::Truth(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Plain::Whole(whole),
            None => Plain::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Plain::Text(text.clone()),
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

fn rendered(output: &Value) -> Option<String> {
    let text = match output {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Object(object) => match object.get("content") {
            Some(content) => return rendered(content),
            None => output.to_string(),
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => output.to_string(),
    };
    Some(text.chars().take(OUTPUT_CHARS_MAX).collect()).filter(|text: &String| !text.is_empty())
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Mixed::<IgnoredAny>::deserialize(deserializer).map(|mixed| mixed.plain)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Mixed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MixedVisitor(PhantomData))
    }
}

struct MixedVisitor<T>(PhantomData<T>);

impl<T> MixedVisitor<T> {
    fn plain<E>(plain: Plain) -> Result<Mixed<T>, E> {
        Ok(Mixed { plain, object: None })
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for MixedVisitor<T> {
    type Value = Mixed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Self::plain(Plain::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Self::plain(Plain::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Self::plain(i64::try_from(number).map_or(Plain::Float(number as f64), Plain::Whole))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Self::Value, E> {
        Self::plain(Plain::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Self::plain(Plain::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Self::plain(Plain::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Self::plain(Plain::Nothing)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Self::plain(Plain::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Self::plain(Plain::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let object = T::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Mixed { plain: Plain::Nothing, object: Some(object) })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Page<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PageVisitor(PhantomData))
    }
}

struct PageVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PageVisitor<T> {
    type Value = Page<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Ok(Page { rows: Rows(PhantomData).visit_seq(list)?, size: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut page = Page { rows: Vec::new(), size: None };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "list" => page.rows = map.next_value_seed(Rows(PhantomData))?,
                "size" => page.size = map.next_value::<Plain>()?.whole(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(page)
    }
}

/// The rows under `list`: an array, or null for none.
struct Rows<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Rows<T> {
    type Value = Vec<Option<T>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
    type Value = Vec<Option<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element::<Mixed<T>>()? {
            rows.push(row.object);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truths_are_read_however_they_are_written() {
        for (json, whole, truth) in [
            ("32", Some(32), Some(true)),
            ("\"32\"", Some(32), None),
            ("32.0", Some(32), Some(true)),
            ("\" 32.7 \"", Some(32), None),
            ("-1", None, Some(true)),
            ("0", Some(0), Some(false)),
            ("\"true\"", None, Some(true)),
            ("\"Off\"", None, Some(false)),
            ("false", None, Some(false)),
            ("null", None, None),
            ("\"\"", None, None),
            ("[1]", None, None),
            ("{\"a\": 1}", None, None),
            ("1e300", None, Some(true)),
            ("18446744073709551615", None, Some(true)),
        ] {
            let plain: Plain = serde_json::from_str(json).unwrap();
            assert_eq!((plain.whole(), plain.truth()), (whole, truth), "{json}");
        }
    }

    #[test]
    fn ids_are_whole_and_above_zero() {
        for (json, id) in
            [("5", Some(5)), ("\"5\"", Some(5)), ("5.0", Some(5)), ("5.5", None), ("0", None), ("-5", None)]
        {
            assert_eq!(serde_json::from_str::<Plain>(json).unwrap().id(), id, "{json}");
        }
    }

    #[test]
    fn a_reference_is_a_number_an_object_or_nothing() {
        for (json, id) in
            [("2", Some(2)), ("\"2\"", Some(2)), ("{\"id\": \"2\"}", Some(2)), ("null", None), ("[]", None)]
        {
            assert_eq!(serde_json::from_str::<Reference>(json).unwrap().id(), id, "{json}");
        }
    }

    #[test]
    fn a_list_may_be_bare_null_or_hold_anything() {
        let rows = |json: &str| {
            let page = page::<HostRow>(json.as_bytes()).unwrap();
            (page.rows.iter().map(|row| row.as_ref().and_then(Row::id)).collect::<Vec<_>>(), page.size)
        };
        assert_eq!(
            rows(r#"{"last_notify": 1, "list": [{"id": 1}, {"id": 2}], "size": 2}"#),
            (vec![Some(1), Some(2)], Some(2))
        );
        assert_eq!(
            rows(r#"[{"id": "1"}, null, 7, {"id": {}}, {}]"#),
            (vec![Some(1), None, None, None, None], None)
        );
        assert_eq!(rows(r#"{"list": null, "size": "3"}"#), (vec![], Some(3)));
        assert_eq!(rows("{}"), (vec![], None));
        for broken in
            ["null", "7", "\"list\"", "<html>", "", r#"{"list": {"id": 1}}"#, r#"{"list": [{"id": 1}"#]
        {
            assert!(page::<HostRow>(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_switch_that_protects_is_believed_in_any_shape() {
        for (json, guard) in [
            ("true", Guard::Yes),
            ("1", Guard::Yes),
            ("\"in_progress\"", Guard::Yes),
            ("\"entering\"", Guard::Yes),
            (r#"{"enabled": true}"#, Guard::Yes),
            (r#"{"enabled": "on", "evacuate": false}"#, Guard::Yes),
            (r#"{"reason": "disk", "date": "2026-11-01"}"#, Guard::Yes),
            (r#"{"enabled": null}"#, Guard::Yes),
            (r#"{"state": {"active": true}}"#, Guard::Yes),
            ("{}", Guard::Yes),
            ("[1]", Guard::Yes),
            (r#"{"enabled": false, "reason": "disk"}"#, Guard::No),
            (r#"{"state": "off"}"#, Guard::No),
            (r#"{"iso": false, "snapshot": 0}"#, Guard::No),
            ("false", Guard::No),
            ("0", Guard::No),
            ("\"0\"", Guard::No),
            ("\"Off\"", Guard::No),
            ("\"\"", Guard::No),
            ("[]", Guard::No),
            ("\"no_error\"", Guard::No),
            ("null", Guard::Absent),
        ] {
            assert_eq!(serde_json::from_str::<Guard>(json).unwrap(), guard, "{json}");
        }
    }

    #[test]
    fn a_permission_that_is_not_plainly_given_is_denied() {
        for (json, granted) in [
            ("true", true),
            ("\"allowed\"", true),
            (r#"{"allowed": true}"#, true),
            ("null", true),
            ("false", false),
            ("\"forbidden\"", false),
            (r#"{"allowed": false}"#, false),
            ("{}", false),
        ] {
            let read: Permission = serde_json::from_str(json).unwrap();
            assert_eq!(read == Permission::Granted, granted, "{json}");
        }
    }

    #[test]
    fn a_set_without_a_restriction_restricts_nothing() {
        for (json, any) in [
            ("{}", false),
            ("[]", false),
            ("null", false),
            (r#"{"iso": false, "ipv6": 0}"#, false),
            (r#"{"iso": false, "ipv6": "yes"}"#, true),
            (r#"{"net_iface_count": {"found": 2}}"#, true),
            ("true", true),
        ] {
            assert_eq!(serde_json::from_str::<Restrictions>(json).unwrap().any, any, "{json}");
        }
    }

    #[test]
    fn a_vm_opts_out_of_balancing_in_any_shape() {
        for (json, out) in [
            ("\"off\"", true),
            ("false", true),
            (r#"{"enabled": false}"#, true),
            ("\"on\"", false),
            ("\"auto\"", false),
            ("\"\"", false),
            ("null", false),
        ] {
            let read: OptOut = serde_json::from_str(json).unwrap();
            assert_eq!(read == OptOut::Out, out, "{json}");
        }
    }

    #[test]
    fn one_odd_record_hides_no_other() {
        let half_a_pair = r#"{"id": 8, "name": "web-\ud83d", "node": 5, "ram_mib": 1024}"#;
        let endless = r#"{"id": 9, "name": "db", "ram_mib": 1e999, "node": 5}"#;
        for list in ["[ROWS]", r#"{"list": [ROWS], "size": 3}"#] {
            for (odd, id, field) in [(half_a_pair, 8, "name"), (endless, 9, "ram_mib")] {
                let rows = format!(r#"{{"id": 7, "name": "a"}}, {odd}, {{"id": 10, "name": "b"}}"#);
                let page = page::<HostRow>(list.replace("ROWS", &rows).as_bytes()).unwrap();
                let rows: Vec<_> = page.rows.into_iter().map(Option::unwrap).collect();
                assert_eq!(rows.iter().map(Row::id).collect::<Vec<_>>(), [Some(7), Some(id), Some(10)]);
                assert_eq!(rows.iter().map(|row| row.damage.len()).collect::<Vec<_>>(), [0, 1, 0]);
                assert_eq!((rows[1].damage[0].as_str(), rows[1].node.id()), (field, Some(5)));
            }
        }
        let no_text = b"[{\"id\": 7, \"name\": \"a\xff\"}, {\"id\": 8}]";
        let page = page::<HostRow>(no_text).unwrap();
        assert_eq!(page.rows.len(), 2);
        assert_eq!(page.rows[0].as_ref().unwrap().name.text().unwrap(), "a\u{fffd}");
    }

    #[test]
    fn a_task_is_wrapped_or_flat() {
        let wrapped = r#"{"task": {"id": 55120, "consul_id": 90417, "name": "host_migrate", "status": "failed",
            "running_time": 41, "waiting_time": 1, "output": "Live migration failed\nerror: operation failed"}}"#;
        let task = task(wrapped.as_bytes()).unwrap().unwrap();
        assert_eq!((task.id, task.consul_id, task.running_time), (55120, Some(90417), Some(41)));
        assert_eq!(task.status, TaskStatus::Failed);
        assert_eq!(task.output.as_deref(), Some("Live migration failed\nerror: operation failed"));
        let flat =
            r#"{"id": "55120", "consul_id": null, "status": "Fail", "output": {"content": {"text": "no"}}}"#;
        let flat = super::task(flat.as_bytes()).unwrap().unwrap();
        assert_eq!((flat.id, flat.consul_id, flat.status), (55120, None, TaskStatus::Failed));
        assert_eq!(flat.output.as_deref(), Some(r#"{"text":"no"}"#));
        assert_eq!(super::task(b"{}").unwrap(), None);
    }

    #[test]
    fn unknown_task_words_count_as_running() {
        let read = |word: &str| TaskStatus::from_word(word);
        assert_eq!(
            [read("COMPLETE"), read("fail"), read("aborted")].map(|status| status.has_ended()),
            [true; 3]
        );
        assert_eq!(read("cancelled_by_user"), TaskStatus::Cancelled);
        assert_eq!(read("deferred"), TaskStatus::Other("deferred".into()));
        assert!(!read("deferred").has_ended() && !read("").has_ended());
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
    fn the_answer_to_an_order_may_lack_its_task() {
        for (json, task) in [
            (r#"{"id": 311, "task": 90417}"#, Some(90417)),
            (r#"{"id": 311, "task": "90417"}"#, Some(90417)),
            (r#"{"id": 311}"#, None),
            (r#"{"id": 311, "task": null}"#, None),
        ] {
            assert_eq!(ordered_task(json.as_bytes()).unwrap(), task, "{json}");
        }
    }

    #[test]
    fn a_history_is_put_in_order() {
        let json = r#"{"max_id": 7004, "list": [
            {"id": 7004, "task": 55120, "name": "host_migrate", "state": "running", "date_create": "2026-05-04 12:07:13"},
            {"id": "7003", "task": null, "name": "host_start", "state": "complete", "params": {}}]}"#;
        let history = history(json.as_bytes()).unwrap();
        assert_eq!(history.max_id, Some(7004));
        assert_eq!(
            history.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [Some(7003), Some(7004)]
        );
        let old = super::history(br#"[{"name": "host_migrate", "state": "complete"}, null]"#).unwrap();
        assert_eq!((old.max_id, old.entries.len()), (None, 1));
    }

    #[test]
    fn the_migrate_form_names_targets() {
        let json = r#"{"nodes": [{"id": 6, "suitable": true}, {"id": "7", "suitable": 0}, {"id": 8}, {"name": "x"}, null]}"#;
        let form = migrate_form(json.as_bytes()).unwrap();
        assert_eq!(
            form.iter().map(|t| (t.node.0, t.suitable)).collect::<Vec<_>>(),
            [(6, true), (7, false), (8, true)]
        );
        assert!(migrate_form(b"{}").is_err());
    }

    #[test]
    fn errors_are_found_in_any_body_and_nothing_else_is() {
        let found = |json: &str| error(json.as_bytes()).map(|error| (error.code, error.msg));
        let plain = r#"{"error": {"code": 3001, "msg": "Unauthorized"}}"#;
        assert_eq!(found(plain), Some((Some(3001), "Unauthorized".into())));
        assert_eq!(found(r#"{"error": "broken", "list": []}"#), Some((None, "broken".into())));
        assert_eq!(found(r#"{"error": {"code": "1000"}}"#), Some((Some(1000), String::new())));
        for fine in [
            r#"{"list": [], "error": null}"#,
            r#"{"error": {"code": 0, "msg": ""}}"#,
            r#"{"list": [{"name": "error"}, {"error": {"code": 5}}]}"#,
            r#"{"error": false}"#,
            "<html>\"error\"</html>",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
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
