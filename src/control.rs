//! A socket in `DATA_DIR`: how the command line asks a running bot. One line of JSON each way; a history is many.
//!
//! Only the bot's own user may open it. Knows what may be asked, not what is printed.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    meter::Beat,
    model::{Quote, Snapshot, StoreFailure},
    planner::Policy,
    scheduler::{Handle, Refused},
    store::{JournalEntry, Store, make_private},
};

/// The socket's name in `DATA_DIR`.
const NAME: &str = "control.sock";

/// The kernel takes 107 bytes for a socket's path; a longer one goes by way of the open folder.
const PATH_MAX: usize = 100;

/// The longest request. Ours are far shorter than a kilobyte, so anything longer is not from our client.
const REQUEST_BYTES_MAX: u64 = 1024;

/// A snapshot of 50 000 VMs is some 20 MB.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Our client sends its line at once.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// A look may wait for a VMmanager that restarts (60 s) and for slow lists behind that.
const ANSWER_WAIT: Duration = Duration::from_secs(180);

/// A person has a few terminals, not more.
const CONNECTIONS_MAX: usize = 8;

/// How many entries of the history one line of an answer holds: some 200 kB.
pub const HISTORY_PAGE: usize = 200;

/// How many lines may wait for the client to read them. Then their maker waits too.
const LINES_AHEAD: usize = 2;

/// What may be asked of a running bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Whether somebody is there.
    Ping,
    /// Whether the loops are alive.
    Health,
    /// The platform as it is now, with the policy in force: enough to plan.
    Look,
    /// What was done, newest first. The answer is one line of entries after the other, and how many they were.
    History { limit: usize },
}

/// What a running bot answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Pong {
        pid: u32,
    },
    Health {
        /// Loops that gave no sign of life for longer than they may.
        stuck: Vec<String>,
    },
    Look {
        snapshot: Box<Snapshot>,
        policy: Box<Policy>,
    },
    /// A part of the history; another follows.
    History {
        entries: Vec<JournalEntry>,
    },
    /// The history, with a number of entries.
    HistoryEnd {
        entries: u64,
    },
    /// The bot could not, or did not understand.
    Refused {
        why: Unanswered,
    },
}

/// Why a running bot has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// The request is none of this version's.
    NotUnderstood(Quote),
    Refused(Refused),
    Store(StoreFailure),
    /// The words of a bot of an older version.
    #[serde(untagged)]
    Other(Quote),
}

/// Why the socket cannot be opened or asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("another vm-balancer listens on {}", .0.display())]
    Taken(PathBuf),
    #[error("failed to {doing} {}", .path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the running vm-balancer gave no answer")]
    NoAnswer,
    #[error("the running vm-balancer's answer was cut off")]
    CutOff,
    #[error("the running vm-balancer is of another version and was not understood")]
    NotUnderstood(#[source] serde_json::Error),
}

/// The open socket of a bot; it goes away with it.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Makes `DATA_DIR` where it is missing, for its owner alone, and closes off one that is there.
pub fn make_data_dir(dir: &Path) -> Result<(), ControlError> {
    make_private(dir).map_err(failed_to("create", dir))
}

impl Control {
    /// Opens the socket in `dir`; one that a killed bot left behind is replaced.
    ///
    /// # Errors
    ///
    /// Says that another bot listens, or what the disk said.
    pub async fn open(dir: &Path) -> Result<Self, ControlError> {
        make_data_dir(dir)?;
        let path = dir.join(NAME);
        let address = Address::of(dir)?;
        if UnixStream::connect(&address.path).await.is_ok() {
            return Err(ControlError::Taken(path));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed_to("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&address.path).map_err(failed_to("open", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed_to("close off", &path))?;
        Ok(Self { listener, path })
    }

    /// Answers until the shutdown, several clients side by side.
    pub async fn serve(self, handle: Handle, store: Store, beats: Vec<Beat>, shutdown: CancellationToken) {
        let parts = (handle, store, beats);
        self.serve_with(shutdown, move |request, replies| answer(request, replies, parts.clone())).await;
    }

    async fn serve_with<F, A>(self, shutdown: CancellationToken, answer: F)
    where
        F: Fn(Request, Replies) -> A + Clone + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let mut clients = JoinSet::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            while clients.try_join_next().is_some() {}
            match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let answer = answer.clone();
                    clients.spawn(async move {
                        let _place = place;
                        serve_one(stream, answer).await;
                    });
                }
                // Too many at once: the connection is dropped, and the client says so.
                (Ok(_), Err(_)) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "a client of the control socket was lost");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        clients.shutdown().await;
    }
}

/// Where the lines of an answer go.
type Replies = mpsc::Sender<Answer>;

/// Out of file descriptors, accepting fails at once and again: without a pause that would be a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Drop for Control {
    fn drop(&mut self) {
        // Left behind, it would be replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Asks the bot that runs on `dir`; `None` where there is none.
///
/// # Errors
///
/// Says that there is one and that it cannot be asked.
pub async fn ask(dir: &Path, request: &Request) -> Result<Option<Answer>, ControlError> {
    let Some(mut answers) = ask_for_all(dir, request).await? else { return Ok(None) };
    answers.next().await?.map(Some).ok_or(ControlError::NoAnswer)
}

/// Asks the bot that runs on `dir` for an answer of several lines; `None` where there is none.
///
/// # Errors
///
/// As [`ask`].
pub async fn ask_for_all(dir: &Path, request: &Request) -> Result<Option<Answers>, ControlError> {
    let path = dir.join(NAME);
    if !path.exists() {
        return Ok(None);
    }
    let address = Address::of(dir)?;
    let stream = match UnixStream::connect(&address.path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed_to("ask", &path)(error)),
    };
    let (reading, mut writing) = stream.into_split();
    send(&mut writing, request).await.map_err(failed_to("ask", &path))?;
    Ok(Some(Answers { lines: BufReader::new(reading), _writing: writing, path }))
}

/// The lines of an answer.
#[derive(Debug)]
pub struct Answers {
    lines: BufReader<OwnedReadHalf>,
    /// Kept open: the bot may take a caller that stops writing for gone.
    _writing: OwnedWriteHalf,
    path: PathBuf,
}

impl Answers {
    /// Waits for the next line; `None` where nothing more comes.
    ///
    /// # Errors
    ///
    /// Says that nothing came in time, or something that is not understood.
    pub async fn next(&mut self) -> Result<Option<Answer>, ControlError> {
        let mut line = String::new();
        timeout(ANSWER_WAIT, (&mut self.lines).take(ANSWER_BYTES_MAX).read_line(&mut line))
            .await
            .map_err(|_| ControlError::NoAnswer)?
            .map_err(failed_to("ask", &self.path))?;
        if line.is_empty() {
            return Ok(None);
        }
        // As the store reads, so that the code for its records is compiled once.
        serde_json::from_slice(line.as_bytes()).map(Some).map_err(ControlError::NotUnderstood)
    }
}

async fn serve_one<A: Future<Output = ()>>(stream: UnixStream, answer: impl FnOnce(Request, Replies) -> A) {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading).take(REQUEST_BYTES_MAX);
    let request = match timeout(REQUEST_WAIT, reading.read_line(&mut line)).await {
        Ok(Ok(_)) => serde_json::from_slice(line.as_bytes()),
        // A caller that asks nothing needs no answer.
        Ok(Err(_)) | Err(_) => return,
    };
    let (replies, mut lines) = mpsc::channel(LINES_AHEAD);
    let answered = async {
        match request {
            Ok(request) => answer(request, replies).await,
            Err(error) => {
                let why = Unanswered::NotUnderstood(error.to_string().into());
                let _ = replies.send(Answer::Refused { why }).await;
            }
        }
    };
    let sent = async move {
        while let Some(line) = lines.recv().await {
            // A client that went away needs no answer either.
            if send(&mut writing, &line).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(answered, sent);
}

async fn send(writing: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    writing.write_all(&line).await?;
    writing.flush().await
}

async fn answer(request: Request, replies: Replies, (handle, store, beats): (Handle, Store, Vec<Beat>)) {
    let answer = match request {
        Request::Health => {
            let late = beats.iter().filter(|beat| beat.is_late());
            Answer::Health { stuck: late.map(|beat| beat.name().to_owned()).collect() }
        }
        Request::Ping => Answer::Pong { pid: std::process::id() },
        Request::Look => match handle.look().await {
            Ok(picture) => Answer::Look {
                snapshot: Box::new(Arc::unwrap_or_clone(picture.snapshot)),
                policy: Box::new(Arc::unwrap_or_clone(picture.policy)),
            },
            Err(refused) => Answer::Refused { why: Unanswered::Refused(refused) },
        },
        Request::History { limit } => tell_history(store, limit, &replies).await,
    };
    let _ = replies.send(answer).await;
}

/// Reads the history page by page, no faster than the client does; returns the last line.
async fn tell_history(store: Store, limit: usize, replies: &Replies) -> Answer {
    let (mut told, mut before) = (0, None);
    while told < limit {
        let (store, page) = (store.clone(), HISTORY_PAGE.min(limit - told));
        let read = tokio::task::spawn_blocking(move || store.newest_entries(before, page)).await;
        let entries = match read {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => return Answer::Refused { why: Unanswered::Store(error.failure()) },
            Err(error) => {
                let failure = StoreFailure::Other(error.to_string().into());
                return Answer::Refused { why: Unanswered::Store(failure) };
            }
        };
        let Some(last) = entries.last() else { break };
        before = Some(last.id);
        told += entries.len();
        if replies.send(Answer::History { entries }).await.is_err() {
            break;
        }
    }
    Answer::HistoryEnd { entries: told.try_into().unwrap_or(u64::MAX) }
}

/// Where the kernel finds the socket.
struct Address {
    path: PathBuf,
    /// Keeps the folder open while the path goes through it.
    _dir: Option<File>,
}

impl Address {
    fn of(dir: &Path) -> Result<Self, ControlError> {
        let path = dir.join(NAME);
        if path.as_os_str().len() <= PATH_MAX {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(dir).map_err(failed_to("open", dir))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()));
        Ok(Self { path, _dir: Some(dir) })
    }
}

fn failed_to(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ControlError {
    let path = path.to_owned();
    move |source| ControlError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::{
        model::{ProposalId, VmId},
        planner::{Rest, RestWhy},
        store::{Outcome, tests::intent},
    };

    #[tokio::test]
    async fn nobody_answers_where_no_bot_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None);
        assert_eq!(ask(&dir.path().join("missing"), &Request::Ping).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_question_comes_back_answered() {
        let dir = tempfile::tempdir().unwrap();
        let bot = Bot::in_dir(dir.path()).await;
        let asked = ask(dir.path(), &Request::History { limit: 3 }).await.unwrap();
        assert_eq!(asked, Some(Answer::Refused { why: Unanswered::Other("History { limit: 3 }".into()) }));
        bot.stop().await;
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None);
        assert!(!dir.path().join(NAME).exists(), "the socket goes away with the bot");
    }

    #[tokio::test]
    async fn a_picture_survives_the_way() {
        let policy = Policy {
            resting: [(VmId(7), Rest { until: DateTime::UNIX_EPOCH, why: RestWhy::Moved })].into(),
            measurement_max_age: TimeDelta::milliseconds(1500),
            ..Policy::default()
        };
        let answer = Answer::Look {
            snapshot: Box::new(Snapshot::empty(DateTime::UNIX_EPOCH)),
            policy: Box::new(policy),
        };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }

    #[tokio::test]
    async fn a_history_comes_whole_however_long_it_is() {
        let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(data.path()).unwrap();
        let all = 2 * HISTORY_PAGE + 7;
        for vm in 0..all as u64 {
            let entry = store.intend(intent(ProposalId(1), vm)).unwrap();
            store.close(entry.id, Outcome::Done, None, DateTime::UNIX_EPOCH).unwrap();
        }
        let control = Control::open(dir.path()).await.unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(control.serve(Handle::to_nobody(), store, Vec::new(), shutdown.clone()));
        for (limit, wanted) in [(usize::MAX, all), (HISTORY_PAGE + 1, HISTORY_PAGE + 1), (0, 0)] {
            let asked = ask_for_all(dir.path(), &Request::History { limit }).await.unwrap();
            let (mut answers, mut vms) = (asked.unwrap(), Vec::new());
            let end = loop {
                match answers.next().await.unwrap().unwrap() {
                    Answer::History { entries } => vms.extend(entries.into_iter().map(|entry| entry.vm.0)),
                    other => break other,
                }
            };
            assert_eq!(end, Answer::HistoryEnd { entries: wanted as u64 });
            let newest_first: Vec<_> = (0..all as u64).rev().take(wanted).collect();
            assert_eq!(vms, newest_first);
            assert_eq!(answers.next().await.unwrap(), None);
        }
        shutdown.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn only_the_owner_may_ask() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        let bot = Bot::in_dir(&dir).await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join(NAME))), (0o700, 0o600));
        bot.stop().await;
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(NAME)).unwrap());
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None, "nobody listens behind it");
        let bot = Bot::in_dir(dir.path()).await;
        assert!(matches!(Control::open(dir.path()).await, Err(ControlError::Taken(_))));
        assert!(ask(dir.path(), &Request::Ping).await.unwrap().is_some(), "the first one goes on");
        bot.stop().await;
    }

    #[tokio::test]
    async fn a_deep_folder_is_no_hindrance() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("d".repeat(60)).join("e".repeat(60));
        let bot = Bot::in_dir(&dir).await;
        assert!(ask(&dir, &Request::Ping).await.unwrap().is_some());
        bot.stop().await;
    }

    #[tokio::test]
    async fn nonsense_is_answered_and_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let bot = Bot::in_dir(dir.path()).await;
        let long = "x".repeat(5000);
        for nonsense in ["{}\n", "\"shutdown\"\n", long.as_str(), "\n"] {
            let mut stream = UnixStream::connect(dir.path().join(NAME)).await.unwrap();
            stream.write_all(nonsense.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut told = String::new();
            // A caller that is still sending may be cut off before it can read the answer.
            if stream.read_to_string(&mut told).await.is_ok() {
                assert!(told.contains("not_understood"), "{told}");
            }
        }
        assert!(ask(dir.path(), &Request::Ping).await.unwrap().is_some());
        bot.stop().await;
    }

    /// A control socket that refuses everything with the request in its own words.
    struct Bot {
        shutdown: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Bot {
        async fn in_dir(dir: &Path) -> Self {
            let control = Control::open(dir).await.unwrap();
            let shutdown = CancellationToken::new();
            let answer = |request, replies: Replies| async move {
                let why = Unanswered::Other(format!("{request:?}").into());
                let _ = replies.send(Answer::Refused { why }).await;
            };
            let task = tokio::spawn(control.serve_with(shutdown.clone(), answer));
            Self { shutdown, task }
        }

        async fn stop(self) {
            self.shutdown.cancel();
            self.task.await.unwrap();
        }
    }
}
