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
use teloxide::{
    payloads::{SendMessageSetters, SendPhotoSetters},
    prelude::Requester,
    types::{ChatId, InputFile, ParseMode},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use vm_balancer::{
    cli::real_bot,
    clock::Clock,
    sandbox::{Options, Sandbox, telegram::SUPERGROUP},
};

use crate::sim_telegram::{PNG, client};

/// Far longer than anything here takes, also on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(120);

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
async fn a_newcomer_approves_a_plan_and_sees_it_done() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 1400, 900).await;

    // A node fills up by itself. Plans that are made after it is full are large enough.
    page.until("a full node", FULL_NODE).await;
    page.say("/status").await;
    page.press("Balance").await;
    page.until("a proposal", &has_button("Approve")).await;
    page.screenshot("light.png").await;
    page.press("Approve").await;
    page.until("a VM on its way", "return flights.size > 0 || world.tasks.length > 0").await;
    page.screenshot("migrating.png").await;
    // A page that misses the end of a migration, and then reads the whole state, shows no VM on its way.
    page.run("window.taking = take.world; take.world = delta => taking({ ...delta, tasks: null })").await;
    page.until("the end of the plan", &bot_says("✓ done: [1-9]\\d* moved")).await;
    page.run("take.world = taking; return load().then(() => true)").await;
    page.until("level bars", LEVEL_BARS).await;
    page.until("nothing on its way", "return flights.size === 0 && travelling.size === 0").await;
    page.say("/history").await;
    page.until("the approver in the history", &newest_says("✓[^]*Anna|1001")).await;

    page.click("#theme").await;
    page.click("#theme").await;
    assert_eq!(page.run("return document.documentElement.dataset.theme").await, "dark");
    page.screenshot("dark.png").await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
async fn a_failed_migration_an_outage_and_a_kill_are_told_and_gone_through() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 1400, 900).await;

    page.until("a full node", FULL_NODE).await;
    page.switch("next_fails", "true").await;
    page.say("/balance").await;
    page.press("Approve").await;
    page.until("the failed migration", &bot_says("⚠ partly: .*[1-9]\\d* failed")).await;
    page.screenshot("failed.png").await;
    page.say("/history").await;
    page.until("the failure in the history", &newest_says("✗")).await;

    page.switch("vmmanager_away", "true").await;
    page.until("the bot sees it", &bot_says("⚠ VMmanager has been unavailable since")).await;
    page.say("/status").await;
    page.until("a status that tells of it", &newest_says("(?=[^]*⚠ VMmanager is unavailable:)[^]*Mode:"))
        .await;
    page.screenshot("fault.png").await;
    page.switch("vmmanager_away", "false").await;
    page.until("the bot sees that it is back", &bot_says("✓ VMmanager is back as of")).await;
    page.until_pressed(
        "Refresh",
        "a cycle without trouble",
        &newest_says("^(?![^]*no answer)[^]*Last cycle"),
    )
    .await;

    page.click("[data-once=bot_kill]").await;
    page.until("a killed bot", "return document.getElementById('bot').classList.contains('down')").await;
    page.click("[data-once=bot_restart]").await;
    page.until("a running bot", "return !document.getElementById('bot').classList.contains('down')").await;
    page.say("/history").await;
    page.until("what it remembers", &newest_says("✗")).await;
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
async fn the_page_works_on_a_phone_and_by_keyboard() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open_with(&sandbox, 400, 800, &["--force-prefers-reduced-motion"]).await;

    page.until("the commands", "return menu.all.length > 0").await;
    page.keys("#text", "/sta\u{E015}\u{E007}").await;
    page.until("an answer", &answered("/status")).await;
    assert_eq!(
        page.run("return log.clientHeight > innerHeight * 0.6").await,
        true,
        "the log has most of the room"
    );
    page.screenshot("phone.png").await;
    page.click("#tab-clusters").await;
    page.keys("#map", "\u{E014}").await;
    page.until("a chosen node", "return document.getElementById('detail').textContent.includes('memory')")
        .await;
    page.screenshot("phone-clusters.png").await;
    page.keys("#map", "\u{E00C}").await;
    page.until("no chosen node", "return document.getElementById('detail').textContent === ''").await;
    page.click("#tab-faults").await;
    page.screenshot("phone-faults.png").await;
    let too_wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(page.run(too_wide).await, false);
    assert_eq!(page.run(NAMELESS).await, json!([]));

    page.click("[data-once=foreign_migration]").await;
    page.until("a VM on its way", "return flights.size > 0").await;
    assert_eq!(page.run(LANDS_AT_ONCE).await, true, "who wants no motion sees no VM fly on");

    page.click("#tab-chat").await;
    page.resize(800, 400).await;
    page.until("the layout of a phone", "return document.getElementById('tabs').offsetHeight > 0").await;
    page.until("the newest message", "return log.scrollHeight - log.scrollTop - log.clientHeight < 2").await;
    page.screenshot("phone-landscape.png").await;
    assert_eq!(page.run(too_wide).await, false);
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
async fn messages_of_every_kind_can_be_read_and_used_by_keyboard() {
    let sandbox = started(Options::default()).await;
    let page = Browser::open(&sandbox, 1400, 900).await;
    let bot = client(&sandbox.telegram, sandbox.telegram.token());
    let room = ChatId(SUPERGROUP);

    let html = "<tg-spoiler>secret</tg-spoiler> <blockquote expandable>long\nlong\nlong\nlong\nlong\nlong</blockquote>\
        see https://example.org/a, @anna_admin and #plan7";
    bot.send_message(room, html).parse_mode(ParseMode::Html).await.unwrap();
    page.until("the message", &newest_says("secret")).await;
    let seen = "return [...document.querySelectorAll('.body')].pop().querySelector";
    assert_eq!(page.run(&format!("{seen}('a').href")).await, "https://example.org/a");
    assert_eq!(page.run(&format!("{seen}('.mention').textContent")).await, "@anna_admin");
    assert_eq!(page.run(&format!("{seen}('.hashtag').textContent")).await, "#plan7");
    page.keys(".spoiler", " ").await;
    page.keys(".long", "\u{E007}").await;
    let opened = "return [...document.querySelectorAll('.spoiler, .long')].every(e => e.matches('.open'))";
    assert_eq!(page.run(opened).await, true);

    bot.send_photo(room, InputFile::memory(PNG).file_name("load.png")).caption("a picture").await.unwrap();
    page.until("the picture", "return document.querySelector('.bubble img')?.naturalWidth > 0").await;
    let csv = InputFile::memory("vm,source,target\n").file_name("history.csv");
    bot.send_document(room, csv).await.unwrap();
    page.until("the file", "return document.querySelector('.file')?.download === 'history.csv'").await;
    let content = "return fetch(document.querySelector('.file').href).then(answer => answer.text())";
    assert_eq!(page.run(content).await, "vm,source,target\n");

    // One message at a time can be tabbed into, and the arrow keys choose which.
    page.click("#text").await;
    for n in 0..20 {
        bot.send_message(room, format!("/help {n} /status")).await.unwrap();
    }
    page.until("the last message", &newest_says("19")).await;
    assert_eq!(page.run(STOPS).await, json!(["/help", "/status", "↩"]));
    page.keys("#log", "\u{E013}\u{E013}").await;
    assert_eq!(page.run("return document.activeElement.textContent.includes('18')").await, true);
    assert_eq!(page.run(STOPS).await, json!(["/help", "/status", "↩"]));
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

/// The status that was asked for after the outage; a plan may have come after it. The last cycle may have been in the
/// outage still.
const ALL_IS_WELL: &str = "
    const all = [...document.querySelectorAll('.message:not(.own) .body')].map(body => body.textContent);
    const back = all.findLastIndex(text => text.includes('is back as of'));
    const isWell = text => text.includes('Mode: propose') && !text.includes('⚠ VMmanager is unavailable');
    return back >= 0 && all.slice(back + 1).some(isWell);
";

/// Notes when each step of the tour was captioned first.
const WATCH_CAPTIONS: &str = "
    window.captions = new Map();
    const tour = document.getElementById('tour');
    const note = () => {
        const step = parseInt(tour.textContent);
        if (step && !captions.has(step)) captions.set(step, performance.now());
    };
    note();
    new MutationObserver(note).observe(tour, { childList: true, characterData: true, subtree: true });
";

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
async fn the_tour_plays_to_its_end() {
    let sandbox = started(Options { tour: true, ..Options::default() }).await;
    let page = Browser::open(&sandbox, 1400, 900).await;
    page.run(WATCH_CAPTIONS).await;
    let caption =
        |step: usize| format!("return parseInt(document.getElementById('tour').textContent) >= {step}");
    page.until("the proposal", &caption(2)).await;
    page.until("the migrations", &caption(4)).await;
    page.until("a VM on its way", "return flights.size > 0 || world.tasks.length > 0").await;
    page.screenshot("tour.png").await;
    page.until("the history", &caption(5)).await;
    page.until("the approver in the history", &newest_says("Oleg|1002")).await;
    page.until("the recovery", &caption(7)).await;
    page.until("an answer that all is well", ALL_IS_WELL).await;
    page.until("the end", "return document.getElementById('tour').hidden").await;
    assert_eq!(page.run("return [...captions.keys()]").await, json!([1, 2, 3, 4, 5, 6, 7]));
    let stood = page.run("return captions.get(4) - captions.get(3)").await;
    assert!(stood.as_f64().unwrap() > 2000.0, "that somebody approves could be read for {stood} ms");
    assert_eq!(page.errors().await, Vec::<String>::new());
    page.close().await;
    sandbox.stop().await;
}

#[tokio::test]
#[ignore = "needs Chromium, which .ci/browser brings"]
#[expect(clippy::print_stdout, reason = "what was measured stands in the output of the run")]
async fn the_page_stays_smooth_at_10_100_and_1000_nodes() {
    for (nodes, vms, share_max) in [(10, 250, 0.5), (100, 2000, 0.2), (1000, 20_000, 0.05)] {
        let sandbox = started(Options { nodes, vms, ..Options::default() }).await;
        let page = Browser::open(&sandbox, 1400, 900).await;
        page.click("[data-once=foreign_migration]").await;
        page.until("a VM on its way", "return flights.size > 0").await;
        let Measured { frame_ms, long_share, delta_share } = page.measured().await;
        println!(
            "{nodes} nodes: {frame_ms:.0} ms a frame, {long_share:.2} of the time in long tasks, {delta_share:.3} of the world sent"
        );
        // Two cores with other work gave 17 ms, up to 0.11, and 0.045, 0.006, 0.004: room for a slower machine,
        // and none for a frame in a second, or for the whole world at each tick.
        assert!(frame_ms < 300.0, "{nodes} nodes: a frame takes {frame_ms} ms");
        assert!(long_share < 0.5, "{nodes} nodes: {long_share} of the time goes to long tasks");
        assert!(
            delta_share < share_max,
            "{nodes} nodes: {delta_share} of the world is sent from tick to tick"
        );
        if nodes == 1000 {
            an_overloaded_node_is_found(&page).await;
        }
        assert_eq!(page.errors().await, Vec::<String>::new());
        page.close().await;
        sandbox.stop().await;
    }
}

/// Finds it by a press on the count of overloaded nodes, wherever the map was scrolled.
async fn an_overloaded_node_is_found(page: &Browser) {
    page.until("an overloaded node", "return map.over.length > 0").await;
    page.run("document.getElementById('view').scrollTop = 0").await;
    page.click("#over").await;
    page.until("the node in sight", IN_SIGHT).await;
    page.screenshot("thousand.png").await;
}

/// How smooth the page is while VMs travel.
struct Measured {
    /// The median time from frame to frame.
    frame_ms: f64,
    /// The share of the time that goes to tasks of 50 ms and more, in which nothing else can be done.
    long_share: f64,
    /// How much of the world's size is sent at a tick, for the 95th of a hundred.
    delta_share: f64,
}

const MEASURE: &str = "
    const sorted = list => list.sort((a, b) => a - b);
    const measured = whole => new Promise(done => {
        const frames = [], deltas = [], began = performance.now();
        let long = 0, last = null;
        // The page's own frames, as long as it has something to move.
        const ask = window.requestAnimationFrame.bind(window);
        window.requestAnimationFrame = draw => ask(now => {
            if (last !== null && now > last) frames.push(now - last);
            draw(now);
            last = flights.size > 0 ? now : null;
        });
        flip({ name: 'foreign_migration' });
        new PerformanceObserver(list => list.getEntries().forEach(task => { long += task.duration; }))
            .observe({ entryTypes: ['longtask'] });
        const events = new EventSource('api/events');
        events.addEventListener('world', event => deltas.push(event.data.length));
        setTimeout(() => {
            events.close();
            done({
                frame: sorted(frames)[Math.floor(frames.length / 2)], long: long / (performance.now() - began),
                delta: sorted(deltas)[Math.floor(deltas.length * 0.95)] / whole,
            });
        }, 5000);
    });
    return fetch('api/state').then(answer => answer.json()).then(all => measured(JSON.stringify(all.world).length));";

/// What a script of a test begins with: the page's modules, which the browser has loaded already.
const PARTS: &str =
    "return Promise.all(['commands', 'connection', 'flights', 'log', 'map', 'switches', 'world']
        .map(name => import(`/${name}.js`))).then(parts => {
    const { menu, take, load, flights, log, map, flip, world, travelling, limits, percent, isOver } =
        Object.assign({}, ...parts);";

/// Waits for a node that a rush has filled, and remembers it.
const FULL_NODE: &str = "window.full ??= [...world.nodes.values()].find(node => percent(node) >= 77)?.id;
    return window.full !== undefined";

/// The full node is no longer overloaded, and the moved VMs are on their targets.
const LEVEL_BARS: &str = "const moved = world.tasks.filter(task => task.status === 'complete');
    const arrived = task => (world.vms.get(task.vm)?.node ?? task.target) === task.target;
    return moved.some(task => task.source === window.full) && moved.every(arrived)
        && percent(world.nodes.get(window.full)) <= limits().memory";

/// Waits for the end of a migration, and returns whether no VM flies two frames later.
const LANDS_AT_ONCE: &str = "return new Promise(done => {
    const look = () => world.tasks.some(task => task.status === 'complete')
        ? requestAnimationFrame(() => requestAnimationFrame(() => done(flights.size === 0)))
        : setTimeout(look, 10);
    look();
})";

/// The chosen node's cell lies in the part of the map that is seen.
const IN_SIGHT: &str = "const cell = map.cells.get(map.chosen), view = document.getElementById('view');
    return cell !== undefined && isOver(world.nodes.get(map.chosen))
        && cell.y >= view.scrollTop && cell.y + cell.h <= view.scrollTop + view.clientHeight";

/// The elements in the messages that the Tab key reaches.
const STOPS: &str = "return [...log.querySelectorAll('button, a, [role=button]')]
    .filter(stop => stop.tabIndex >= 0).map(stop => stop.textContent)";

/// Elements without a name for screen readers.
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
        "return [...document.querySelectorAll('.message:not(.own) .body')].some(b => /{pattern}/.test(b.textContent))"
    )
}

fn newest_says(pattern: &str) -> String {
    format!(
        "return /{pattern}/.test([...document.querySelectorAll('.message:not(.own) .body')].pop()?.textContent)"
    )
}

/// The bot wrote something after the newest message of a person with this text.
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
        Self::open_with(sandbox, width, height, &[]).await
    }

    async fn open_with(sandbox: &Sandbox, width: u32, height: u32, more: &[&str]) -> Self {
        let (driver, port) = driver().await;
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
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
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let http = reqwest::Client::new();
        let base = format!("http://127.0.0.1:{port}/session");
        let begun = asked(http.post(&base).json(&wanted)).await;
        let session = format!("{base}/{}", begun["sessionId"].as_str().unwrap());
        let browser = Self { http, session, _driver: driver, _profile: profile };
        browser.resize(width, height).await;
        browser.post("url", json!({ "url": format!("http://{}/", sandbox.address()) })).await;
        browser.until("the page", "return document.body.dataset.ready === 'true'").await;
        browser
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        asked(self.http.post(format!("{}/{command}", self.session)).json(&body)).await
    }

    async fn resize(&self, width: u32, height: u32) {
        self.post("window/rect", json!({ "width": width, "height": height })).await;
    }

    async fn measured(&self) -> Measured {
        let measured = self.run(MEASURE).await;
        let number =
            |name: &str| measured[name].as_f64().unwrap_or_else(|| panic!("no {name} in {measured}"));
        Measured { frame_ms: number("frame"), long_share: number("long"), delta_share: number("delta") }
    }

    /// Runs a script that sees what the page's modules export.
    async fn run(&self, script: &str) -> Value {
        let script = format!("{PARTS} {script} }})");
        self.post("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Repeats a script until it returns true.
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

    /// Presses the newest button of that name until the script returns true.
    async fn until_pressed(&self, label: &str, what: &str, script: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        while self.run(script).await != true {
            assert!(Instant::now() < deadline, "pressed in vain for {what}");
            self.press(label).await;
            self.until("an answer", "return document.querySelector('.keys .busy') === null").await;
        }
    }

    /// Presses a switch of the panel of faults, and waits until it is as wanted.
    async fn switch(&self, name: &str, pressed: &str) {
        let css = format!("[data-switch={name}]");
        self.click(&css).await;
        let is_so = format!("return document.querySelector('{css}').ariaPressed === '{pressed}'");
        self.until(&format!("{name} to be {pressed}"), &is_so).await;
    }

    async fn screenshot(&self, name: &str) {
        let encoded = asked(self.http.get(format!("{}/screenshot", self.session))).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("ci");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), from_base64(encoded.as_str().unwrap())).unwrap();
    }

    /// Returns the errors in the browser's log: of the script, or about refused content.
    async fn errors(&self) -> Vec<String> {
        let log = self.post("se/log", json!({ "type": "browser" })).await;
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    async fn close(&self) {
        asked(self.http.delete(&self.session)).await;
    }
}

/// Two drivers that begin at once may choose the same port; the second ends then, and is started again.
async fn driver() -> (Child, u16) {
    for _ in 0..5 {
        if let Some(started) = start_driver().await {
            return started;
        }
    }
    panic!("chromedriver ends before it names its port")
}

async fn start_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver is needed, see .ci/browser: {error}"));
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap()?;
        if let Some((_, port)) = line.split_once("successfully on port ") {
            return Some((driver, port.trim_end_matches('.').parse().unwrap()));
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
