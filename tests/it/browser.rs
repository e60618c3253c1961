//! The sandbox's page in a real browser: Debian's Chromium, driven over WebDriver.
//!
//! Needs `chromium` and `chromedriver`; `.ci/browser` brings them. Screenshots go to `target/ci`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use vm_balancer::{
    cli::real_bot,
    clock::Clock,
    sandbox::{Options, Sandbox},
};

/// Far longer than anything here takes, also on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_newcomer_approves_a_plan_and_sees_it_done() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 1400, 900).await;

    // A node fills up by itself; once it is full, what is planned from here on is enough.
    page.until("a full node", "return [...world.nodes.values()].some((node) => percent(node) >= 77)").await;
    page.say("/status").await;
    page.press("Balance").await;
    page.until("a proposal", &has_button("Approve")).await;
    page.screenshot("light.png").await;
    page.press("Approve").await;
    page.until("a VM on its way", "return flights.size > 0 || world.tasks.length > 0").await;
    page.screenshot("migrating.png").await;
    page.until("level bars", "return ![...world.nodes.values()].some(isOver)").await;
    page.until("the end of the plan", &bot_says("done")).await;
    page.say("/history").await;
    page.until("the approver in the history", &newest_says("Anna|1001")).await;

    page.click("#theme").await;
    page.click("#theme").await;
    assert_eq!(page.run("return document.documentElement.dataset.theme").await, "dark");
    page.screenshot("dark.png").await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_bot_answers_while_vmmanager_is_away_and_after_a_kill() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 1400, 900).await;

    page.click("[data-switch=vmmanager_away]").await;
    page.until(
        "the switch",
        "return document.querySelector('[data-switch=vmmanager_away]').ariaPressed === 'true'",
    )
    .await;
    page.say("/status").await;
    page.until("an answer", &answered("/status")).await;
    page.screenshot("fault.png").await;
    page.click("[data-switch=vmmanager_away]").await;

    page.click("[data-once=bot_kill]").await;
    page.until("a killed bot", "return document.getElementById('bot').classList.contains('down')").await;
    page.click("[data-once=bot_restart]").await;
    page.until("a running bot", "return !document.getElementById('bot').classList.contains('down')").await;
    page.say("/status").await;
    page.until("another answer", &answered("/status")).await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_page_works_on_a_phone_and_by_keyboard() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 400, 800).await;

    page.until("the commands", "return menu.all.length > 0").await;
    page.keys("#text", "/sta\u{E015}\u{E007}").await;
    page.until("an answer", &answered("/status")).await;
    page.screenshot("phone.png").await;
    page.click("#tab-clusters").await;
    page.keys("#map", "\u{E014}").await;
    page.until("a chosen node", "return document.getElementById('detail').textContent.includes('memory')")
        .await;
    page.screenshot("phone-clusters.png").await;
    page.click("#tab-faults").await;
    page.screenshot("phone-faults.png").await;
    let too_wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(page.run(too_wide).await, false);
    assert_eq!(page.run(NAMELESS).await, json!([]));
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_tour_plays_to_its_end() {
    let sandbox = started(Options { tour: true, ..Options::default() }).await;
    let page = Browser::open(&sandbox, 1400, 900).await;
    let caption =
        |step: usize| format!("return parseInt(document.getElementById('tour').textContent) >= {step}");
    page.until("the proposal", &caption(2)).await;
    page.until("the migrations", &caption(4)).await;
    page.until("a VM on its way", "return flights.size > 0 || world.tasks.length > 0").await;
    page.screenshot("tour.png").await;
    page.until("the history", &caption(5)).await;
    page.until("the approver in the history", &newest_says("Oleg|1002")).await;
    page.until("the recovery", &caption(7)).await;
    page.until("the end", "return document.getElementById('tour').hidden").await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_thousand_nodes_are_drawn_in_time() {
    let sandbox = started(Options { nodes: 1000, vms: 20_000, ..Options::default() }).await;
    let page = Browser::open(&sandbox, 1400, 900).await;
    page.click("[data-once=foreign_migration]").await;
    page.until("a VM on its way", "return flights.size > 0").await;
    // What is sent from tick to tick is what changed, not the world.
    let rows = "return [world.nodes.size, world.vms.size >= 19000]";
    assert_eq!(page.run(rows).await, json!([1000, true]));
    let frames = "window.frames = 0; (function next() { window.frames++; requestAnimationFrame(next) })()";
    page.run(frames).await;
    page.until("30 frames while VMs travel", "return window.frames >= 30").await;
    page.screenshot("thousand.png").await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

/// What a screen reader would have no name for.
const NAMELESS: &str = "return [...document.querySelectorAll('button, select, textarea, [role=tab], img')]
    .filter(e => !(e.textContent.trim() || e.ariaLabel || e.alt || e.labels?.length || e.title)).map(e => e.outerHTML)";

async fn started(options: Options) -> Sandbox {
    let mut options = options;
    options.listen.set_port(0);
    Sandbox::start(options, real_bot(Clock::system())).await.unwrap()
}

fn has_button(label: &str) -> String {
    format!(
        "return [...document.querySelectorAll('.keys button')].some(b => b.textContent.includes('{label}'))"
    )
}

fn bot_says(pattern: &str) -> String {
    format!(
        "return [...document.querySelectorAll('.message:not(.own) .body')].some(b => /{pattern}/i.test(b.textContent))"
    )
}

fn newest_says(pattern: &str) -> String {
    format!(
        "return /{pattern}/.test([...document.querySelectorAll('.message:not(.own) .body')].pop()?.textContent)"
    )
}

/// The bot said something after the newest such message of a person.
fn answered(said: &str) -> String {
    format!(
        "const all = [...document.querySelectorAll('.message')];
         const asked = all.findLastIndex(m => m.matches('.own') && m.textContent.includes('{said}'));
         return asked >= 0 && all.slice(asked).some(m => !m.matches('.own'))"
    )
}

/// A browser with one page, ended with this value.
struct Browser {
    http: reqwest::Client,
    session: String,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn open(sandbox: &Sandbox, width: u32, height: u32) -> Self {
        let (driver, port) = driver().await;
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let http = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}/session");
        let begun = asked(http.post(&base).json(&wanted)).await;
        let session = format!("{base}/{}", begun["sessionId"].as_str().unwrap());
        let browser = Self { http, session, _driver: driver, _profile: profile };
        browser.post("window/rect", json!({ "width": width, "height": height })).await;
        browser.post("url", json!({ "url": format!("http://{}/", sandbox.address()) })).await;
        browser.until("the page", "return document.body.dataset.ready === 'true'").await;
        browser
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        asked(self.http.post(format!("{}/{command}", self.session)).json(&body)).await
    }

    async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Asks the page again and again, until it says yes.
    async fn until(&self, what: &str, script: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        while self.run(script).await != true {
            if Instant::now() > deadline {
                self.screenshot("stuck.png").await;
                panic!("waited in vain for {what}; see stuck.png");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.post(&format!("element/{element}/click"), json!({})).await;
    }

    async fn keys(&self, css: &str, keys: &str) {
        let element = self.element(css).await;
        self.post(&format!("element/{element}/value"), json!({ "text": keys })).await;
    }

    async fn element(&self, css: &str) -> String {
        let found = self.post("element", json!({ "using": "css selector", "value": css })).await;
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    async fn say(&self, text: &str) {
        self.keys("#text", &format!("{text}\u{E00C}")).await;
        self.click("#send").await;
    }

    /// Presses the newest button of that name, once there is one.
    async fn press(&self, label: &str) {
        self.until(&format!("a button {label}"), &has_button(label)).await;
        self.run(&format!(
            "[...document.querySelectorAll('.keys button')].findLast(b => b.textContent.includes('{label}')).click()"
        ))
        .await;
    }

    async fn screenshot(&self, name: &str) {
        let encoded = asked(self.http.get(format!("{}/screenshot", self.session))).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("ci");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), from_base64(encoded.as_str().unwrap())).unwrap();
    }

    /// What the browser complained of: errors in the script, or anything that was refused.
    async fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", json!({ "type": "browser" })).await;
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    async fn close(&self) {
        asked(self.http.delete(&self.session)).await;
    }
}

async fn driver() -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver is needed, see .ci/browser: {error}"));
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return (driver, port.trim_end_matches('.').parse().unwrap());
        }
    }
}

async fn asked(request: reqwest::RequestBuilder) -> Value {
    let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
    let value = answer["value"].take();
    assert!(value.get("error").is_none(), "{value}");
    value
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> =
        text.bytes().filter(|letter| *letter != b'=').map(|letter| u32::from(digit(letter))).collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    bytes.collect()
}
