//! What a configuration says, what it refuses, what it warns about.

use std::{collections::BTreeMap, time::Duration};

use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    model::ClusterId,
    planner::{AntiAffinity, Direction, Selector, Threshold},
    telegram::ChatTarget,
};

/// The settings without which nothing starts.
const REQUIRED: &str = "VMMANAGER_HOST=https://vm.example.com\nVMMANAGER_USERNAME=admin\nVMMANAGER_PASSWORD=deep\nDRY_RUN=true\n";

/// The Python tool's file as it came with 2.0.1, filled in as its README tells.
const PYTHON: &str = include_str!("testdata/python-2.0.1.env");

#[test]
fn every_problem_is_told_at_once() {
    let problems = refused(
        "VMMANAGER_HOST=http://vm.example.com\nBALANCE_INTERVAL=0\nBALANCE_MODE=always\nCLUSTER_IDS=1,two\n\
         CPU_OVERLOAD_THRESHOLD=7,0\nMEMORY_TARGET_THRESHOLD=-1\nNODE_MEMORY_RESERVE=100\nDRY_RUN=maybe\n\
         TIMEZONE=Europe/Moskow\nSSH_HOSTS_MAPPING={broken\nSSH_TIMEOUT=1.5\nSSH_HOST_KEY_CHECK=no\n\
         TELEGRAM_CHAT_ID=@ops\nTELEGRAM_ADMIN_IDS=1,-5\nTELEGRAM_APPROVALS=0\nTELEGRAM_BOT_TOKEN=12:AB/CD\n\
         TELEGRAM_API_URL=ftp://x\nHTTP_LISTEN=9464\nLOG_LEVEL=loud\nLOG_FORMAT=xml\nVM_BALANCER_LANG=de\n\
         VMMANAGER_PATH_PREFIX=/a b\nBALANCE_WINDOW=nightly\nAUTOPILOT=at night\nMAX_PARALLEL_MIGRATIONS=0\nMIGRATION_COOLDOWN=99999999999\n",
    );
    insta::assert_snapshot!(problems);
}

#[test]
fn no_problem_shows_a_secret() {
    let problems = refused(
        "VMMANAGER_HOST=https://admin:deep@vm.example.com\nVMMANAGER_TOKEN=deep deep\n\
         TELEGRAM_BOT_TOKEN=12:deep/\nTELEGRAM_API_URL=ftp://deep@x\n",
    );
    assert!(!problems.contains("deep"), "{problems}");
    assert!(problems.contains("4 problems"), "{problems}");
}

#[test]
fn whatever_looks_like_a_secret_is_not_shown() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5v\n-----END-----";
    let token = "7712345678:AAF-x1Yz_s3cr3tS3cr3tS3cr3tS3cr3tabc";
    let misplaced = [
        ("TELEGRAM_CHAT_ID", token),
        ("TELEGRAM_CHAT_ID", "7712345678:s3cr3t"),
        ("TELEGRAM_ADMIN_IDS", token),
        ("TELEGRAM_VIEWER_IDS", "1,7712345678:AAF-x1Yz_s3cr3tS3cr3tS3cr3tabc"),
        ("VMMANAGER_HOST", "https://admin:s3cr3t@vm.example.com"),
        ("VMMANAGER_HOST", "admin:s3cr3t@vm.example.com"),
        ("VMMANAGER_HOST", "https://admin:s3cr3t%40vm.example.com/?q"),
        ("VMMANAGER_HOST", "https://vm.example.com/?password=s3cr3t"),
        ("TELEGRAM_API_URL", "https://api.telegram.org/?token=s3cr3t"),
        ("HTTP_LISTEN", "root:s3cr3t@127.0.0.1:9464"),
        ("SSH_HOSTS_MAPPING", r#"{"node-1": "root:s3cr3t@10.0.0.1""#),
        ("SSH_HOSTS_MAPPING", r#"{"node-1": "root:s3cr3t@10.0.0.1"}"#),
        ("SSH_HOSTS_MAPPING", r#"{"node-1": "root:s3cr3t@10.0.0.1:22"}"#),
        ("SSH_PRIVATE_KEY_PATH", key),
        ("VMMANAGER_CA_FILE", key),
        ("SSH_KNOWN_HOSTS", key),
        ("CLUSTER_IDS", "Bearer s3cr3t"),
        ("TIMEZONE", "s3cr3tS3cr3tS3cr3tS3cr3t"),
        ("BALANCE_INTERVAL", "hunter2s3cr3t"),
        ("DRY_RUN", "hunter2s3cr3t"),
    ];
    for (name, value) in misplaced {
        let lookup = |key: &str| match key {
            _ if key == name => Some(value.to_owned()),
            "VMMANAGER_HOST" => Some("https://vm.example.com".into()),
            "VMMANAGER_USERNAME" => Some("admin".into()),
            "VMMANAGER_PASSWORD" => Some("hunter2s3cr3t".into()),
            "SSH_ENABLED" | "SSH_HOST" => Some("true".into()),
            "TELEGRAM_BOT_TOKEN" => Some("12:abcd".into()),
            _ => None,
        };
        let refused = Config::for_purpose(Purpose::Daemon, lookup).err();
        let said = refused.unwrap_or_else(|| panic!("{name} took {value}")).to_string();
        let holds = |secret: &str| said.to_lowercase().contains(secret);
        assert!(said.contains(name) && !holds("s3cr3t") && !holds("b3blb"), "{name}: {said}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let loaded =
        read_as(Purpose::Daemon, &format!("{REQUIRED}TELEGRAM_BOT_TOKEN=12:deep\nSSH_PASSWORD=deep\n"));
    let debug = format!("{:?}", loaded.unwrap());
    assert!(!debug.contains("deep"), "{debug}");
}

#[test]
fn a_file_of_the_python_tool_works_unchanged() {
    let Loaded { config, warnings } = read_as(Purpose::Live, PYTHON).unwrap();
    let vmmanager = config.vmmanager.unwrap();
    let policy = config.balancer.policy;
    assert_eq!(vmmanager.base_url.as_str(), "https://your-vmmanager-host.com/");
    assert!(!vmmanager.verify_tls);
    assert_eq!(policy.clusters, Some([1, 2, 3].map(ClusterId).into()));
    assert_eq!(config.scheduler.interval, Duration::from_secs(600));
    assert_eq!(config.balancer.execution.slow_after, Duration::from_secs(3600));
    assert_eq!(policy.cpu, Threshold { overload: 7.0, target: 6.0 });
    assert!(policy.exclusions.is_empty() && config.ssh.is_none());
    assert_eq!(warnings, [Warning::TlsNotVerified]);
    let asked = read_as(Purpose::Live, &format!("{PYTHON}\nSSH_ENABLED=true\n")).unwrap().config.ssh.unwrap();
    let mapped: Vec<_> = asked.hosts.iter().map(|(node, at)| (node.as_str(), at.host.as_str())).collect();
    assert_eq!(mapped, [("node-1", "10.0.0.1"), ("node-2", "10.0.0.2")]);
    assert!(asked.username == "root" && asked.password.is_none());
}

#[test]
fn a_file_of_the_python_tool_balances_as_it_did_or_says_what_to_set() {
    let with_chat = format!("{PYTHON}\nTELEGRAM_BOT_TOKEN=1:a\nTELEGRAM_CHAT_ID=-100\n");
    let warnings = |purpose, file: &str| read_as(purpose, file).unwrap().warnings;
    assert!(warnings(Purpose::Daemon, &with_chat).contains(&Warning::PythonWaits));
    assert!(!warnings(Purpose::Live, &with_chat).contains(&Warning::PythonWaits), "--once carries plans out");
    let in_the_image = format!("{with_chat}DATA_DIR=/data\nHTTP_LISTEN=0.0.0.0:9464\nLOG_FORMAT=json\n");
    assert!(
        warnings(Purpose::Daemon, &in_the_image).contains(&Warning::PythonWaits),
        "nobody has chosen yet"
    );
    for ours in ["BALANCE_MODE=propose", "TELEGRAM_ADMIN_IDS=5"] {
        let file = format!("{with_chat}{ours}\n");
        assert!(!warnings(Purpose::Daemon, &file).contains(&Warning::PythonWaits), "{ours}");
    }
    assert!(refused(PYTHON).contains("BALANCE_MODE: not set, expected auto"), "without a chat");
    let auto = read_as(Purpose::Daemon, &format!("{PYTHON}\nBALANCE_MODE=auto\n")).unwrap();
    assert_eq!(auto.config.scheduler.mode, Mode::Auto);
    assert_eq!(auto.config.balancer.policy.migrations_max, 1);
}

#[test]
fn the_defaults_are_those_of_the_rooms() {
    let Loaded { config, warnings } =
        read_as(Purpose::Daemon, &REQUIRED.replace("DRY_RUN=true", "BALANCE_MODE=off")).unwrap();
    assert_eq!(config.balancer, balancer::Settings::default());
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert!(config.telegram.is_none() && config.ssh.is_none());
    assert_eq!(warnings, []);
}

#[test]
fn every_variable_is_read() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    // With a token nobody asks for a password, and without one nobody asks for the token's chat.
    for given in ["VMMANAGER_TOKEN", ""] {
        let _ = Config::for_purpose(Purpose::Daemon, |name| {
            asked.borrow_mut().insert(name.to_owned());
            (name == given).then(|| "x".to_owned())
        });
    }
    let unread =
        VARIABLES.iter().map(|variable| variable.name).filter(|name| !asked.borrow().contains(*name));
    assert_eq!(unread.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn exclusions_of_the_configuration_are_the_policys() {
    let file = format!("{REQUIRED}EXCLUDE_SOURCE_NODES=a, 2\nEXCLUDE_TARGET_NODES=b\n");
    let exclusions = read_as(Purpose::Live, &file).unwrap().config.balancer.policy.exclusions;
    let read: Vec<_> = exclusions.into_iter().map(|e| (e.node.0, e.direction)).collect();
    let expected = [("a", Direction::Source), ("2", Direction::Source), ("b", Direction::Target)];
    assert_eq!(read, expected.map(|(node, direction)| (node.into(), direction)));
}

#[test]
fn a_path_in_the_base_url_stands_before_the_prefix() {
    let file =
        format!("{REQUIRED}VMMANAGER_HOST=https://vm.example.com/panel/\nVMMANAGER_PATH_PREFIX=api/\n");
    let settings = read_as(Purpose::Live, &file).unwrap().config.vmmanager.unwrap();
    assert_eq!(settings.base_url.as_str(), "https://vm.example.com/");
    assert_eq!(settings.path_prefix, "/panel/api");
}

#[test]
fn ssh_has_the_keys_that_a_person_has() {
    let config = |more: &str| {
        read_as(Purpose::Live, &format!("{REQUIRED}SSH_ENABLED=true\nDATA_DIR=/data\n{more}")).unwrap().config
    };
    let own: Vec<_> = config("").own_keys.into_iter().map(|key| key.path.display().to_string()).collect();
    assert_eq!(own[2], "/home/op/.ssh/id_rsa");
    let ssh = config("SSH_PRIVATE_KEY_PATH=~/k\n").ssh.unwrap();
    assert_eq!(ssh.private_key.unwrap().path, Path::new("/home/op/k"));
    assert_eq!(ssh.known_hosts, Path::new("/home/op/.ssh/known_hosts"));
    assert_eq!(ssh.learned_hosts, Path::new("/data/known_hosts"));
}

#[test]
fn the_example_names_every_variable_and_its_default() {
    let example = include_str!("../../config.env.example");
    let file = read_env_file(example).unwrap();
    assert_eq!(file.unreadable_lines, Vec::<usize>::new());
    let names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    let mut known = names.clone();
    known.sort_unstable();
    assert_eq!(file.values.keys().collect::<Vec<_>>(), known, "nothing missing, nothing unknown");
    let required = ["VMMANAGER_HOST", "VMMANAGER_USERNAME", "VMMANAGER_PASSWORD"];
    // SSH and the chat are off by default, and then nobody sees their defaults.
    for switches in ["", "SSH_ENABLED=true\nTELEGRAM_BOT_TOKEN=1:a\n"] {
        let given = |name: &&&str| !switches.contains(**name);
        let bare: String = required.iter().map(|name| format!("{name}={}\n", file.values[*name])).collect();
        let example: String =
            names.iter().filter(given).map(|name| format!("{name}={}\n", file.values[*name])).collect();
        let [example, bare] =
            [example, bare].map(|text| read_as(Purpose::Live, &format!("{text}{switches}")).unwrap());
        assert_eq!(format!("{example:?}"), format!("{bare:?}"));
    }
}

#[test]
fn the_example_says_one_line_about_each_variable() {
    let example = include_str!("../../config.env.example");
    let lines: Vec<_> = example.lines().collect();
    for variable in VARIABLES {
        let at = lines.iter().position(|line| line.starts_with(&format!("{}=", variable.name))).unwrap();
        let about = lines[at - 1].strip_prefix("# ").unwrap_or_default();
        assert!(about.len() > 10, "a comment above {}: {about}", variable.name);
    }
}

/// docker takes all behind `=` as it is, systemd knows comments at the start of a line only, and a shell would
/// do something with blanks and specials.
#[test]
fn docker_systemd_and_a_shell_read_the_example_as_we_do() {
    let example = include_str!("../../config.env.example");
    let file = read_env_file(example).unwrap();
    let assignments = example.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let literal: BTreeMap<_, _> = assignments.map(|line| line.split_once('=').unwrap()).collect();
    let read: BTreeMap<_, _> =
        file.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(literal, read);
    let harmless = |c: char| c.is_ascii_alphanumeric() || "./:~_-,".contains(c);
    assert!(read.values().all(|value| value.chars().all(harmless)), "{read:?}");
}

#[test]
fn plain_http_is_for_loopback_or_for_those_who_insist() {
    let host = |url: &str| format!("{REQUIRED}VMMANAGER_HOST={url}\n");
    for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9", "http://127.8.9.1/"] {
        assert!(read_as(Purpose::Live, &host(url)).is_ok(), "{url}");
    }
    for url in
        ["http://10.0.0.1", "http://127.0.0.1.example.com", "http://localhost.example.com", "vm.example.com"]
    {
        assert!(read_as(Purpose::Live, &host(url)).is_err(), "{url}");
    }
    let insisted = format!("{}VMMANAGER_ALLOW_HTTP=yes\n", host("http://10.0.0.1"));
    assert_eq!(read_as(Purpose::Live, &insisted).unwrap().warnings, [Warning::PlainHttp]);
}

#[test]
fn booleans_are_written_in_many_ways() {
    for (text, expected) in [
        ("TRUE", true),
        ("1", true),
        ("Yes", true),
        ("on", true),
        ("0", false),
        ("No", false),
        ("OFF", false),
    ] {
        assert_eq!(values::boolean(text), Ok(expected), "{text}");
    }
    assert!(values::boolean("y").is_err());
}

#[test]
fn a_proposal_without_a_chat_is_refused_for_the_bot_only() {
    let file = REQUIRED.replace("DRY_RUN=true\n", "");
    let said = refused(&file);
    assert!(said.contains("BALANCE_MODE: not set, expected auto (carries plans out by itself"), "{said}");
    assert!(refused(&format!("{file}BALANCE_MODE=propose\n")).contains("BALANCE_MODE: found \"propose\""));
    assert!(read_as(Purpose::Live, &file).is_ok());
    for cure in [
        "DRY_RUN=true",
        "BALANCE_MODE=auto",
        "BALANCE_MODE=off",
        "TELEGRAM_BOT_TOKEN=1:a\nTELEGRAM_CHAT_ID=5",
    ] {
        assert!(read_as(Purpose::Daemon, &format!("{file}{cure}\n")).is_ok(), "{cure}");
    }
}

#[test]
fn working_on_files_needs_no_vmmanager() {
    assert!(read_as(Purpose::Offline, "").unwrap().config.vmmanager.is_none());
    assert!(read_as(Purpose::Offline, "CPU_TARGET_THRESHOLD=x").is_err());
    let told = read_as(Purpose::Live, "").unwrap_err().to_string();
    for name in ["VMMANAGER_HOST", "VMMANAGER_USERNAME", "VMMANAGER_PASSWORD"] {
        assert!(told.contains(&format!("{name}: not set")), "{told}");
    }
}

#[test]
fn a_token_stands_in_for_a_password() {
    let file = "VMMANAGER_HOST=https://vm.example.com\nVMMANAGER_TOKEN=abc\n";
    let credentials = read_as(Purpose::Live, file).unwrap().config.vmmanager.unwrap().credentials;
    assert!(matches!(credentials, Credentials::Token(token) if token.expose_secret() == "abc"));
}

#[test]
fn a_password_keeps_its_odd_characters() {
    let file = "VMMANAGER_HOST=https://vm.example.com\nVMMANAGER_USERNAME=admin\nVMMANAGER_PASSWORD=a$b#c\"d'e\\f # it\n";
    let credentials = read_as(Purpose::Live, file).unwrap().config.vmmanager.unwrap().credentials;
    let expected = "a$b#c\"d'e\\f";
    assert!(
        matches!(&credentials, Credentials::Password { password, .. } if password.expose_secret() == expected),
        "{credentials:?}"
    );
}

#[test]
fn a_chat_may_have_a_topic() {
    assert_eq!(values::chat("-1001"), Ok(ChatTarget { chat: -1001, thread: None }));
    assert_eq!(values::chat("-1001:7"), Ok(ChatTarget { chat: -1001, thread: Some(7) }));
    assert_eq!(values::chat("42"), Ok(ChatTarget { chat: 42, thread: None }));
    for text in ["@ops", "0", "-1001:", "-1001:x", "-1001:0", ":7"] {
        assert!(values::chat(text).is_err(), "{text}");
    }
}

#[test]
fn ssh_reaches_nodes_where_the_mapping_says() {
    let text = r#"{"a": "10.0.0.1", "12": "gw:2201", "c": "[2001:db8::5]:22", "d": "2001:db8::5"}"#;
    let hosts: Vec<_> = values::hosts(text).unwrap().into_values().map(|at| (at.host, at.port)).collect();
    let v6 = "2001:db8::5";
    let expected = [("gw", Some(2201)), ("10.0.0.1", None), (v6, Some(22)), (v6, None)];
    assert_eq!(hosts, expected.map(|(host, port)| (host.to_owned(), port)));
    for text in [r#"{"a": "host:0"}"#, r#"{"a": ""}"#, r#"{"a": 5}"#, "[]", r#"{"a": "x y"}"#] {
        assert!(values::hosts(text).is_err(), "{text}");
    }
}

#[test]
fn dangerous_settings_warn_at_every_start() {
    let file = format!(
        "{REQUIRED}VERIFY_SSL=no\nSSH_ENABLED=1\nSSH_HOST_KEY_CHECK=off\nCPU_TARGET_THRESHOLD=9\n\
         MAX_MIGRATIONS_PER_CYCLE=0\nTELEGRAM_CHAT_ID=5\n"
    );
    let said: Vec<_> =
        read_as(Purpose::Daemon, &file).unwrap().warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn groups_and_names_are_lists() {
    let groups = values::anti_affinity(" db-*, web-? ;; cache-* ").unwrap();
    assert_eq!(
        groups,
        [vec!["db-*", "web-?"], vec!["cache-*"]]
            .map(|g| AntiAffinity(g.into_iter().map(Into::into).collect()))
    );
    assert_eq!(values::selectors(" node-1 ,, 12,"), Ok(["node-1", "12"].map(|s| Selector(s.into())).into()));
}

fn refused(file: &str) -> String {
    read_as(Purpose::Daemon, file).unwrap_err().to_string()
}

fn read_as(purpose: Purpose, file: &str) -> Result<Loaded, Problems> {
    let file = read_env_file(file).unwrap();
    Config::for_purpose(purpose, |key| match key {
        "HOME" => Some("/home/op".into()),
        _ => file.values.get(key).cloned(),
    })
}
