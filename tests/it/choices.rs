//! What people choose by chat: languages, the ends of rests, settings. It outlives a restart.

use vm_balancer::sandbox::{
    telegram::{ADMIN, OPERATOR, Role, SimMessage, VIEWER},
    vmmanager::World,
};

use crate::{
    conversation::{Ctx, Setup},
    platform,
    transcripts::{BOTH, DONE, LANGUAGES, Talk},
    worlds::two_overloaded,
};

#[tokio::test]
async fn people_and_chats_choose_their_language() {
    let mut talk = Talk::start(LANGUAGES[0], World::small(), Setup::default()).await;
    let choice = talk.ask(VIEWER, "/lang").await;
    talk.press(VIEWER, &choice, "lang:ru").await;
    talk.becomes(&choice, ["Ответы вам: Русский", ""]).await;
    talk.ask(VIEWER, "/mode").await;
    talk.ask(OPERATOR, "/mode").await;
    talk.ask(OPERATOR, "/lang ru chat").await;
    talk.ask(OPERATOR, "/lang en").await;
    talk.ask(ADMIN, "/lang ru chat").await;
    talk.ask(ADMIN, "/mode").await;
    talk.restarts().await;
    talk.ask(OPERATOR, "/mode").await;
    talk.line("Oleg: /balance 1");
    let said = talk.bot.say(OPERATOR, "/balance 1");
    let plan = talk.bot.answer_to(talk.bot.home, said).await;
    talk.shown(&plan, "");
    talk.ask(ADMIN, "/lang default chat").await;
    talk.shows("people_and_chats_choose_their_language");
}

#[tokio::test]
async fn an_admin_ends_the_rest_of_a_vm() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        talk.ask(VIEWER, "/rests").await;
        let moved = talk.bot.sim.orders()[0].vm;
        let name = talk.bot.vm_name(moved);
        talk.ask(OPERATOR, &format!("/rests clear {name}")).await;
        talk.ask(ADMIN, &format!("/rests clear {name}")).await;
        talk.ask(ADMIN, &format!("/rests clear {name}")).await;
        talk.restarts().await;
        talk.ask(VIEWER, "/rests").await;
        talk.ask(ADMIN, "/audit 2").await;
        talk.shows("an_admin_ends_the_rest_of_a_vm");
    }
}

#[tokio::test]
async fn rests_are_ended_by_names_and_patterns_but_not_while_a_migration_runs() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::of(&BOTH).manual()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.bot.until("the first is ordered", |sim| sim.orders().len() == 1).await;
        talk.bot.sim.finish_all();
        talk.bot.until("the second is ordered", |sim| sim.orders().len() == 2).await;
        talk.ask(ADMIN, "/rests clear WEB-*, nobody").await;
        talk.ask(ADMIN, "/rests clear *").await;
        talk.ask(VIEWER, "/rests").await;
        talk.ask(ADMIN, "/rests clear web-1,db-*").await;
        talk.bot.sim.finish_all();
        talk.becomes(&plan, DONE).await;
        talk.ask(ADMIN, "/rests clear web-1, DB-*").await;
        talk.ask(ADMIN, "/rests clear web-1,db-*").await;
        talk.shows("rests_are_ended_by_names_and_patterns");
    }
}

#[tokio::test]
async fn settings_change_while_the_bot_runs() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, two_overloaded(), Setup::default()).await;
        talk.ask(VIEWER, "/settings").await;
        talk.ask(OPERATOR, "/set MAX_MIGRATIONS_PER_CYCLE 2").await;
        talk.ask(ADMIN, "/set MAX_MIGRATIONS_PER_CYCLE many").await;
        let small = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &small, ":r").await;
        let set = talk.ask(ADMIN, "/set max_migrations_per_cycle 2").await;
        talk.ask(OPERATOR, "/balance 1").await;
        talk.press(ADMIN, &set, "set:n:").await;
        let shown = talk.offers(&set, "set:v:MAX_MIGRATIONS_PER_CYCLE:1").await;
        talk.press(OPERATOR, &shown, "set:v:MAX_MIGRATIONS_PER_CYCLE:3").await;
        talk.press(ADMIN, &shown, "set:v:MAX_MIGRATIONS_PER_CYCLE:3").await;
        talk.offers(&set, "set:v:MAX_MIGRATIONS_PER_CYCLE:4").await;
        talk.restarts().await;
        talk.ask(ADMIN, "/settings MAX_MIGRATIONS_PER_CYCLE").await;
        talk.ask(ADMIN, "/set MAX_MIGRATIONS_PER_CYCLE default").await;
        for refused in
            ["/set VMMANAGER_PASSWORD deep", "/set TIMEZONE UTC", "/set BALANCE_MODE auto", "/set PIN_VM a"]
        {
            talk.ask(ADMIN, refused).await;
        }
        let audit = talk.ask(ADMIN, "/audit 20").await;
        assert!(!audit.text().contains("deep"), "{}", audit.text());
        talk.ask_in(ADMIN, ADMIN, "/set ALERT_REMIND 0").await;
        talk.hears(["/set ALERT_REMIND 0", "/set ALERT_REMIND 0"]).await;
        talk.shows("settings_change_while_the_bot_runs");
    }
}

#[tokio::test]
async fn another_interval_and_a_board_begin_at_once() {
    let mut talk = Talk::start(LANGUAGES[0], World::small(), Setup::default()).await;
    talk.ask(ADMIN, "/set BALANCE_INTERVAL 1").await;
    talk.bot.cycles(1).await;
    talk.ask(ADMIN, "/set BOARD true").await;
    let board = talk.bot.heard("As of").await;
    assert!(board.silent, "{board:?}");
}

#[tokio::test]
async fn a_board_that_is_switched_off_says_so_and_is_unpinned() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        talk.bot.telegram.set_bot_role(talk.bot.home, Role::Administrator).unwrap();
        for _ in 0..2 {
            talk.ask(ADMIN, "/set BOARD true").await;
            let board = talk.hears(["As of", "Данные от"]).await;
            talk.pinned(&board, true).await;
            talk.ask(ADMIN, "/set BOARD false").await;
            talk.becomes(&board, ["no longer kept up to date", "больше не обновляется"]).await;
            talk.pinned(&board, false).await;
        }
        talk.ask(ADMIN, "/set BOARD true").await;
        let board = talk.hears(["As of", "Данные от"]).await;
        talk.ask(ADMIN, "/set BOARD default").await;
        talk.becomes(&board, ["no longer kept up to date", "больше не обновляется"]).await;
        talk.shows("a_board_that_is_switched_off_says_so_and_is_unpinned");
    }
}

#[tokio::test]
async fn a_board_of_another_configuration_is_taken_down_at_the_start() {
    let mut bot = Ctx::with(World::small(), Setup::of(&[("BOARD", "true")])).await;
    let board = bot.heard("As of").await;
    // Answers of this chat wait until the board's number is known, and what changes something until that is on disk.
    bot.ask(OPERATOR, "/pause").await;
    bot.restart_with("BOARD", "false").await;
    bot.says(&board, "no longer kept up to date").await;
}

#[tokio::test]
async fn the_menu_of_commands_is_that_of_the_role_in_the_language_of_the_answers() {
    let bot = Ctx::with(World::small(), Setup::default()).await;
    let about = |user: i64, chat: i64, word: &str| {
        let menu = bot.telegram.menu(user, chat);
        menu.into_iter().find(|line| line.command == word).map(|line| line.description)
    };
    platform::until("the menus are filled", async || about(OPERATOR, bot.home, "balance").is_some()).await;
    for chat in [None, Some(bot.home)] {
        let has = |user: i64, word: &str| about(user, chat.unwrap_or(user), word).is_some();
        assert!(has(VIEWER, "status") && !has(VIEWER, "balance") && !has(VIEWER, "set"));
        assert!(has(OPERATOR, "balance") && !has(OPERATOR, "set"));
        assert!(has(ADMIN, "balance") && has(ADMIN, "set"));
    }
    bot.ask(VIEWER, "/lang ru").await;
    let russian = "выполненные миграции, сначала новые";
    let is_russian = |user: i64| about(user, bot.home, "history").as_deref() == Some(russian);
    platform::until("the menu is Russian", async || is_russian(VIEWER)).await;
    assert!(!is_russian(OPERATOR), "the others keep theirs");
    bot.ask(ADMIN, "/lang ru chat").await;
    platform::until("theirs too", async || is_russian(OPERATOR)).await;
}

#[tokio::test]
async fn the_history_comes_as_a_file() {
    for lang in LANGUAGES {
        let mut talk = Talk::start(lang, World::small(), Setup::default()).await;
        let plan = talk.ask(OPERATOR, "/balance 1").await;
        talk.press(OPERATOR, &plan, ":a").await;
        talk.becomes(&plan, DONE).await;
        let history = talk.ask(VIEWER, "/history").await;
        talk.press(VIEWER, &history, "h:c:").await;
        let with_file = |all: &[SimMessage]| all.iter().find(|message| message.media.is_some()).cloned();
        let file = talk.bot.telegram.wait_for(talk.bot.home, "a file", with_file).await.unwrap();
        talk.shown(&file, " (with a file)");
        let media = file.media.unwrap();
        assert_eq!((media.file_name.as_str(), file.silent), ("history-2026-11-23.csv", true));
        talk.line(String::from_utf8_lossy(&media.bytes).trim_start_matches('\u{feff}').trim_end());
        talk.shows("the_history_comes_as_a_file");
    }
}
