//! `vm-balancer init`: from nothing to a configuration that works. Each answer is tried as it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, BufRead, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    check::{self, Finding, State},
    run::{CONFIG_FILE, PACKAGE_FILE},
};
use crate::{
    clock::Clock,
    config::{Config, Purpose, VARIABLES, read_env_file},
    telegram::{self, Met},
};

/// What somebody without a terminal is to do.
const WHAT_TO_SET: &str = "\
set these in a file named .env, or in the environment, and then run `vm-balancer check`:

VMMANAGER_HOST=https://vmmanager.example.com
VMMANAGER_USERNAME=a user of VMmanager that may migrate VMs
VMMANAGER_PASSWORD=the password of that user
TELEGRAM_BOT_TOKEN=what BotFather (https://t.me/BotFather) answers to /newbot; leave it empty for no chat
TELEGRAM_CHAT_ID=the number of the chat for reports, e.g. -1001234567890
TELEGRAM_ADMIN_IDS=your own number in Telegram, which the bot answers to /whoami

without a bot set BALANCE_MODE=auto or BALANCE_MODE=off too.
config.env.example names every other variable with its default.
";

/// Every variable with one line about it.
const EXAMPLE: &str = include_str!("../../config.env.example");

/// What the package's file sets by itself.
const SET_BY_PACKAGE: [&str; 2] = ["DATA_DIR", "SSH_KNOWN_HOSTS"];

/// What is asked for only where it may be the remedy.
const REMEDIES: [(&str, &str); 4] = [
    ("VMMANAGER_CA_FILE", "PEM file of the private CA (- for none)"),
    (
        "VMMANAGER_PATH_PREFIX",
        "What stands before /vm/v3 in VMmanager's addresses, e.g. /api (- for nothing)",
    ),
    ("VMMANAGER_PROXY", "Proxy on the way to VMmanager (- for none)"),
    ("TELEGRAM_PROXY", "Proxy on the way to Telegram, e.g. socks5h://proxy:1080 (- for none)"),
];

/// How long somebody may take to write /start.
const START_PATIENCE: Duration = Duration::from_secs(600);

/// Asks and tries, and writes the file; returns what to say at the end.
///
/// # Errors
///
/// The file is there, cannot be written, or the answers ended too early.
pub(super) async fn init(
    file: &Path,
    environment: &BTreeMap<String, String>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return Ok(WHAT_TO_SET.to_owned());
    }
    let is_hidden = Arc::new(AtomicBool::new(false));
    end_at_interrupts(Arc::clone(&is_hidden))?;
    let hidden = |_: &mut dyn BufRead| read_hidden(&is_hidden);
    let mut asker = Asker { input: &mut io::stdin().lock(), out, hidden: &hidden };
    asker.all(file, environment, clock).await
}

/// The exit status that shells give to a program that Ctrl+C ended.
const INTERRUPTED: i32 = 130;

/// Ends the program at Ctrl+C, as it would end without this, but not while an answer is hidden: it would leave a
/// terminal that shows nothing of what is typed.
fn end_at_interrupts(is_hidden: Arc<AtomicBool>) -> io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    // This task only waits for signals, and ends with the process.
    tokio::spawn(async move {
        while interrupts.recv().await.is_some() {
            if !is_hidden.load(Ordering::SeqCst) {
                process::exit(INTERRUPTED);
            }
        }
    });
    Ok(())
}

/// Reads an answer without showing it. Ctrl+C is an error here, given once the terminal is as it was; the questions
/// end with it, so the answer counts as hidden from then on.
fn read_hidden(is_hidden: &AtomicBool) -> io::Result<String> {
    is_hidden.store(true, Ordering::SeqCst);
    let answer = rpassword::read_password()?;
    is_hidden.store(false, Ordering::SeqCst);
    Ok(answer)
}

/// Asks a person, who reads `out` and answers in `input`.
struct Asker<'a> {
    input: &'a mut dyn BufRead,
    out: &'a mut (dyn Write + Send),
    /// Reads an answer that must not be seen.
    hidden: &'a dyn Fn(&mut dyn BufRead) -> io::Result<String>,
}

/// What was answered, by variable; what was not asked comes from the environment.
struct Answers<'a> {
    given: BTreeMap<&'static str, String>,
    environment: &'a BTreeMap<String, String>,
}

impl Answers<'_> {
    fn config(&self) -> Result<Config, String> {
        self.config_with(|_| None)
    }

    /// As [`Self::config`], with a token that is nobody's in place of a login.
    fn config_for_address(&self) -> Result<Config, String> {
        self.config_with(|name| (name == "VMMANAGER_TOKEN").then_some("init"))
    }

    fn config_with(&self, first: impl Fn(&str) -> Option<&'static str>) -> Result<Config, String> {
        let given = |name: &str| self.given.get(name).or_else(|| self.environment.get(name)).cloned();
        let loaded =
            Config::for_purpose(Purpose::Live, |name| first(name).map(str::to_owned).or_else(|| given(name)));
        loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
    }

    /// Takes over what the trials were made with. Returns the names, and those of secrets, which stay where they are.
    fn take_environment(&mut self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for variable in VARIABLES {
            let given = self.environment.get(variable.name).filter(|value| !value.is_empty());
            let Some(value) = given.filter(|_| !self.given.contains_key(variable.name)) else { continue };
            if variable.secret {
                left.push(variable.name);
            } else {
                taken.push(variable.name);
                self.given.insert(variable.name, value.clone());
            }
        }
        (taken, left)
    }
}

impl Asker<'_> {
    async fn all(
        &mut self,
        file: &Path,
        environment: &BTreeMap<String, String>,
        clock: &Clock,
    ) -> io::Result<String> {
        // Looked at first, so that nobody answers all questions for nothing.
        let unfilled = unfilled(file)?;
        let mut answers = Answers { given: BTreeMap::new(), environment };
        self.dry_run(&mut answers)?;
        self.vmmanager(&mut answers, clock).await?;
        self.telegram(&mut answers).await?;
        let (taken, secret) = answers.take_environment();
        write(file, unfilled.as_deref(), &answers.given)?;
        let mut said = format!("wrote {}", file.display());
        if !taken.is_empty() {
            said += &format!(", with {} from the environment", taken.join(", "));
        }
        if !secret.is_empty() {
            said += &format!("; the bot needs {} in its environment", secret.join(", "));
        }
        said += &next_steps(file);
        Ok(said)
    }

    /// The first weeks are better spent with looking on.
    fn dry_run(&mut self, answers: &mut Answers<'_>) -> io::Result<()> {
        loop {
            let about = "Begin in a dry run: plans are shown and nothing is migrated; yes or no (empty: yes)";
            self.ask(answers, "DRY_RUN", about)?;
            let answer = answers.given.remove("DRY_RUN").unwrap_or_default().to_lowercase();
            let is_dry = match answer.as_str() {
                "" | "y" | "yes" | "true" => "true",
                "n" | "no" | "false" => "false",
                _ => continue,
            };
            answers.given.insert("DRY_RUN", is_dry.to_owned());
            return Ok(());
        }
    }

    async fn vmmanager(&mut self, answers: &mut Answers<'_>, clock: &Clock) -> io::Result<()> {
        loop {
            self.address(answers).await?;
            self.ask(answers, "VMMANAGER_USERNAME", "User of VMmanager (an administrator of its own)")?;
            self.ask_hidden(answers, "VMMANAGER_PASSWORD", "Password")?;
            let findings = match answers.config() {
                Err(problems) => {
                    self.say(&problems)?;
                    continue;
                }
                Ok(config) => check::vmmanager::check(&config, clock).await.0,
            };
            if self.show(&findings)? {
                return Ok(());
            }
            self.ask_what_is_named(answers, &findings)?;
            self.say("Once more, please; an empty answer keeps what is in brackets.")?;
        }
    }

    /// Asks for the address until something answers there: nobody types a password for a machine that is not the one.
    async fn address(&mut self, answers: &mut Answers<'_>) -> io::Result<()> {
        loop {
            self.ask(answers, "VMMANAGER_HOST", "Address of VMmanager, e.g. https://vm.example.com")?;
            let finding = match answers.config_for_address() {
                Err(problems) => {
                    self.say(&problems)?;
                    continue;
                }
                Ok(config) => check::vmmanager::address(&config).await,
            };
            let Some(finding) = finding else { return Ok(()) };
            self.show(std::slice::from_ref(&finding))?;
            self.ask_what_is_named(answers, &[finding])?;
        }
    }

    async fn telegram(&mut self, answers: &mut Answers<'_>) -> io::Result<()> {
        self.say("A bot: write /newbot to https://t.me/BotFather; it answers with a token.")?;
        loop {
            self.ask_hidden(answers, "TELEGRAM_BOT_TOKEN", "Token of the bot (empty for no chat)")?;
            if answers.given.get("TELEGRAM_BOT_TOKEN").is_none_or(String::is_empty) {
                answers.given.remove("TELEGRAM_BOT_TOKEN");
                return self.mode(answers);
            }
            let settings = match answers.config() {
                Ok(Config { telegram: Some(settings), .. }) => settings,
                Ok(_) => continue,
                Err(problems) => {
                    self.say(&problems)?;
                    continue;
                }
            };
            let findings = check::telegram::token(&settings).await;
            if !self.show(&findings)? {
                self.ask_what_is_named(answers, &findings)?;
                continue;
            }
            self.say("Add the bot to the group for reports and write /start there, or write it in private.")?;
            self.say("Waiting for /start ...")?;
            match telegram::meet(&settings, START_PATIENCE).await {
                Ok(Met { chat, thread, title, person, name }) => {
                    let topic = thread.map(|thread| format!(":{thread}")).unwrap_or_default();
                    self.say(&format!("/start came from {name} ({person}) in {title} ({chat}{topic})."))?;
                    answers.given.insert("TELEGRAM_CHAT_ID", format!("{chat}{topic}"));
                    answers.given.insert("TELEGRAM_ADMIN_IDS", person.to_string());
                    return Ok(());
                }
                Err(why) => self.say(&format!("No /start was seen: {why}"))?,
            }
        }
    }

    /// Without a chat nobody can approve.
    fn mode(&mut self, answers: &mut Answers<'_>) -> io::Result<()> {
        self.ask(answers, "BALANCE_MODE", "Without a chat: carry plans out (auto), or only plan (off)")?;
        match answers.given.get("BALANCE_MODE").map(String::as_str) {
            Some("auto" | "off") => Ok(()),
            _ => self.mode(answers),
        }
    }

    /// Asks for the variables that may be the remedy of what was found.
    fn ask_what_is_named(&mut self, answers: &mut Answers<'_>, findings: &[Finding]) -> io::Result<()> {
        for (name, about) in REMEDIES {
            if findings.iter().filter_map(|finding| finding.todo.as_ref()).any(|todo| todo.contains(name)) {
                self.ask(answers, name, about)?;
                // What was wrong can be taken back.
                if answers.given.get(name).is_some_and(|answer| answer == "-") {
                    answers.given.remove(name);
                }
            }
        }
        Ok(())
    }

    /// Shows what was found and tells whether nothing is wrong.
    fn show(&mut self, findings: &[Finding]) -> io::Result<bool> {
        for Finding { state, detail, todo, .. } in findings {
            self.say(&format!("{}: {detail}", check::label(*state)))?;
            if let Some(todo) = todo {
                self.say(&format!("  → {todo}"))?;
            }
        }
        Ok(findings.iter().all(|finding| finding.state < State::Wrong))
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", super::table::printable(text).replace("?  ", "\n  "))
    }

    /// Asks for a variable; an empty answer keeps an earlier one.
    fn ask(&mut self, answers: &mut Answers<'_>, name: &'static str, about: &str) -> io::Result<()> {
        let known = answers.given.get(name).map(|known| format!(" [{known}]")).unwrap_or_default();
        write!(self.out, "{about}{known}: ")?;
        self.out.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        keep(answers, name, answer.trim());
        Ok(())
    }

    fn ask_hidden(&mut self, answers: &mut Answers<'_>, name: &'static str, about: &str) -> io::Result<()> {
        let known = if answers.given.contains_key(name) { " [the same]" } else { "" };
        write!(self.out, "{about}{known}: ")?;
        self.out.flush()?;
        let answer = (self.hidden)(self.input)?;
        keep(answers, name, answer.trim_end_matches(['\r', '\n']));
        Ok(())
    }
}

fn keep(answers: &mut Answers<'_>, name: &'static str, answer: &str) {
    if !answer.is_empty() {
        answers.given.insert(name, answer.to_owned());
    }
}

/// Says which commands come next.
fn next_steps(file: &Path) -> String {
    if file == Path::new(PACKAGE_FILE) {
        return format!(
            "; next: `runuser -u vm-balancer -- vm-balancer check --config {PACKAGE_FILE}`, \
             then `systemctl enable --now vm-balancer`\n"
        );
    }
    let named = match file == Path::new(CONFIG_FILE) {
        true => String::new(),
        false => format!(" --config {}", file.display()),
    };
    format!(
        "; next: `vm-balancer check{named}`, then `vm-balancer --dry-run --once{named}`, then `vm-balancer{named}`\n"
    )
}

/// Returns the text of a file that nobody has filled in yet, such as the package's; `None` where there is no file.
///
/// # Errors
///
/// Somebody has filled it in, or it cannot be written.
fn unfilled(file: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", file.display()))),
    };
    let values = |text: &str| read_env_file(text).map(|file| file.values).unwrap_or_default();
    let (found, example) = (values(&text), values(EXAMPLE));
    let is_as_shipped =
        |name: &String| SET_BY_PACKAGE.contains(&name.as_str()) || found.get(name) == example.get(name);
    if !found.keys().chain(example.keys()).all(is_as_shipped) {
        let why = format!(
            "{} is filled in already; correct it there, remove it, or name another file with --config",
            file.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    OpenOptions::new()
        .append(true)
        .open(file)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", file.display())))?;
    Ok(Some(text))
}

/// Writes the answers into their places and everything else that is the default as a comment. A new file is for its
/// owner alone; one that was there keeps its owner and its mode.
fn write(file: &Path, unfilled: Option<&str>, given: &BTreeMap<&'static str, String>) -> io::Result<()> {
    let defaults: BTreeSet<_> = EXAMPLE.lines().collect();
    let mut text = String::new();
    for line in unfilled.unwrap_or(EXAMPLE).lines() {
        let name = line.split_once('=').map(|(name, _)| name);
        let answer = name.and_then(|name| Some((name, given.get(name)?)));
        match answer {
            Some((name, value)) => text.push_str(&assignment(name, value)?),
            None if line.starts_with('#') || !defaults.contains(line) => text.push_str(line),
            None if line.is_empty() => {}
            None => text.extend(["# ", line]),
        }
        text.push('\n');
    }
    let mut options = OpenOptions::new();
    match unfilled {
        Some(_) => options.write(true).truncate(true),
        None => options.write(true).create_new(true).mode(0o600),
    };
    let mut file = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes a value so that it is read as it is, with quotes only where they are needed.
fn assignment(name: &str, value: &str) -> io::Result<String> {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let forms = [format!("{name}={value}"), format!("{name}='{value}'"), format!("{name}=\"{escaped}\"")];
    let is_read = |line: &String| {
        read_env_file(line).is_ok_and(|file| file.values.get(name) == Some(&value.to_owned()))
    };
    forms.into_iter().find(is_read).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name} cannot be written into a file; use the environment"),
        )
    })
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::sandbox::{
        telegram::{self as chat, ADMIN, FORUM, OPS_TOPIC, Place, SimTelegram},
        vmmanager::{Options, SimVmManager, World},
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_answers_are_tried_and_become_a_file_that_works() {
        let vmmanager = SimVmManager::start(World::small(), Options::default()).await.unwrap();
        let bot = SimTelegram::start(chat::Options::default()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let environment = [
            ("TELEGRAM_API_URL".to_owned(), bot.url()),
            ("DATA_DIR".to_owned(), dir.path().join("data").display().to_string()),
        ]
        .into();
        let Options { username, password, .. } = vmmanager.options();
        // Nothing listens at the first address, and the remedy that is asked for is not one.
        let answers = format!(
            "\nhttp://127.0.0.1:1\n-\n{}\n{username}\nnot it\n\n\n{password}\n1:wrong\n{}\n",
            vmmanager.url(),
            bot.token()
        );
        let place = Place { chat: FORUM, thread: Some(OPS_TOPIC) };
        bot.say(ADMIN, place, "/start@vm_balancer_bot").unwrap();
        let file = dir.path().join(".env");
        let mut out = Vec::new();
        let said = ask_for(&answers, &mut out, &file, &environment).await.unwrap();
        let shown = String::from_utf8(out).unwrap();
        assert!(said.contains("vm-balancer check"), "{said}");
        let address = shown.find("nothing listens there");
        assert!(address.is_some() && address < shown.find("User of VMmanager"), "before the login: {shown}");
        for part in ["WRONG", "does not know the token", "(1001) in Operations"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("not it") && !shown.contains(&password), "{shown}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("\n# BALANCE_INTERVAL=600"), "{text}");
        let read = read_env_file(&text).unwrap();
        assert_eq!(read.values["TELEGRAM_CHAT_ID"], format!("{FORUM}:{OPS_TOPIC}"));
        assert_eq!(read.values["TELEGRAM_ADMIN_IDS"], ADMIN.to_string());
        assert_eq!(read.values["DRY_RUN"], "true");
        assert_eq!(read.values["TELEGRAM_API_URL"], bot.url(), "the bot finds Telegram where init found it");
        assert!(
            said.contains("with DATA_DIR, TELEGRAM_API_URL")
                || said.contains("with TELEGRAM_API_URL, DATA_DIR"),
            "{said}"
        );
        let sources = crate::config::Sources { environment, file: read, ..Default::default() };
        let checked = check::check(&sources, false, &Clock::system(), |_| {}).await;
        assert!(checked.worst() < State::Warning, "{}", check::text(&checked, 100));
        let again = ask_for(&answers, &mut Vec::new(), &file, &BTreeMap::new()).await.unwrap_err();
        assert!(again.to_string().contains("is filled in already"), "{again}");
    }

    #[tokio::test]
    async fn the_packages_file_is_filled_in_where_it_is() {
        let vmmanager = SimVmManager::start(World::small(), Options::default()).await.unwrap();
        let Options { username, password, .. } = vmmanager.options();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.env");
        let shipped = EXAMPLE.replace("DATA_DIR=./data", "DATA_DIR=/var/lib/vm-balancer");
        fs::write(&file, shipped).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let answers = format!("yes\n{}\n{username}\n{password}\n\noff\n", vmmanager.url());
        let said = ask_for(&answers, &mut Vec::new(), &file, &BTreeMap::new()).await.unwrap();
        assert!(said.contains(&format!("check --config {}`", file.display())), "{said}");
        let read = read_env_file(&fs::read_to_string(&file).unwrap()).unwrap();
        let of = |name: &str| read.values.get(name).map(String::as_str);
        assert_eq!((of("DATA_DIR"), of("BALANCE_MODE")), (Some("/var/lib/vm-balancer"), Some("off")));
        assert_eq!((of("VMMANAGER_USERNAME"), of("BALANCE_INTERVAL")), (Some(&*username), None));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640, "the service may read it");
        let again = ask_for("", &mut Vec::new(), &file, &BTreeMap::new()).await.unwrap_err();
        assert!(again.to_string().contains("is filled in already"), "{again}");
        let unit = next_steps(Path::new(PACKAGE_FILE));
        assert!(unit.contains("systemctl enable --now vm-balancer"), "{unit}");
    }

    #[tokio::test]
    async fn without_a_bot_the_mode_is_asked_for() {
        let vmmanager = SimVmManager::start(World::small(), Options::default()).await.unwrap();
        let Options { username, password, .. } = vmmanager.options();
        let dir = tempfile::tempdir().unwrap();
        let answers = format!("maybe\nno\n{}\n{username}\n{password}\n\npropose\noff\n", vmmanager.url());
        let file = dir.path().join(".env");
        ask_for(&answers, &mut Vec::new(), &file, &BTreeMap::new()).await.unwrap();
        let read = read_env_file(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!((&*read.values["BALANCE_MODE"], &*read.values["DRY_RUN"]), ("off", "false"));
        let ended = ask_for("", &mut Vec::new(), &dir.path().join("other"), &BTreeMap::new()).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    /// A read-only user is enough for a dry run, and what may be the remedy is asked for.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_proxy_is_asked_for_where_telegram_gives_no_answer() {
        let options = Options { role: "@admin.readonly".into(), ..Options::default() };
        let vmmanager = SimVmManager::start(World::small(), options).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let environment = [("TELEGRAM_API_URL".to_owned(), "http://127.0.0.1:1".to_owned())].into();
        let Options { username, password, .. } = vmmanager.options();
        let answers =
            format!("yes\n{}\n{username}\n{password}\n1:t\nsocks5h://127.0.0.1:1\n", vmmanager.url());
        let mut out = Vec::new();
        let ended = ask_for(&answers, &mut out, &dir.path().join(".env"), &environment).await;
        assert_eq!(
            ended.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof,
            "the token is asked for once more"
        );
        let shown = String::from_utf8(out).unwrap();
        let parts = [
            "the user may only read",
            "Proxy on the way to Telegram",
            "Token of the bot (empty for no chat) [the same]",
        ];
        for part in parts {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn odd_passwords_are_written_so_that_they_are_read_again() {
        for password in ["plain", "a # b", "a'b", "a\"b", " a ", "a$b", "a\\b", "'a' # \"b\"", "#"] {
            let line = assignment("VMMANAGER_PASSWORD", password).unwrap();
            assert_eq!(read_env_file(&line).unwrap().values["VMMANAGER_PASSWORD"], password, "{line}");
        }
    }

    async fn ask_for(
        answers: &str,
        out: &mut Vec<u8>,
        file: &Path,
        environment: &BTreeMap<String, String>,
    ) -> io::Result<String> {
        let hidden = |input: &mut dyn BufRead| {
            let mut answer = String::new();
            input.read_line(&mut answer).map(|_| answer)
        };
        let mut input = answers.as_bytes();
        let mut asker = Asker { input: &mut input, out, hidden: &hidden };
        asker.all(file, environment, &Clock::system()).await
    }
}
