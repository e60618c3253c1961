//! A simulated VMmanager 6: it answers over HTTP like the real one, and records requests that break its rules.
//!
//! Knows the model and nothing else of the program. For tests, and for people who try the program.

mod engine;
mod fault;
mod filter;
mod generate;
mod render;
mod server;
mod world;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use engine::{OrderSeen, Pace, TaskSeen, Violation};
pub use fault::{Fault, Rule};
pub use generate::Scale;
pub use render::Profile;
pub use server::{RequestSeen, TokenSeen};
pub use world::{SimCluster, SimNode, SimVm, World, WorldBuilder};

use crate::model::{NodeId, VmId};
use server::Shared;

/// How the simulated server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The prefix of `/vm/v3/…`, e.g. `/api`.
    pub path_prefix: String,
    pub profile: Profile,
    pub username: String,
    pub password: String,
    /// What the user is, as the platform names it.
    pub role: String,
    /// A long-lived token that is valid from the start.
    pub token: String,
    pub pace: Pace,
    /// The time until an order appears in the task list, and the time until its task starts.
    pub task_delay: Duration,
    /// When the server's clock starts.
    pub starts_at: DateTime<Utc>,
    /// How long an unused session stays valid.
    pub idle_limit: Duration,
    /// The status of a wrong password's answer; the real one is unknown.
    pub refused_login_status: u16,
}

impl Default for Options {
    /// A current server on a port of the system's choice, with migrations of 30 ms.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            path_prefix: String::new(),
            profile: Profile::Current,
            username: "balancer@example.com".into(),
            password: "correct horse battery".into(),
            role: "@admin".into(),
            token: "3-long-lived-token-of-the-sandbox".into(),
            pace: Pace::After(Duration::from_millis(30)),
            task_delay: Duration::from_millis(5),
            starts_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_577),
            idle_limit: Duration::from_secs(3600),
            refused_login_status: 401,
        }
    }
}

/// Starts simulated servers.
///
/// ```
/// use vm_balancer::sandbox::vmmanager::{Fault, Options, SimVmManager, World};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let sim = SimVmManager::start(World::small(), Options::default()).await?;
/// sim.arm(Fault::Unavailable);
/// assert!(sim.url().starts_with("http://127.0.0.1:"));
/// assert!(sim.violations().is_empty());
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
pub struct SimVmManager;

impl SimVmManager {
    /// Starts a server with a world in it.
    ///
    /// # Errors
    ///
    /// Where the address cannot be listened on.
    pub async fn start(world: World, options: Options) -> std::io::Result<Running> {
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(world, options));
        let closed = Arc::new(AtomicBool::new(false));
        let serving = tokio::spawn(server::serve(listener, shared.clone(), closed.clone()));
        let server = Arc::new(Server { serving, closed });
        Ok(Running { shared, address, _server: server })
    }
}

/// A running server: its requests, its orders, and its faults. All clones are one server, which
/// ends with the last of them.
#[derive(Clone)]
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Ends the server when the last handle is dropped.
    _server: Arc<Server>,
}

struct Server {
    serving: tokio::task::JoinHandle<()>,
    closed: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.serving.abort();
    }
}

/// What a page or a test can see of the platform.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub now: DateTime<Utc>,
    pub clusters: Vec<SimCluster>,
    pub nodes: Vec<SimNode>,
    pub vms: Vec<SimVm>,
    pub tasks: Vec<TaskSeen>,
    pub faults: Vec<Rule>,
    pub violations: Vec<Violation>,
}

impl Running {
    /// Returns the base URL, without a slash behind it and without the path prefix.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn options(&self) -> Options {
        self.state().options.clone()
    }

    /// Returns the whole visible state, as plain data.
    #[must_use]
    pub fn view(&self) -> View {
        self.state().view()
    }

    /// Returns the platform as it is.
    #[must_use]
    pub fn world(&self) -> World {
        self.state().engine.world.clone()
    }

    /// Looks at the platform in place, without a copy.
    pub fn look<R>(&self, look: impl FnOnce(&World) -> R) -> R {
        look(&self.state().engine.world)
    }

    /// Returns a number that grows whenever the platform changes.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().engine.version
    }

    /// Returns the node a VM is on.
    #[must_use]
    pub fn node_of(&self, vm: VmId) -> Option<NodeId> {
        self.state().engine.world.vms.get(&vm).map(|vm| vm.node)
    }

    /// Returns every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.state().requests.iter().cloned().collect()
    }

    /// Counts the requests with this text in `METHOD /path?query`.
    #[must_use]
    pub fn count_requests(&self, text: &str) -> usize {
        self.state().requests.iter().filter(|request| request.line().contains(text)).count()
    }

    /// Returns every order that was taken, oldest first.
    #[must_use]
    pub fn orders(&self) -> Vec<OrderSeen> {
        self.state().engine.orders.clone()
    }

    /// Returns every task, oldest first.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskSeen> {
        self.state().engine.tasks.values().map(|task| task.seen.clone()).collect()
    }

    /// Returns the violations of the API's rules; empty for a correct client.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.state().engine.violations.clone()
    }

    /// Switches a fault on for its next occurrence.
    pub fn arm(&self, fault: Fault) {
        self.rule(Rule::times(fault, 1));
    }

    /// Switches a fault on for this many occurrences.
    pub fn arm_times(&self, fault: Fault, times: u32) {
        self.rule(Rule::times(fault, times));
    }

    /// Switches a fault on until it is switched off.
    pub fn switch_on(&self, fault: Fault) {
        self.rule(Rule::always(fault));
    }

    /// Adds a rule about a fault. Events such as [`Fault::ForeignMigration`] happen at once.
    pub fn rule(&self, rule: Rule) {
        self.state().add(rule);
    }

    /// Ends every fault of this kind, whatever its numbers.
    pub fn switch_off(&self, fault: &Fault) {
        self.state().remove(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().heal();
    }

    /// Returns the faults in force.
    #[must_use]
    pub fn faults(&self) -> Vec<Rule> {
        self.state().engine.faults.0.clone()
    }

    /// Starts a migration that the bot did not order; returns the queue's number.
    pub fn foreign_migration(&self, vm: VmId, target: NodeId, says_vm: bool) -> Option<u64> {
        let mut state = self.state();
        let now = state.elapsed();
        state.engine.foreign(Some(vm), Some(target), says_vm, now)
    }

    /// Ends a task at once, by its queue's number, with its planned result.
    pub fn finish(&self, consul_id: u64) {
        let mut state = self.state();
        let now = state.elapsed();
        state.engine.finish(consul_id, now);
    }

    /// Ends the tasks that [`Fault::RunsForever`] keeps running.
    pub fn finish_endless(&self) {
        let mut state = self.state();
        let now = state.elapsed();
        state.engine.finish_endless(now);
    }

    /// Restores the platform from a backup: its tasks and histories are gone, and their numbers begin anew.
    pub fn restore_from_backup(&self) {
        self.state().engine.restore();
    }

    /// Ends everything that runs.
    pub fn finish_all(&self) {
        let mut state = self.state();
        let now = state.elapsed();
        for consul in state.engine.open_tasks() {
            state.engine.finish(consul, now);
        }
    }

    /// Makes a task fail at once, with its output.
    pub fn fail(&self, consul_id: u64, output: &str) {
        let mut state = self.state();
        let now = state.elapsed();
        state.engine.fail(consul_id, output, now);
    }

    /// Moves the server's clock forward, so that sessions expire and tasks proceed.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.advanced += by;
        let now = state.elapsed();
        state.engine.catch_up(now);
    }

    /// Changes the platform by hand; the nodes' counters follow.
    pub fn edit(&self, change: impl FnOnce(&mut World)) {
        self.state().engine.edit(change);
    }

    /// Puts a node into maintenance, or takes it out.
    pub fn set_maintenance(&self, node: NodeId, maintenance: bool) {
        self.edit(|world| {
            world.nodes.entry(node).and_modify(|node| node.maintenance = maintenance);
        });
    }

    /// Deletes a VM.
    pub fn remove_vm(&self, vm: VmId) {
        self.edit(|world| drop(world.vms.remove(&vm)));
    }

    /// Deletes a node; its VMs are left without one.
    pub fn remove_node(&self, node: NodeId) {
        self.edit(|world| drop(world.nodes.remove(&node)));
    }

    /// Makes the server answer like another kind of server.
    pub fn set_profile(&self, profile: Profile) {
        self.state().options.profile = profile;
    }

    /// Changes the duration of migrations that are ordered from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.state().engine.set_pace(pace);
    }

    /// Ends all sessions, as a restart of the server would.
    pub fn end_sessions(&self) {
        self.state().sessions.clear();
    }

    /// Tells how many sessions are open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.state().sessions.len()
    }

    fn state(&self) -> MutexGuard<'_, server::State> {
        self.shared.state()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
