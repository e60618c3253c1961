//! What a Russian operator reads when things fail: one conversation after the other through the failures of
//! docs/RELIABILITY.md that reach the chat, and no Latin word but names, units and quotations.

use std::time::Duration;

use chrono::TimeDelta;
use vm_balancer::{
    event::{Alert, Events},
    model::{ClusterId, DiskFailure, NodeId, StoreFailure},
    sandbox::{
        ssh,
        telegram::{ADMIN, OPERATOR, SimMessage, VIEWER},
        vmmanager::{Fault, Pace, Rule, World},
    },
};

use crate::{
    conversation::{Ctx, Setup},
    faults::{a_damaged_store_is_left, somebody_else_migrates},
    platform::noon,
    transcripts::{BOTH, DONE, LANGUAGES, RUNS, Talk},
    worlds::{two_clusters, two_overloaded},
};

/// Latin words that a Russian text may hold besides quotations, code, commands and names with numbers.
const KNOWN: [&str; 27] = [
    "AlmaLinux",
    "Anna",
    "Approve",
    "DRY",
    "GiB",
    "ISO",
    "Oleg",
    "QEMU",
    "RUN",
    "SSH",
    "Telegram",
    "UTC",
    "VMmanager",
    "Vera",
    "XML",
    "HTML",
    "JSON",
    "HTTP",
    "auto",
    "done",
    "msk",
    "off",
    "partly",
    "propose",
    "spb",
    "stopped",
    "vCPU",
];

/// One test for each conversation: its transcript is a snapshot, and none of its Latin words is strange.
macro_rules! told_in_russian {
    ($($title:literal => $scene:ident,)+) => {
        mod told {
            $(#[tokio::test]
            async fn $scene() {
                super::tell($title, stringify!($scene), super::$scene().await);
            })+
        }
    };
}

told_in_russian! {
    "Заказ и миграция" => migrations_go_wrong,
    "Миграция не кончается, и бот перезапущен" => a_task_never_ends,
    "План, чей процесс умер" => a_process_dies,
    "План устарел" => a_plan_fits_no_more,
    "Неудачи закрывают узел и кластер" => many_failures,
    "VMmanager отвечает не то" => answers_make_no_sense,
    "VMmanager недоступен" => vmmanager_is_away,
    "Пропала половина ВМ" => half_is_gone,
    "Чужая миграция" => somebody_else_migrates_here,
    "Чужая миграция неизвестно где" => somebody_else_migrates_somewhere,
    "Хранилище повреждено" => a_store_is_damaged,
    "Диск переполнен" => a_disk_is_full,
    "Часы" => a_clock_is_set,
    "Вторая программа и сбой внутри" => telegram_and_people,
    "Узлы, которые не измерить" => nodes_are_not_measured,
}

fn tell(title: &str, scene: &str, talk: Talk) {
    insta::assert_snapshot!(scene, format!("=== {title}\n\n{}", talk.lines()));
    let latin = talk.seen().iter().flat_map(latin_words).collect::<Vec<_>>();
    assert_eq!(latin, Vec::<(String, String)>::new(), "(word, line)");
}

async fn talk(world: World, setup: Setup) -> Talk {
    Talk::start(LANGUAGES[1], world, setup).await
}

async fn prepared(world: World, mut setup: Setup) -> Talk {
    setup.variables.push(("VM_BALANCER_LANG", "ru".into()));
    Talk::over(LANGUAGES[1], Ctx::prepared(world, setup).await)
}

/// Each fault meets the only migration of a plan of its own.
async fn migrations_go_wrong() -> Talk {
    let order = "POST /vm/v3/host";
    let refused = |code, msg: &str| Rule::times(Fault::ErrorInOk { code, msg: msg.into() }, 1).only(order);
    let rules = [
        Rule::times(Fault::libvirt_failure(), 1),
        Rule::times(Fault::CompleteWithoutMove, 1),
        Rule::times(Fault::TaskLost { moves: false }, 1),
        Rule::times(Fault::EndsWith { word: "retired".into(), moves: false }, 1),
        Rule::times(Fault::VmVanishes, 1),
        Rule::times(Fault::TargetVanishes, 1),
        Rule::times(Fault::NodeIntoMaintenance, 1),
        Rule::times(Fault::Status { status: 502 }, 1).only(order),
        Rule::always(Fault::OrderUnavailable),
        Rule::always(Fault::FormSaysNo { node: None }),
        Rule::always(Fault::ReadOnlyAdmin),
        refused(3035, "The host is locked by another task"),
        refused(4000, "Not enough space on the storage"),
        refused(3008, "proxy-3008: unexpected property"),
        refused(1, "Task queue is full"),
    ];
    let mut whole: Option<Talk> = None;
    for rule in rules {
        // Long enough for a task to be seen.
        let setup = Setup { pace: Pace::After(Duration::from_millis(100)), ..Setup::default() };
        let mut one = talk(World::small(), setup).await;
        let plan = one.bot.ask(OPERATOR, "/balance 1").await;
        one.bot.sim.rule(rule.clone());
        one.line(&format!("— {} —", rule.fault.kind()));
        one.press(OPERATOR, &plan, ":a").await;
        one.becomes(&plan, DONE).await;
        whole = Some(match whole {
            Some(all) => all.followed_by(one),
            None => one,
        });
    }
    whole.unwrap()
}

async fn a_task_never_ends() -> Talk {
    let mut talk = talk(World::small(), Setup::default().manual()).await;
    let plan = talk.ask(OPERATOR, "/balance 1").await;
    talk.bot.sim.switch_on(Fault::RunsForever);
    talk.press(OPERATOR, &plan, ":a").await;
    talk.becomes(&plan, RUNS).await;
    talk.bot.until_watched().await;
    talk.minutes_pass(61);
    talk.becomes(&plan, [", slow", ", медленно"]).await;
    let alarm = talk.hears(["needs a look", "проверьте 1 миграцию"]).await;
    talk.restarts().await;
    talk.bot.sim.finish_all();
    talk.becomes(&plan, DONE).await;
    talk.becomes(&alarm, ["ended well", "завершилась успешно"]).await;
    talk
}

async fn a_process_dies() -> Talk {
    let mut talk = talk(two_overloaded(), Setup::of(&BOTH).manual()).await;
    let plan = talk.ask(OPERATOR, "/balance 1").await;
    talk.press(OPERATOR, &plan, ":a").await;
    talk.becomes(&plan, RUNS).await;
    talk.bot.until_watched().await;
    talk.restarts().await;
    talk.bot.sim.finish_all();
    talk.becomes(&plan, DONE).await;
    talk
}

async fn a_plan_fits_no_more() -> Talk {
    let mut talk = talk(two_overloaded(), Setup::of(&BOTH)).await;
    let plan = talk.ask(OPERATOR, "/balance 1").await;
    talk.bot.sim.edit(|world| {
        world.vms.values_mut().filter(|vm| vm.node == NodeId(10)).for_each(|vm| vm.iso_mounted = true);
    });
    talk.press(OPERATOR, &plan, ":a").await;
    talk.becomes(&plan, DONE).await;
    talk.bot.sim.edit(|world| world.vms.values_mut().for_each(|vm| vm.iso_mounted = true));
    talk.ask(OPERATOR, "/balance 1").await;
    talk
}

async fn many_failures() -> Talk {
    let setup = Setup::of(&[("BALANCE_MODE", "auto")]).often();
    let mut talk = prepared(two_overloaded(), setup).await;
    talk.bot.sim.arm_times(Fault::libvirt_failure(), 5);
    talk.bot.restart().await;
    // Both ends of the migrations are closed.
    talk.hears(["Node kvm-03 (12", "Узел kvm-03 (12"]).await;
    talk.hears(["Automatic runs", "Автоматика в кластере"]).await;
    talk
}

async fn answers_make_no_sense() -> Talk {
    let mut talk = talk(World::small(), Setup::default()).await;
    talk.masks(requests());
    let said = |msg: &str| Fault::ErrorInOk { code: 3001, msg: msg.into() };
    let rules = [
        Rule::always(Fault::Html),
        Rule::always(said("Access denied")).only("/vm/v3/task"),
        Rule::always(Fault::HalfLists),
        Rule::always(Fault::UnreadableRows),
        Rule::always(Fault::OddRecord),
    ];
    for rule in rules {
        talk.line(&format!("— {} —", rule.fault.kind()));
        talk.bot.sim.rule(rule);
        talk.minutes_pass(1);
        talk.ask(OPERATOR, "/balance 1").await;
        talk.bot.sim.heal();
    }
    talk
}

/// An outage of each kind, each seen by a bot of its own.
async fn vmmanager_is_away() -> Talk {
    let faults = [Fault::Status { status: 500 }, Fault::Unavailable, Fault::WrongPassword];
    let mut whole: Option<Talk> = None;
    for fault in faults {
        let mut one = talk(World::small(), Setup::of(&[("BALANCE_MODE", "propose")]).often()).await;
        one.masks(requests());
        one.line(&format!("— {} —", fault.kind()));
        one.bot.sim.switch_on(fault);
        one.bot.sim.end_sessions();
        let alarm = one.hears(["unavailable since", "недоступен с"]).await;
        // Sooner than an alert that nobody takes is sent once more.
        one.minutes_pass(10);
        one.bot.sim.heal();
        one.becomes(&alarm, ["is back as of", "снова отвечает"]).await;
        whole = Some(match whole {
            Some(all) => all.followed_by(one),
            None => one,
        });
    }
    whole.unwrap()
}

/// Of the requests that a look sends at the same time, another one may fail first.
fn requests() -> [(String, &'static str); 4] {
    ["host", "node", "cluster", "task"].map(|list| (format!("GET /vm/v3/{list}"), "GET /vm/v3/LIST"))
}

async fn half_is_gone() -> Talk {
    let mut talk = talk(two_overloaded(), Setup::default().often()).await;
    talk.bot.sim.switch_on(Fault::ShrunkList);
    talk.hears(["VMs became", "ВМ было"]).await;
    talk.ask(OPERATOR, "/balance 1").await;
    talk
}

async fn somebody_else_migrates_here() -> Talk {
    let mut talk = prepared(two_clusters(), Setup::default().often().manual()).await;
    somebody_else_migrates(&talk.bot, true);
    talk.bot.restart().await;
    talk.hears(["Somebody else moves", "Идёт чужая миграция"]).await;
    // The first cycle is over, whatever it was told before its end.
    talk.bot.cycles(2).await;
    talk.ask(VIEWER, "/status").await;
    talk.ask(OPERATOR, "/balance 1").await;
    talk
}

async fn somebody_else_migrates_somewhere() -> Talk {
    let mut talk = prepared(two_clusters(), Setup::default().often().manual()).await;
    somebody_else_migrates(&talk.bot, false);
    talk.bot.restart().await;
    talk.hears(["Somebody else moves", "Идёт чужая миграция"]).await;
    // The first cycle is over, whatever it was told before its end.
    talk.bot.cycles(2).await;
    talk.ask(OPERATOR, "/balance 2").await;
    talk
}

async fn a_store_is_damaged() -> Talk {
    let mut talk = prepared(two_overloaded(), Setup::of(&[("BALANCE_MODE", "auto")]).often()).await;
    a_damaged_store_is_left(talk.bot.dir.path());
    talk.masks([(talk.bot.dir.path().display().to_string(), "/var/lib/vm-balancer")]);
    talk.bot.restart().await;
    talk.hears(["My store was damaged", "Хранилище бота повредилось"]).await;
    talk.hears(["Waits for approval", "Ждёт подтверждения"]).await;
    talk.ask(OPERATOR, "/resume").await;
    talk.ask(VIEWER, "/status").await;
    talk
}

/// As the store leaves it to the next start.
async fn a_disk_is_full() -> Talk {
    let mut talk = talk(World::small(), Setup::default()).await;
    let store = talk.bot.store().await;
    let why = StoreFailure::Disk(DiskFailure::Files("No space left on device (os error 28)".into()));
    store.alert(&Events::new(), noon(), Alert::StoreTrouble { since: noon(), why });
    let resumed = Alert::ClusterResumed { cluster: ClusterId(1), name: "msk".into() };
    store.alert(&Events::new(), noon(), resumed);
    drop(store);
    talk.bot.restart().await;
    talk.hears(["read-only since", "Хранилище не записывается"]).await;
    talk.hears(["begin again", "снова работает"]).await;
    talk
}

async fn a_clock_is_set() -> Talk {
    let mut talk = talk(World::small(), Setup::default()).await;
    talk.bot.clock.set(noon() - TimeDelta::days(40));
    talk.hears(["went back by", "ушли назад"]).await;
    talk.bot.clock.set(noon());
    talk.hears(["went ahead by", "ушли вперёд"]).await;
    talk
}

async fn telegram_and_people() -> Talk {
    let setup = Setup { panics_at: Some("/running"), ..Setup::default() };
    let mut talk = talk(World::small(), setup).await;
    talk.ask(VIEWER, "/running").await;
    talk.bot.telegram.set_faults(|faults| faults.conflict = true);
    talk.hears(["A second program", "ещё одна программа"]).await;
    talk.bot.telegram.set_faults(|faults| faults.conflict = false);
    talk.bot.kill().await;
    talk.line("Oleg: /balance 1");
    let late = talk.bot.say(OPERATOR, "/balance 1");
    talk.minutes_pass(20);
    talk.bot.restart().await;
    let answer = talk.bot.answer_to(talk.bot.home, late).await;
    talk.shown(&answer, "");
    talk.ask(ADMIN, "/mode atuo").await;
    talk
}

async fn nodes_are_not_measured() -> Talk {
    let node = ssh::SimNode::start(ssh::SimLoad::default()).await.unwrap();
    let other = ssh::SimNode::start(ssh::SimLoad::default()).await.unwrap();
    let port = |node: &ssh::SimNode| node.address().port().to_string();
    let hosts = format!(
        r#"{{"kvm-01": "127.0.0.1:{}", "kvm-02": "127.0.0.1:1", "kvm-03": "127.0.0.1:{}"}}"#,
        port(&node),
        port(&other)
    );
    let variables = [
        ("SSH_ENABLED", "true"),
        ("SSH_USERNAME", "monitor"),
        ("SSH_PASSWORD", "not-it"),
        ("SSH_HOSTS_MAPPING", &hosts),
    ];
    let mut talk = prepared(World::small(), Setup::of(&variables)).await;
    let known_hosts = talk.bot.dir.path().join("known_hosts");
    // The third node shows the key that is known, and refuses the password.
    let changed = other.known_hosts_line().replace(&port(&other), &port(&node));
    std::fs::write(&known_hosts, changed + &other.known_hosts_line()).unwrap();
    talk.bot.restart_with("SSH_KNOWN_HOSTS", &known_hosts.display().to_string()).await;
    let alarm = talk.bot.heard("Ключ SSH узла").await;
    let masks = [
        (known_hosts.display().to_string(), "/root/.ssh/known_hosts"),
        (node.fingerprint(), "SHA256:found"),
        (other.fingerprint(), "SHA256:expected"),
        (port(&node), "2222"),
    ];
    talk.masks(masks);
    talk.shown(&alarm, "");
    for text in ["/node kvm-01", "/node kvm-02", "/node kvm-03", "/status"] {
        talk.ask(VIEWER, text).await;
    }
    talk
}

/// The Latin words of a message that are neither known nor marked as a name or as somebody's words, each with its
/// line.
fn latin_words(message: &SimMessage) -> Vec<(String, String)> {
    // Somebody's words go on in the lines that are moved in.
    let html = message.html().replace("\n   ", " ");
    let lines = html.lines().map(str::to_owned).collect::<Vec<_>>();
    let of_line = |line: &String| {
        let words = bare(line);
        // Commands and fingerprints are names.
        let is_name = |word: &&str| word.starts_with('/') || word.starts_with("SHA256:");
        let words = words.split_whitespace().filter(|word| !is_name(word)).flat_map(|word| {
            let parts = word.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
            parts.map(|part| part.trim_matches('-').to_owned())
        });
        let is_plain = |word: &String| {
            word.chars().any(|c| c.is_ascii_alphabetic()) && !word.chars().any(|c| c.is_ascii_digit())
        };
        let strange = words.filter(is_plain).filter(|word| !KNOWN.contains(&word.as_str()));
        strange.map(|word| (word, line.clone())).collect::<Vec<_>>()
    };
    lines.iter().flat_map(of_line).collect()
}

/// A line without tags, code and quotations.
fn bare(line: &str) -> String {
    let marked = line.replace("<code>", "«").replace("</code>", "»");
    let (mut quotes, mut inside_tag, mut text) = (0, false, String::new());
    for c in marked.chars() {
        match c {
            '«' => quotes += 1,
            '»' => quotes -= 1,
            '<' => inside_tag = true,
            '>' => inside_tag = false,
            _ if quotes == 0 && !inside_tag => text.push(c),
            _ => {}
        }
    }
    text.replace("&gt;", " ").replace("&lt;", " ").replace("&amp;", " ")
}
