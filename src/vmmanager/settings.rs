//! Where the server is, who we are there, and how long we wait.

use std::{fmt, time::Duration};

use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

/// How to reach a VMmanager 6 platform.
///
/// ```
/// use vm_balancer::{Credentials, VmManagerApi, VmManagerSettings};
///
/// let credentials = Credentials::Token("3-a-long-lived-token".to_owned().into());
/// let settings = VmManagerSettings::new("https://vm.example.com".parse()?, credentials);
/// assert!(!format!("{settings:?}").contains("long-lived"));
/// let api = VmManagerApi::new(settings)?;
/// # let _ = api;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Settings {
    /// VMmanager's address, without the path of the API.
    pub base_url: Url,
    /// What stands between the address and `/vm/v3/…`, e.g. `/api`; usually empty.
    pub path_prefix: String,
    /// What to log in with.
    pub credentials: Credentials,
    /// `false` takes any certificate.
    pub verify_tls: bool,
    /// PEM text of a private authority, trusted beside the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// `http`, `https`, `socks5` or `socks5h`; without one the usual variables count.
    pub proxy: Option<SecretString>,
    /// How long requests may take and how often they are tried.
    pub timing: Timing,
}

/// What to log in with.
#[derive(Clone)]
pub enum Credentials {
    /// A short session is opened with them, and opened again when it ends.
    Password {
        /// The user's name, usually an e-mail address.
        username: String,
        /// The user's password.
        password: SecretString,
    },
    /// A long-lived token, used as it is.
    Token(SecretString),
}

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// For a connection, TLS included. A management network answers in milliseconds; 10 s outlasts a lost packet.
    pub connect_timeout: Duration,
    /// For one whole request. Lists of tens of thousands of VMs take the server long; 60 s.
    pub request_timeout: Duration,
    /// How often a read is repeated after silence (500, 502, 504, reset, timeout); 3, so one cycle stays short.
    pub read_retries: usize,
    /// The wait before the first repeated read, doubled each time up to [`Timing::retry_wait_max`]; 0.5 s.
    pub retry_wait: Duration,
    /// The longest wait between two repeated reads; 5 s.
    pub retry_wait_max: Duration,
    /// The wait after the first 503, half as long again each time; 0.5 s, as VMmanager's own modules do.
    pub unavailable_wait: Duration,
    /// The longest wait between two requests answered with 503; 3 s.
    pub unavailable_wait_max: Duration,
    /// When a service that answers 503 is given up; 60 s, as VMmanager's own modules do.
    pub unavailable_total: Duration,
    /// The least time between login attempts after a refused password; 60 s, since lock-out rules are unknown.
    pub login_pause: Duration,
    /// After this many refusals of one password the pause grows to `login_long_pause`; 3.
    pub login_refusals_max: u32,
    /// How long until the next try after that. Somebody may correct the password without restarting the bot.
    pub login_long_pause: Duration,
    /// A session younger than this is not opened anew on "no permission"; 60 s, the shortest idle time
    /// an administrator can set.
    pub fresh_for: Duration,
    /// How often a running task is asked for; 5 s, as VMmanager's own clients do.
    pub poll_interval: Duration,
    /// How long an ordered task may stay invisible in the task list; 30 s.
    pub task_appears_within: Duration,
}

impl Settings {
    /// Settings with checked certificates, no prefix and the usual timing.
    #[must_use]
    pub fn new(base_url: Url, credentials: Credentials) -> Self {
        Self {
            base_url,
            path_prefix: String::new(),
            credentials,
            verify_tls: true,
            ca_pem: None,
            proxy: None,
            timing: Timing::default(),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            read_retries: 3,
            retry_wait: Duration::from_millis(500),
            retry_wait_max: Duration::from_secs(5),
            unavailable_wait: Duration::from_millis(500),
            unavailable_wait_max: Duration::from_secs(3),
            unavailable_total: Duration::from_secs(60),
            login_pause: Duration::from_secs(60),
            login_refusals_max: 3,
            login_long_pause: Duration::from_secs(3600),
            fresh_for: Duration::from_secs(60),
            poll_interval: Duration::from_secs(5),
            task_appears_within: Duration::from_secs(30),
        }
    }
}

/// How long a request is repeated while the answer is 503, and with which pauses.
#[derive(Clone, Debug)]
pub struct Patience {
    began: Instant,
    next: Duration,
    max: Duration,
    total: Duration,
}

impl Patience {
    /// Returns the wait before the next try, half as long again each time; `None` where it is given up.
    pub fn next_pause(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = pause.mul_f64(1.5).min(self.max);
        (self.waiting_time() + pause <= self.total).then_some(pause)
    }

    /// Returns how long it has been going on.
    #[must_use]
    pub fn waiting_time(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Timing {
    pub(super) fn patience(&self) -> Patience {
        let Self { unavailable_wait, unavailable_wait_max, unavailable_total, .. } = *self;
        Patience {
            began: Instant::now(),
            next: unavailable_wait,
            max: unavailable_wait_max,
            total: unavailable_total,
        }
    }

    /// One try of a few seconds each, for somebody who waits for the answer.
    #[must_use]
    pub fn trial() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            read_retries: 0,
            unavailable_total: Duration::from_secs(3),
            ..Self::default()
        }
    }

    /// Waits of milliseconds, for a simulated server on the same machine.
    #[must_use]
    pub fn short() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            read_retries: 3,
            retry_wait: Duration::from_millis(2),
            retry_wait_max: Duration::from_millis(10),
            unavailable_wait: Duration::from_millis(2),
            unavailable_wait_max: Duration::from_millis(10),
            unavailable_total: Duration::from_millis(500),
            login_pause: Duration::from_millis(200),
            login_refusals_max: 3,
            login_long_pause: Duration::from_secs(3600),
            fresh_for: Duration::from_millis(50),
            poll_interval: Duration::from_millis(10),
            task_appears_within: Duration::from_millis(300),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_url, path_prefix, credentials, verify_tls, ca_pem, proxy, timing } = self;
        // The host alone: a URL may carry a password.
        f.debug_struct("Settings")
            .field("host", &base_url.host_str())
            .field("path_prefix", path_prefix)
            .field("credentials", credentials)
            .field("verify_tls", verify_tls)
            .field("ca_pem", &ca_pem.is_some())
            .field("proxy", &proxy.is_some())
            .field("timing", timing)
            .finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}
