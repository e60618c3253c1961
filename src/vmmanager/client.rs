//! Questions to VMmanager: one method for each.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future::try_join_all;

use super::{
    look::{self, Answers, Detail, Listed, Look, OtherTask, RunningMigration, Unfinished},
    orders::Orders,
    settings::{Settings, Timing},
    task::{FormTarget, History, TaskInfo, TaskStatus},
    transport::{Ask, Transport},
    wire::{self, ClusterRow, HostRow, Kept, NodeRow, Row, TaskRow},
};
use crate::model::{AnswerFlaw, ApiFailure, Flaw, List, NodeId, NodeInfo, RowShape, VmId, VmInfo, VmState};

/// Rows asked for at once where the server does not give all of them; a page is then about 1 MB.
const PAGE_ROWS: usize = 500;

/// More pages than any platform fills (half a million rows): a server that never ends must not keep us.
const PAGES_MAX: usize = 1000;

const CLUSTERS: &str = "/vm/v3/cluster";
const NODES: &str = "/vm/v3/node";
const HOSTS: &str = "/vm/v3/host";
const TASKS: &str = "/vm/v3/task";
pub(super) const MIGRATION: &str = crate::model::Block::MIGRATION;
const UNFINISHED: &str = "(status EQ 'running' OR status EQ 'created')";

/// Reads a VMmanager 6 platform. Cheap to clone; all clones share one session.
#[derive(Clone)]
pub struct VmManagerApi(Arc<Inner>);

struct Inner {
    transport: Transport,
    lacks: Lacks,
    /// The last list of unfinished migrations that was read for watching.
    polled: tokio::sync::Mutex<Option<(Instant, Arc<Vec<RunningMigration>>)>>,
}

/// What this server turned out not to do; kept until a restart, so that it is found out once.
#[derive(Default)]
struct Lacks {
    node_filter: AtomicBool,
    host_filter: AtomicBool,
    task_filter: AtomicBool,
    migrate_form: AtomicBool,
}

/// Where a VM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmPlace {
    pub node: NodeId,
    pub state: VmState,
}

/// Whom the server takes us for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    pub email: Option<String>,
    /// E.g. `@admin`.
    pub roles: Vec<String>,
}

impl VmManagerApi {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ApiFailure::Settings`] where the certificates or the address cannot be used.
    pub fn new(settings: Settings) -> Result<Self, ApiFailure> {
        let transport = Transport::new(settings)?;
        Ok(Self(Arc::new(Inner {
            transport,
            lacks: Lacks::default(),
            polled: tokio::sync::Mutex::default(),
        })))
    }

    /// Returns the right to order migrations.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders(self.clone())
    }

    /// Returns how long this client waits for what.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.transport().timing
    }

    /// Looks at the whole platform: clusters, nodes, VMs and unfinished migrations, side by side.
    ///
    /// A picture with something missing is returned with the reason in [`crate::model::ClusterInfo::incomplete`].
    pub async fn look(&self, now: DateTime<Utc>) -> Result<Look, ApiFailure> {
        let (clusters, nodes, hosts, tasks) = tokio::try_join!(
            self.list::<ClusterRow>(CLUSTERS, None),
            self.list::<NodeRow>(NODES, None),
            self.list::<HostRow>(HOSTS, None),
            self.unfinished_tasks(),
        )?;
        let answers = Answers { clusters, nodes, hosts, tasks };
        // Putting 50,000 VMs together is too long a step for the threads that everything else waits on.
        aside("look", move || look::assemble(now, answers)).await
    }

    /// Reads a few VMs and nodes one by one, and what runs; `None` where only whole lists can tell: a server that does
    /// not filter, a row that is missing or damaged, tasks that are not all known.
    pub async fn detail(&self, vms: &[VmId], nodes: &[NodeId]) -> Result<Option<Detail>, ApiFailure> {
        let Lacks { node_filter, host_filter, .. } = &self.0.lacks;
        let filters = || !node_filter.load(Ordering::Relaxed) && !host_filter.load(Ordering::Relaxed);
        if !filters() {
            return Ok(None);
        }
        let vms = vms.iter().map(|vm| self.one::<HostRow>(HOSTS, vm.0, host_filter));
        let nodes = nodes.iter().map(|node| self.one::<NodeRow>(NODES, node.0, node_filter));
        let (vms, nodes, tasks) =
            tokio::try_join!(try_join_all(vms), try_join_all(nodes), self.unfinished_tasks())?;
        Ok(look::detail(vms, nodes, tasks))
    }

    /// Reads one node; `None` where there is no such node, or it does not say its cluster.
    pub async fn node(&self, id: NodeId) -> Result<Option<NodeInfo>, ApiFailure> {
        let row = self.one::<NodeRow>(NODES, id.0, &self.0.lacks.node_filter).await?;
        Ok(row.and_then(|row| look::single_node(id.0, &row)))
    }

    /// Reads one VM; `None` where there is no such VM.
    ///
    /// # Errors
    ///
    /// Any [`ApiFailure`]; [`ApiFailure::Unreadable`] where the VM does not say its node.
    pub async fn vm(&self, id: VmId) -> Result<Option<VmInfo>, ApiFailure> {
        let row = self.one::<HostRow>(HOSTS, id.0, &self.0.lacks.host_filter).await?;
        row.map(|row| {
            row.into_vm().ok_or_else(|| ApiFailure::Unreadable {
                what: format!("GET {HOSTS}"),
                said: AnswerFlaw::VmWithoutNode { vm: id },
            })
        })
        .transpose()
    }

    /// Reads where a VM is: the last word on how a migration ended.
    ///
    /// # Errors
    ///
    /// As [`VmManagerApi::vm`].
    pub async fn vm_place(&self, id: VmId) -> Result<Option<VmPlace>, ApiFailure> {
        Ok(self.vm(id).await?.map(|vm| VmPlace { node: vm.node, state: vm.state }))
    }

    /// Asks for the targets that VMmanager itself offers for a VM; `None` on servers without that form.
    ///
    /// # Errors
    ///
    /// Any [`ApiFailure`]; [`ApiFailure::NotFound`] where there is no such VM.
    pub async fn migrate_form(&self, vm: VmId) -> Result<Option<Vec<FormTarget>>, ApiFailure> {
        let lacks = &self.0.lacks.migrate_form;
        if lacks.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let ask = Ask::get(format!("{HOSTS}/{vm}/migrate"));
        let what = ask.what();
        match self.transport().read::<Vec<u8>>(ask).await {
            Ok(body) => self.parse_answer(what, &body, wire::migrate_form).map(Some),
            Err(error) if error.is_missing_function() => {
                tracing::debug!("this vmmanager has no migrate form; going on without");
                lacks.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what was done with a VM.
    pub async fn history(&self, vm: VmId) -> Result<History, ApiFailure> {
        self.transport().read::<wire::HistoryOf>(Ask::get(format!("{HOSTS}/{vm}/history"))).await
    }

    /// Reads every migration that waits or runs, and the reason where some stay unknown.
    pub(super) async fn unfinished_migrations(
        &self,
    ) -> Result<(Vec<RunningMigration>, Option<Flaw>), ApiFailure> {
        let Unfinished { migrations, unknown, .. } = self.unfinished_tasks().await?;
        Ok((migrations, unknown))
    }

    /// Reads the unfinished migrations, unless they were read at most `age_max` ago. A caller that comes meanwhile waits
    /// for the same answer.
    pub(super) async fn unfinished_lately(
        &self,
        age_max: Duration,
    ) -> Result<Arc<Vec<RunningMigration>>, ApiFailure> {
        let mut polled = self.0.polled.lock().await;
        if let Some((_, known)) = polled.as_ref().filter(|(at, _)| at.elapsed() <= age_max) {
            return Ok(Arc::clone(known));
        }
        let at = Instant::now();
        let running = Arc::new(self.unfinished_tasks().await?.migrations);
        *polled = Some((at, Arc::clone(&running)));
        Ok(running)
    }

    /// Looks for the migration task with this queue number; `None` while it has not appeared.
    pub async fn find_task(&self, consul_id: u64) -> Result<Option<TaskInfo>, ApiFailure> {
        let filter = format!("((consul_id EQ {consul_id}) AND (name EQ '{MIGRATION}'))");
        let rows = self.tasks(&filter).await?.rows;
        let ours = rows.into_iter().filter(|row| row.consul_id() == Some(consul_id));
        let migrations = ours.filter(|row| row.name().is_none_or(|name| name == MIGRATION));
        Ok(migrations.max_by_key(Kept::id).and_then(TaskRow::into_task))
    }

    /// Reads the task with this number of the task manager; `None` where there is none.
    pub async fn task(&self, task_id: u64) -> Result<Option<TaskInfo>, ApiFailure> {
        let ask = Ask::get(format!("{TASKS}/{task_id}"));
        let what = ask.what();
        match self.transport().read::<Vec<u8>>(ask).await {
            Ok(body) => self.parse_answer(what, &body, wire::task),
            Err(ApiFailure::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks whom the server takes us for; `None` on versions that do not say.
    ///
    /// # Errors
    ///
    /// Any [`ApiFailure`] but a missing function.
    pub async fn whoami(&self) -> Result<Option<Who>, ApiFailure> {
        let Some(body) = self.optional("/auth/v4/whoami").await? else { return Ok(None) };
        let email = wire::texts(&body, &["email"]).and_then(|mut texts| texts.remove("email"));
        Ok(Some(Who { email, roles: wire::roles(&body) }))
    }

    /// Asks for the version of the platform; `None` on versions that do not say.
    ///
    /// # Errors
    ///
    /// Any [`ApiFailure`] but a missing function.
    pub async fn version(&self) -> Result<Option<String>, ApiFailure> {
        let Some(body) = self.optional("/vm/v3/version").await? else { return Ok(None) };
        let texts = wire::texts(&body, &["version", "current_version", "platform_version"]);
        Ok(texts.and_then(|texts| texts.into_values().next()))
    }

    /// Returns what the server's clock said in its newest answer, to the second.
    #[must_use]
    pub fn server_date(&self) -> Option<DateTime<Utc>> {
        self.transport().date()
    }

    /// Ends the session within two seconds; a long-lived token is left alone. Never fails: sessions also end by
    /// themselves.
    pub async fn log_out(&self) {
        self.transport().log_out().await;
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    async fn optional(&self, path: &str) -> Result<Option<Vec<u8>>, ApiFailure> {
        match self.transport().read::<Vec<u8>>(Ask::get(path)).await {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.is_missing_function() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one row by its id, from the list form: the form by id lacks what belongs to the row.
    async fn one<T: Row>(
        &self,
        path: &'static str,
        id: u64,
        lacks: &AtomicBool,
    ) -> Result<Option<T::Kept>, ApiFailure> {
        let listed = match lacks.load(Ordering::Relaxed) {
            true => self.list::<T>(path, None).await?,
            false => match self.list::<T>(path, Some(&format!("(id EQ {id})"))).await {
                Err(error) if error.may_be_the_filter() => {
                    let whole = self.list::<T>(path, None).await?;
                    remember(lacks, path, &error);
                    whole
                }
                other => other?,
            },
        };
        Ok(listed.rows.into_iter().find(|row| row.id() == Some(id)))
    }

    /// Reads what waits or runs, and the reason where that is unknown.
    pub(super) async fn unfinished_tasks(&self) -> Result<Unfinished, ApiFailure> {
        let listed = match self.tasks(UNFINISHED).await {
            Ok(listed) => listed,
            Err(
                error @ (ApiFailure::Refused { .. }
                | ApiFailure::NotFound { .. }
                | ApiFailure::Forbidden { .. }),
            ) => {
                return Ok(Unfinished { unknown: Some(Flaw::TasksRefused(error)), ..Unfinished::default() });
            }
            Err(error) => return Err(error),
        };
        let rows = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        // A task without a number that is plainly over, or no migration, hides none.
        let may_hide = |row: &Option<TaskRow>| row.as_ref().is_none_or(|row| row.may_be_migration(MIGRATION));
        let odd: Vec<_> = listed.broken.iter().filter(|(_, row)| may_hide(row)).collect();
        let unknown = match (listed.promised, odd.first()) {
            (Some(promised), _) => {
                Some(Flaw::ShortList { list: List::Tasks, rows: rows(listed.len()), promised })
            }
            (None, None) => None,
            (None, Some((first, row))) => Some(Flaw::UnreadableRows {
                list: List::Tasks,
                rows: rows(odd.len()),
                first: rows(*first),
                shape: if row.is_some() { RowShape::NoId } else { RowShape::NoObject },
            }),
        };
        let migrations = listed.each().filter_map(|(id, row)| unfinished_migration(id, row)).collect();
        let others = listed.each().filter_map(|(id, row)| other_task(id, row)).collect();
        Ok(Unfinished { migrations, others, unknown })
    }

    /// Reads tasks by a filter, or the newest ones where the server cannot filter.
    async fn tasks(&self, filter: &str) -> Result<Listed<TaskRow>, ApiFailure> {
        let lacks = &self.0.lacks.task_filter;
        if lacks.load(Ordering::Relaxed) {
            return self.newest_tasks().await;
        }
        match self.list::<TaskRow>(TASKS, Some(filter)).await {
            Err(error) if error.may_be_the_filter() => {
                let newest = self.newest_tasks().await?;
                remember(lacks, TASKS, &error);
                Ok(newest)
            }
            other => other,
        }
    }

    async fn newest_tasks(&self) -> Result<Listed<TaskRow>, ApiFailure> {
        let ask = Ask::get(TASKS).with("limit", format!("0,{PAGE_ROWS}")).with("orderby", "id desc");
        let page = self.page::<TaskRow>(ask).await?;
        let mut gathered = Gathered::default();
        gathered.take(page);
        Ok(gathered.into_listed())
    }

    /// Reads a whole list, page after page where one answer does not hold it.
    async fn list<T: Row>(
        &self,
        path: &'static str,
        filter: Option<&str>,
    ) -> Result<Listed<T::Kept>, ApiFailure> {
        let ask = || filter.into_iter().fold(Ask::get(path), |ask, filter| ask.with("where", filter));
        let mut gathered = Gathered::default();
        gathered.take(self.page::<T>(ask()).await?);
        // The first answer may be in another order than the pages: what is missing then is found from the start.
        for start in [gathered.count(), 0] {
            let mut offset = start;
            for _ in 0..PAGES_MAX {
                if !gathered.is_short() {
                    return Ok(gathered.into_listed());
                }
                let next = ask().with("limit", format!("{offset},{PAGE_ROWS}")).with("orderby", "id asc");
                let rows = match self.page::<T>(next).await {
                    Ok(page) => gathered.take(page),
                    // A server that cannot page leaves us with a picture that is marked as short.
                    Err(error) if error.may_be_the_filter() => return Ok(gathered.into_listed()),
                    Err(error) => return Err(error),
                };
                if rows == 0 {
                    break;
                }
                offset += rows;
            }
        }
        Ok(gathered.into_listed())
    }

    async fn page<T: Row>(&self, ask: Ask) -> Result<wire::Page<T::Kept>, ApiFailure> {
        self.transport().read::<wire::PageOf<T>>(ask).await
    }

    fn parse_answer<T>(
        &self,
        what: String,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, ApiFailure> {
        parse(body).map_err(|error| ApiFailure::Unreadable { what, said: wire::unreadable(&error, body) })
    }
}

/// Rows from several pages, each once.
struct Gathered<T> {
    listed: Listed<T>,
    seen: HashSet<u64>,
    size: Option<u64>,
    pages: usize,
    /// How many rows came in all, on every page.
    read: usize,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { listed: Listed::default(), seen: HashSet::new(), size: None, pages: 0, read: 0 }
    }
}

impl<T: Kept> Listed<T> {
    /// Compares a row with the earlier one of its id: where they contradict each other, neither is believed.
    fn compare(&mut self, mut row: T) {
        let earlier = self.rows.iter_mut().find(|known| known.id() == row.id());
        if let Some(earlier) = earlier.filter(|earlier| earlier.contradicts(&row)) {
            earlier.doubt();
            row.doubt();
            self.twins.push(row);
        }
    }
}

impl<T: Kept> Gathered<T> {
    /// Takes a page and returns how many rows it had. The rows of the first one stay where they are.
    fn take(&mut self, page: wire::Page<T>) -> usize {
        let (before, rows) = (self.read, page.rows.len());
        self.read += rows;
        // Things come and go between two pages: the last word on the size counts.
        self.size = page.size.or(self.size);
        self.pages += 1;
        let is_first = self.pages == 1;
        let mut again = Vec::new();
        let Self { listed: Listed { broken, doubled, .. }, seen, .. } = self;
        let fresh = page.rows.into_iter().enumerate().filter_map(|(at, row)| {
            let Some(id) = row.as_ref().and_then(Kept::id) else {
                broken.push((before + at + 1, row));
                return None;
            };
            let is_new = seen.insert(id);
            // Pages may overlap; one answer must not.
            *doubled += usize::from(!is_new && is_first);
            if is_new {
                return row;
            }
            again.extend(row);
            None
        });
        let fresh: Vec<_> = fresh.collect();
        match is_first {
            true => self.listed.rows = fresh,
            false => self.listed.rows.extend(fresh),
        }
        again.into_iter().for_each(|row| self.listed.compare(row));
        rows
    }

    fn count(&self) -> usize {
        self.listed.len()
    }

    fn is_short(&self) -> bool {
        self.size.is_some_and(|size| (self.count() as u64) < size)
    }

    fn into_listed(mut self) -> Listed<T> {
        self.listed.promised = self.size.filter(|_| self.is_short());
        self.listed
    }
}

fn unfinished_migration(id: u64, row: &TaskRow) -> Option<RunningMigration> {
    let status = row.status().unwrap_or_default();
    // A filter may have been ignored, and a task without a name may be anything.
    if row.name().is_some_and(|name| name != MIGRATION) || TaskStatus::from_word(&status).has_ended() {
        return None;
    }
    Some(RunningMigration { task_id: id, consul_id: row.consul_id(), status, vm: row.vm().map(VmId) })
}

/// A task with a name that is no migration's. Without a working filter the list also has tasks that ended long ago, and
/// an unknown word at the end of one of those must not occupy its VM for ever.
fn other_task(id: u64, row: &TaskRow) -> Option<OtherTask> {
    let name = row.name().filter(|name| name != MIGRATION)?;
    let status = TaskStatus::from_word(&row.status().unwrap_or_default());
    let goes_on = !status.has_ended() && !status.may_be_the_end();
    goes_on.then(|| OtherTask { task_id: id, name, vm: row.vm().map(VmId) })
}

fn remember(lacks: &AtomicBool, path: &str, error: &ApiFailure) {
    tracing::warn!(path, %error, "this vmmanager does not filter here; reading without a filter from now on");
    lacks.store(true, Ordering::Relaxed);
}

/// Does long work beside the threads that everything else waits on.
async fn aside<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiFailure> {
    match tokio::task::spawn_blocking(work).await {
        // The process ends before the answer was read. That is no failure of VMmanager: who waits is dropped too.
        Err(error) if error.is_cancelled() => std::future::pending().await,
        read => read.map_err(|error| ApiFailure::Unreadable {
            what: what.to_owned(),
            said: AnswerFlaw::Panicked(error.to_string().into()),
        }),
    }
}
