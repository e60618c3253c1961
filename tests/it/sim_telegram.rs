//! The simulated Bot API, seen by teloxide's client: one test per behaviour and fault.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use teloxide::{
    ApiError, Bot, RequestError,
    payloads::{
        AnswerCallbackQuerySetters, GetUpdatesSetters, SendDocumentSetters, SendMessageSetters,
        SendPhotoSetters, SetMyCommandsSetters,
    },
    prelude::Requester,
    types::{
        AllowedUpdate, BotCommand, BotCommandScope, CallbackQueryId, ChatAction, ChatId, FileId,
        InlineKeyboardButton, InlineKeyboardMarkup, InputFile, MediaKind, MessageEntityKind, MessageId,
        MessageKind, ParseMode, ReactionType, Recipient, ReplyParameters, Seconds, ThreadId, Update,
        UpdateKind, UserId,
    },
};
use vm_balancer::{
    clock::{Clock, ManualClock},
    sandbox::telegram::{
        ADMIN, ANONYMOUS_ADMIN, CHANNEL, CHANNEL_BOT, FORUM, Faults, GROUP, GROUP_ANONYMOUS_BOT, OPERATOR,
        OPS_TOPIC, Options, Role, Running, STRANGER, SUPERGROUP, SimTelegram, VIEWER,
    },
};

#[tokio::test]
async fn a_bot_learns_who_it_is() {
    let (telegram, bot) = started().await;
    let me = bot.get_me().await.unwrap();
    assert_eq!((me.username(), me.id.0), ("vm_balancer_bot", u64::try_from(telegram.bot().id).unwrap()));
}

#[tokio::test]
async fn a_wrong_token_is_unauthorized() {
    let (telegram, _) = started().await;
    let stranger = client(&telegram, "1:wrong");
    assert_eq!(api_error(stranger.get_me().await), ApiError::InvalidToken);
}

#[tokio::test]
async fn updates_stay_until_an_offset_confirms_them() {
    let (telegram, bot) = started().await;
    telegram.say(ADMIN, ADMIN, "one").unwrap();
    telegram.say(ADMIN, ADMIN, "two").unwrap();
    let first = bot.get_updates().await.unwrap();
    assert_eq!(texts(&first), ["one", "two"]);
    let again = bot.get_updates().limit(1).await.unwrap();
    assert_eq!(texts(&again), ["one"]);
    let rest = bot.get_updates().offset(next(&again)).await.unwrap();
    assert_eq!(texts(&rest), ["two"]);
    assert!(bot.get_updates().offset(next(&rest)).await.unwrap().is_empty());
    assert_eq!(telegram.pending_updates(), 0);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_update() {
    let (telegram, bot) = started().await;
    let poll = tokio::spawn(async move { bot.get_updates().timeout(15).await });
    telegram.wait_for_poll(0).await.unwrap();
    telegram.say(ADMIN, ADMIN, "/status").unwrap();
    assert_eq!(texts(&poll.await.unwrap().unwrap()), ["/status"]);
}

#[tokio::test]
async fn the_older_of_two_pollers_is_terminated() {
    let (telegram, bot) = started().await;
    let older = tokio::spawn({
        let bot = bot.clone();
        async move { bot.get_updates().timeout(15).await }
    });
    let polls = telegram.wait_for_poll(0).await.unwrap();
    let younger = tokio::spawn(async move { bot.get_updates().timeout(15).await });
    telegram.wait_for_poll(polls).await.unwrap();
    assert_eq!(api_error(older.await.unwrap()), ApiError::TerminatedByOtherGetUpdates);
    telegram.say(ADMIN, ADMIN, "still heard").unwrap();
    assert_eq!(texts(&younger.await.unwrap().unwrap()), ["still heard"]);
}

#[tokio::test]
async fn only_the_kinds_that_were_asked_for_come() {
    let (telegram, bot) = started().await;
    bot.get_updates().allowed_updates([AllowedUpdate::CallbackQuery]).await.unwrap();
    telegram.say(ADMIN, ADMIN, "unheard").unwrap();
    assert!(bot.get_updates().await.unwrap().is_empty());
}

#[tokio::test]
async fn presses_wait_150_seconds_and_messages_a_day() {
    let (telegram, bot, clock) = started_with_clock().await;
    telegram.say(ADMIN, ADMIN, "/status").unwrap();
    telegram.press_forged(ADMIN, ADMIN, 1, "x").unwrap();
    clock.advance(TimeDelta::seconds(151));
    assert_eq!(texts(&bot.get_updates().await.unwrap()), ["/status"]);
    clock.advance(TimeDelta::hours(24));
    assert!(bot.get_updates().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_update_can_be_replayed_with_its_old_id() {
    let (telegram, bot) = started().await;
    telegram.say(ADMIN, ADMIN, "twice").unwrap();
    let first = bot.get_updates().await.unwrap();
    bot.get_updates().offset(next(&first)).await.unwrap();
    telegram.replay(i64::from(first[0].id.0)).unwrap();
    let second = bot.get_updates().await.unwrap();
    assert_eq!((second[0].id, texts(&second)), (first[0].id, vec!["twice".to_owned()]));
}

#[tokio::test]
async fn any_update_can_be_pushed() {
    let (telegram, bot) = started().await;
    let id = telegram.push_update(json!({ "a_kind_of_tomorrow": { "x": 1 } }));
    let updates = bot.get_updates().await.unwrap();
    assert_eq!(i64::from(updates[0].id.0), id);
    assert!(matches!(updates[0].kind, UpdateKind::Error(_)));
}

#[tokio::test]
async fn a_message_comes_with_sender_chat_and_date() {
    let (telegram, bot, clock) = started_with_clock().await;
    let date = clock.now() - TimeDelta::hours(3);
    telegram.say_at(date, OPERATOR, (FORUM, OPS_TOPIC), "/status@vm_balancer_bot").unwrap();
    let UpdateKind::Message(message) = bot.get_updates().await.unwrap().remove(0).kind else { panic!() };
    assert_eq!((message.chat.id, message.date), (ChatId(FORUM), date));
    assert_eq!(message.from.as_ref().unwrap().id, user(OPERATOR));
    assert_eq!(message.thread_id.unwrap().0, MessageId(i32::try_from(OPS_TOPIC).unwrap()));
    assert!(message.is_topic_message);
}

#[tokio::test]
async fn in_a_group_a_member_bot_sees_what_is_meant_for_it() {
    let (telegram, bot) = started().await;
    let own = bot.send_message(ChatId(GROUP), "hello").await.unwrap();
    telegram.say(ADMIN, GROUP, "just talk").unwrap();
    telegram.say(ADMIN, GROUP, "/status@other_bot").unwrap();
    telegram.say(ADMIN, GROUP, "/status").unwrap();
    telegram.say(ADMIN, GROUP, "look, @vm_balancer_bot").unwrap();
    telegram.reply(ADMIN, GROUP, i64::from(own.id.0), "a reply").unwrap();
    assert_eq!(texts(&bot.get_updates().await.unwrap()), ["/status", "look, @vm_balancer_bot", "a reply"]);
}

#[tokio::test]
async fn a_bot_that_is_administrator_sees_everything() {
    let (telegram, bot) = started().await;
    telegram.set_bot_role(GROUP, Role::Administrator).unwrap();
    telegram.say(ADMIN, GROUP, "just talk").unwrap();
    let updates = bot.get_updates().await.unwrap();
    assert!(
        matches!(&updates[0].kind, UpdateKind::MyChatMember(now) if now.new_chat_member.is_administrator())
    );
    assert_eq!(texts(&updates), ["just talk"]);
}

#[tokio::test]
async fn an_anonymous_administrator_shows_only_in_a_press() {
    let (telegram, bot) = started().await;
    let asked =
        bot.send_message(ChatId(SUPERGROUP), "?").reply_markup(buttons(&[("Yes", "y")])).await.unwrap();
    telegram.say(ANONYMOUS_ADMIN, SUPERGROUP, "/status").unwrap();
    telegram.press_only(ANONYMOUS_ADMIN, SUPERGROUP, i64::from(asked.id.0), "Yes").unwrap();
    let mut updates = bot.get_updates().await.unwrap();
    let UpdateKind::CallbackQuery(press) = updates.remove(1).kind else { panic!() };
    let UpdateKind::Message(said) = updates.remove(0).kind else { panic!() };
    assert_eq!(said.from.unwrap().id, user(GROUP_ANONYMOUS_BOT));
    assert_eq!(said.sender_chat.unwrap().id, ChatId(SUPERGROUP));
    assert_eq!(press.from.id, user(ANONYMOUS_ADMIN));
}

#[tokio::test]
async fn a_channel_speaks_through_a_bot_of_telegram() {
    let (telegram, bot) = started().await;
    telegram.say(CHANNEL, SUPERGROUP, "/status").unwrap();
    let UpdateKind::Message(said) = bot.get_updates().await.unwrap().remove(0).kind else { panic!() };
    assert_eq!(said.from.unwrap().id, user(CHANNEL_BOT));
    assert!(said.sender_chat.unwrap().is_channel());
}

#[tokio::test]
async fn an_edited_message_is_another_kind_of_update() {
    let (telegram, bot) = started().await;
    let said = telegram.say(ADMIN, ADMIN, "/sattus").unwrap();
    telegram.edit_said(ADMIN, said, "/status").unwrap();
    let updates = bot.get_updates().await.unwrap();
    assert!(
        matches!(&updates[1].kind, UpdateKind::EditedMessage(message) if message.text() == Some("/status"))
    );
}

#[tokio::test]
async fn html_becomes_text_with_entities() {
    let (telegram, bot) = started().await;
    let sent =
        bot.send_message(ChatId(ADMIN), "<b>web-1</b> &lt;ok&gt;").parse_mode(ParseMode::Html).await.unwrap();
    assert_eq!(sent.text(), Some("web-1 <ok>"));
    assert!(matches!(sent.entities().unwrap()[0].kind, MessageEntityKind::Bold));
    let seen = telegram.wait_for_text(ADMIN, "web-1").await.unwrap();
    assert_eq!(seen.html(), "<b>web-1</b> &lt;ok&gt;");
}

#[tokio::test]
async fn broken_html_is_refused_in_telegrams_words() {
    let (telegram, bot) = started().await;
    let refused = bot.send_message(ChatId(ADMIN), "<b>web-1").parse_mode(ParseMode::Html).await;
    let ApiError::CantParseEntities(words) = api_error(refused) else { panic!() };
    assert_eq!(
        words,
        "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""
    );
    assert!(telegram.messages(ADMIN).is_empty());
}

#[tokio::test]
async fn the_length_of_a_text_is_counted_in_utf16_units_after_parsing() {
    let (_telegram, bot) = started().await;
    let fits = format!("<b>{}</b>", "😀".repeat(2048));
    bot.send_message(ChatId(ADMIN), fits).parse_mode(ParseMode::Html).await.unwrap();
    let too_long = bot.send_message(ChatId(ADMIN), "😀".repeat(2048) + "x").await;
    assert_eq!(api_error(too_long), ApiError::MessageIsTooLong);
    let empty = bot.send_message(ChatId(ADMIN), "<b> </b>").parse_mode(ParseMode::Html).await;
    assert_eq!(api_error(empty), ApiError::MessageTextIsEmpty);
}

#[tokio::test]
async fn callback_data_has_1_to_64_bytes() {
    let (_telegram, bot) = started().await;
    let send = |data: &str| bot.send_message(ChatId(ADMIN), "?").reply_markup(buttons(&[("Go", data)]));
    send(&"x".repeat(64)).await.unwrap();
    for data in ["", &"x".repeat(65), &"ж".repeat(33)] {
        assert_eq!(api_error(send(data).await), ApiError::ButtonDataInvalid);
    }
}

#[tokio::test]
async fn a_keyboard_has_at_most_100_buttons_and_8_in_a_row() {
    let (_telegram, bot) = started().await;
    let row = |count: usize| vec![InlineKeyboardButton::callback("x", "x"); count];
    let send = |rows: Vec<Vec<InlineKeyboardButton>>| {
        bot.send_message(ChatId(ADMIN), "?").reply_markup(InlineKeyboardMarkup::new(rows))
    };
    send(vec![row(5); 20]).await.unwrap();
    assert_eq!(words(send(vec![row(1); 101]).await), "Bad Request: REPLY_MARKUP_TOO_LONG");
    assert_eq!(words(send(vec![row(9)]).await), "Bad Request: REPLY_MARKUP_INVALID");
}

#[tokio::test]
async fn an_edit_changes_the_message_in_place_and_keeps_its_history() {
    let (telegram, bot) = started().await;
    let sent =
        bot.send_message(ChatId(ADMIN), "working").reply_markup(buttons(&[("Stop", "s")])).await.unwrap();
    let edited = bot.edit_message_text(ChatId(ADMIN), sent.id, "done").await.unwrap();
    assert!(edited.edit_date().is_some());
    let seen = telegram.wait_for_text(ADMIN, "done").await.unwrap();
    assert_eq!((seen.history.len(), seen.history[0].body.text.as_str()), (1, "working"));
    assert!(seen.buttons.is_empty());
    assert_eq!(telegram.messages(ADMIN).len(), 1);
}

#[tokio::test]
async fn an_edit_without_a_change_is_refused() {
    let (_telegram, bot) = started().await;
    let sent = bot.send_message(ChatId(ADMIN), "same").await.unwrap();
    let refused = bot.edit_message_text(ChatId(ADMIN), sent.id, "same").await;
    assert_eq!(api_error(refused), ApiError::MessageNotModified);
}

#[tokio::test]
async fn what_is_gone_cannot_be_edited_or_deleted() {
    let (telegram, bot) = started().await;
    let sent = bot.send_message(ChatId(ADMIN), "here").await.unwrap();
    telegram.delete_message(ADMIN, i64::from(sent.id.0)).unwrap();
    let edit = bot.edit_message_text(ChatId(ADMIN), sent.id, "there").await;
    assert_eq!(api_error(edit), ApiError::MessageToEditNotFound);
    let delete = bot.delete_message(ChatId(ADMIN), sent.id).await;
    assert_eq!(api_error(delete), ApiError::MessageToDeleteNotFound);
}

#[tokio::test]
async fn nobody_edits_what_another_said() {
    let (telegram, bot) = started().await;
    let said = telegram.say(ADMIN, ADMIN, "mine").unwrap();
    let edit = bot.edit_message_text(ChatId(ADMIN), message_id(said), "yours").await;
    assert_eq!(api_error(edit), ApiError::MessageCantBeEdited);
}

#[tokio::test]
async fn buttons_can_be_changed_alone() {
    let (telegram, bot) = started().await;
    let sent =
        bot.send_message(ChatId(ADMIN), "?").reply_markup(buttons(&[("A", "a"), ("B", "b")])).await.unwrap();
    bot.edit_message_reply_markup(ChatId(ADMIN), sent.id).await.unwrap();
    assert!(telegram.messages(ADMIN)[0].buttons.is_empty());
}

#[tokio::test]
async fn a_press_arrives_with_its_message_and_is_answered_once() {
    let (telegram, bot) = started().await;
    let sent =
        bot.send_message(ChatId(GROUP), "?").reply_markup(buttons(&[("Approve", "ap:1")])).await.unwrap();
    let press = tokio::spawn({
        let telegram = telegram.handle();
        async move { telegram.press(OPERATOR, GROUP, i64::from(sent.id.0), "Approve").await }
    });
    let query = next_press(&bot).await;
    assert_eq!((query.from.id, query.data.as_deref()), (user(OPERATOR), Some("ap:1")));
    assert_eq!(query.regular_message().unwrap().text(), Some("?"));
    bot.answer_callback_query(query.id.clone()).text("approved").show_alert(true).await.unwrap();
    let answer = press.await.unwrap().unwrap();
    assert_eq!((answer.user, answer.text.as_deref(), answer.alert), (OPERATOR, Some("approved"), true));
    assert_eq!(telegram.answers(), [answer]);
    assert_eq!(api_error(bot.answer_callback_query(query.id).await), too_old());
}

#[tokio::test]
async fn a_press_is_too_old_after_half_a_minute() {
    let (telegram, bot, clock) = started_with_clock().await;
    let query = telegram.press_forged(ADMIN, ADMIN, 1, "x").unwrap();
    clock.advance(TimeDelta::seconds(31));
    assert_eq!(api_error(bot.answer_callback_query(CallbackQueryId(query)).await), too_old());
    assert_eq!(api_error(bot.answer_callback_query(CallbackQueryId("7".into())).await), too_old());
}

#[tokio::test]
async fn a_press_can_be_made_too_old_at_once() {
    let (telegram, bot) = started().await;
    let query = telegram.press_forged(ADMIN, ADMIN, 1, "x").unwrap();
    telegram.expire_presses();
    assert_eq!(api_error(bot.answer_callback_query(CallbackQueryId(query)).await), too_old());
}

#[tokio::test]
async fn an_answer_has_at_most_200_letters() {
    let (telegram, bot) = started().await;
    let query = CallbackQueryId(telegram.press_forged(ADMIN, ADMIN, 1, "x").unwrap());
    let long = bot.answer_callback_query(query.clone()).text("ж".repeat(201)).await;
    assert_eq!(words(long), "EditedMessageIsTooLong");
    bot.answer_callback_query(query).text("ж".repeat(200)).await.unwrap();
}

#[tokio::test]
async fn a_press_on_a_deleted_message_comes_with_an_inaccessible_one() {
    let (telegram, bot) = started().await;
    telegram.press_forged(ADMIN, ADMIN, 77, "old").unwrap();
    let query = next_press(&bot).await;
    assert!(query.regular_message().is_none());
    assert_eq!(query.message.unwrap().id(), MessageId(77));
}

#[tokio::test]
async fn only_buttons_that_are_there_can_be_pressed() {
    let (telegram, bot) = started().await;
    let sent = bot.send_message(ChatId(ADMIN), "?").reply_markup(buttons(&[("Yes", "y")])).await.unwrap();
    let refused = telegram.press_only(ADMIN, ADMIN, i64::from(sent.id.0), "No").unwrap_err();
    assert_eq!(refused.to_string(), "there is no button \"No\" on the message, only [\"Yes\"]");
}

#[tokio::test]
async fn a_reply_stands_with_its_message_and_in_its_topic() {
    let (telegram, bot) = started().await;
    let said = telegram.say(ADMIN, (FORUM, OPS_TOPIC), "/status").unwrap();
    let answer = bot
        .send_message(ChatId(FORUM), "all well")
        .reply_parameters(ReplyParameters::new(message_id(said)))
        .await
        .unwrap();
    assert_eq!(answer.reply_to_message().unwrap().text(), Some("/status"));
    let seen = telegram.wait_for_text(FORUM, "all well").await.unwrap();
    assert_eq!((seen.reply_to, seen.thread), (Some(said), Some(OPS_TOPIC)));
}

#[tokio::test]
async fn a_reply_to_nothing_needs_leave() {
    let (_telegram, bot) = started().await;
    let reply = |leave: bool| {
        let to = ReplyParameters { message_id: MessageId(999), ..ReplyParameters::default() };
        let to = if leave { to.allow_sending_without_reply() } else { to };
        bot.send_message(ChatId(ADMIN), "answer").reply_parameters(to)
    };
    let refused = words(reply(false).await);
    assert_eq!(refused, "MessageToReplyNotFound");
    assert!(reply(true).await.unwrap().reply_to_message().is_none());
}

#[tokio::test]
async fn topics_must_exist() {
    let (telegram, bot) = started().await;
    let send = |chat: i64, thread: i32| {
        bot.send_message(ChatId(chat), "hello").message_thread_id(ThreadId(MessageId(thread)))
    };
    let sent = send(FORUM, i32::try_from(OPS_TOPIC).unwrap()).await.unwrap();
    assert!(sent.is_topic_message);
    assert_eq!(telegram.messages(FORUM)[0].thread, Some(OPS_TOPIC));
    for (chat, thread) in [(FORUM, 1), (FORUM, 55), (GROUP, 7)] {
        assert_eq!(words(send(chat, thread).await), "Bad Request: message thread not found");
    }
}

#[tokio::test]
async fn chats_that_are_not_there_or_did_not_begin() {
    let (telegram, bot) = started().await;
    assert_eq!(api_error(bot.send_message(ChatId(-5), "x").await), ApiError::ChatNotFound);
    let first = words(bot.send_message(ChatId(STRANGER), "x").await);
    assert_eq!(first, "Forbidden: bot can't initiate conversation with a user");
    telegram.say(STRANGER, STRANGER, "/start").unwrap();
    bot.send_message(ChatId(STRANGER), "x").await.unwrap();
}

#[tokio::test]
async fn a_kicked_or_blocked_bot_is_told_and_may_not_write() {
    let (telegram, bot) = started().await;
    for (chat, refusal) in [
        (GROUP, "Forbidden: bot was kicked from the group chat"),
        (SUPERGROUP, "Forbidden: bot was kicked from the supergroup chat"),
        (VIEWER, "Forbidden: bot was blocked by the user"),
    ] {
        telegram.kick(chat).unwrap();
        bot.send_message(ChatId(chat), "x").await.unwrap_err();
        assert_eq!(telegram.requests().last().unwrap().refusal.as_deref(), Some(refusal));
    }
    let updates = bot.get_updates().await.unwrap();
    assert!(updates.iter().all(|update| matches!(update.kind, UpdateKind::MyChatMember(_))));
    assert_eq!(updates.len(), 3);
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_says_where_it_went() {
    let (telegram, bot) = started().await;
    let to = telegram.migrate_to_supergroup(GROUP).unwrap();
    let refused = bot.send_message(ChatId(GROUP), "x").await.unwrap_err();
    assert!(matches!(refused, RequestError::MigrateToChatId(id) if id == ChatId(to)));
    bot.send_message(ChatId(to), "x").await.unwrap();
    let updates = bot.get_updates().await.unwrap();
    assert_eq!(updates.iter().map(|update| update.chat().unwrap().id.0).collect::<Vec<_>>(), [GROUP, to]);
    let UpdateKind::Message(said) = &updates[0].kind else { panic!() };
    assert_eq!(said.migrate_to_chat_id(), Some(&ChatId(to)));
}

#[tokio::test]
async fn photos_are_pictures_and_can_be_fetched() {
    let (telegram, bot) = started().await;
    let photo = InputFile::memory(PNG).file_name("load.png");
    let sent =
        bot.send_photo(ChatId(ADMIN), photo).caption("load").reply_markup(buttons(&[("Back", "b")])).await;
    let sent = sent.unwrap();
    assert_eq!((sent.caption(), sent.photo().unwrap()[0].width), (Some("load"), 1));
    let seen = telegram.wait_for_text(ADMIN, "load").await.unwrap();
    let media = seen.media.unwrap();
    assert_eq!((media.file_name.as_str(), &*media.bytes), ("load.png", PNG));
    let again = InputFile::file_id(FileId(media.file_id));
    bot.send_photo(ChatId(OPERATOR), again).await.unwrap();
    let no_picture = bot.send_photo(ChatId(ADMIN), InputFile::memory("text").file_name("x.png")).await;
    assert_eq!(words(no_picture), "ImageProcessFailed");
}

#[tokio::test]
async fn documents_keep_name_and_content() {
    let (telegram, bot) = started().await;
    let csv = InputFile::memory("vm,source,target\n").file_name("history.csv");
    let sent = bot
        .send_document(ChatId(ADMIN), csv)
        .caption("<i>all</i>")
        .parse_mode(ParseMode::Html)
        .await
        .unwrap();
    assert_eq!(sent.document().unwrap().file_name.as_deref(), Some("history.csv"));
    let media = telegram.wait_for_text(ADMIN, "all").await.unwrap().media.unwrap();
    assert_eq!(&*media.bytes, b"vm,source,target\n");
    let long = InputFile::memory("x").file_name("x");
    let long = bot.send_document(ChatId(ADMIN), long).caption("x".repeat(1025)).await;
    assert_eq!(words(long), "Bad Request: message caption is too long");
}

#[tokio::test]
async fn a_media_message_has_no_text_to_edit() {
    let (_telegram, bot) = started().await;
    let sent = bot.send_photo(ChatId(ADMIN), InputFile::memory(PNG)).await.unwrap();
    assert!(
        matches!(&sent.kind, MessageKind::Common(common) if matches!(common.media_kind, MediaKind::Photo(_)))
    );
    let refused = bot.edit_message_text(ChatId(ADMIN), sent.id, "text").await;
    assert_eq!(words(refused), "Bad Request: there is no text in the message to edit");
}

#[tokio::test]
async fn menus_of_commands_have_scopes_and_languages() {
    let (telegram, bot) = started().await;
    let menu = |name: &str| vec![BotCommand::new(name, "does something")];
    bot.set_my_commands(menu("status")).await.unwrap();
    bot.set_my_commands(menu("/balance"))
        .scope(BotCommandScope::ChatMember { chat_id: Recipient::Id(ChatId(GROUP)), user_id: user(OPERATOR) })
        .await
        .unwrap();
    bot.set_my_commands(menu("pause")).scope(BotCommandScope::AllChatAdministrators).await.unwrap();
    let seen = |user: i64, chat: i64| telegram.menu(user, chat)[0].command.clone();
    assert_eq!(seen(OPERATOR, GROUP), "balance");
    assert_eq!(seen(ADMIN, GROUP), "pause");
    assert_eq!(seen(VIEWER, GROUP), "status");
    assert_eq!(bot.get_my_commands().await.unwrap()[0].command, "status");
    assert_eq!(words(bot.set_my_commands(menu("Status")).await), "Bad Request: BOT_COMMAND_INVALID");
}

#[tokio::test]
async fn administrators_and_members_can_be_asked_for() {
    let (_telegram, bot) = started().await;
    let admins = bot.get_chat_administrators(ChatId(GROUP)).await.unwrap();
    let ids: Vec<_> = admins.iter().map(|admin| admin.user.id).collect();
    assert_eq!(ids, [user(ADMIN), user(ANONYMOUS_ADMIN)]);
    assert!(bot.get_chat_member(ChatId(GROUP), user(ADMIN)).await.unwrap().is_owner());
    assert!(bot.get_chat_member(ChatId(GROUP), user(STRANGER)).await.unwrap().is_present());
    assert_eq!(bot.get_chat(ChatId(FORUM)).await.unwrap().title(), Some("Operations"));
    assert_eq!(bot.get_chat(ChatId(ADMIN)).await.unwrap().username(), Some("anna_admin"));
}

#[tokio::test]
async fn reactions_and_pins_are_seen() {
    let (telegram, bot) = started().await;
    let said = telegram.say(ADMIN, ADMIN, "/status").unwrap();
    let eyes = ReactionType::Emoji { emoji: "👀".into() };
    use teloxide::payloads::SetMessageReactionSetters as _;
    bot.set_message_reaction(ChatId(ADMIN), message_id(said)).reaction([eyes]).await.unwrap();
    assert_eq!(telegram.message(ADMIN, said).unwrap().reactions, ["👀"]);
    bot.pin_chat_message(ChatId(ADMIN), message_id(said)).await.unwrap();
    assert!(telegram.message(ADMIN, said).unwrap().pinned);
    bot.unpin_chat_message(ChatId(ADMIN)).await.unwrap();
    assert!(!telegram.message(ADMIN, said).unwrap().pinned);
    let in_group = bot.send_message(ChatId(GROUP), "x").await.unwrap();
    let refused = words(bot.pin_chat_message(ChatId(GROUP), in_group.id).await);
    assert_eq!(refused, "NotEnoughRightsToManagePins");
}

#[tokio::test]
async fn small_methods_answer() {
    let (_telegram, bot) = started().await;
    bot.send_chat_action(ChatId(ADMIN), ChatAction::Typing).await.unwrap();
    bot.delete_webhook().await.unwrap();
    assert!(bot.get_webhook_info().await.unwrap().url.is_none());
    bot.close().await.unwrap();
    bot.log_out().await.unwrap();
}

#[tokio::test]
async fn methods_are_taken_in_any_case_and_coding() {
    let (telegram, _bot) = started().await;
    let base = format!("{}/bot{}", telegram.url(), telegram.token());
    let http = reqwest::Client::new();
    let got: Value = http.get(format!("{base}/GETME")).send().await.unwrap().json().await.unwrap();
    assert_eq!(got["result"]["is_bot"], true);
    let query = format!("{base}/sendmessage?chat_id={ADMIN}&text=from+query");
    http.get(query).send().await.unwrap();
    let form = format!("chat_id={ADMIN}&text=from+form");
    let form_type = "application/x-www-form-urlencoded";
    http.post(format!("{base}/sendMessage"))
        .header("content-type", form_type)
        .body(form)
        .send()
        .await
        .unwrap();
    let json = json!({ "chat_id": ADMIN.to_string(), "text": "from JSON" });
    http.post(format!("{base}/SendMessage")).json(&json).send().await.unwrap();
    let texts: Vec<_> = telegram.messages(ADMIN).iter().map(|message| message.text().to_owned()).collect();
    assert_eq!(texts, ["from query", "from form", "from JSON"]);
    let unknown = http.get(format!("{base}/getNothing")).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn every_request_is_in_the_log() {
    let (telegram, bot) = started().await;
    bot.send_message(ChatId(ADMIN), "hello").await.unwrap();
    bot.send_message(ChatId(-5), "hello").await.unwrap_err();
    let log = telegram.requests();
    assert_eq!(telegram.request_count("sendMessage"), 2);
    assert_eq!(
        (log[0].method.as_str(), &log[0].params["text"], log[0].status),
        ("sendmessage", &json!("hello"), 200)
    );
    assert_eq!(log[1].refusal.as_deref(), Some("Bad Request: chat not found"));
}

#[tokio::test]
async fn too_many_requests_hit_sends_and_edits() {
    let (telegram, bot) = started().await;
    telegram.set_faults(|faults| (faults.too_many_requests, faults.retry_after_seconds) = (1, 7));
    bot.get_me().await.unwrap();
    let refused = bot.send_message(ChatId(ADMIN), "x").await.unwrap_err();
    assert!(matches!(refused, RequestError::RetryAfter(seconds) if seconds == Seconds::from_seconds(7)));
    bot.send_message(ChatId(ADMIN), "x").await.unwrap();
}

#[tokio::test]
async fn a_group_takes_20_posts_a_minute_where_the_limit_is_on() {
    let clock = ManualClock::at(noon());
    let options = Options { rate_limit: true, clock: Clock::from(clock.clone()), ..Options::default() };
    let telegram = SimTelegram::start(options).await.unwrap();
    let bot = client(&telegram, telegram.token());
    let first = bot.send_message(ChatId(GROUP), "0").await.unwrap();
    for number in 1..20 {
        bot.edit_message_text(ChatId(GROUP), first.id, number.to_string()).await.unwrap();
    }
    clock.advance(TimeDelta::seconds(20));
    let refused = bot.send_message(ChatId(GROUP), "x").await.unwrap_err();
    assert!(matches!(refused, RequestError::RetryAfter(seconds) if seconds == Seconds::from_seconds(41)));
    bot.send_message(ChatId(ADMIN), "not a group").await.unwrap();
    clock.advance(TimeDelta::seconds(41));
    bot.send_message(ChatId(GROUP), "x").await.unwrap();
}

#[tokio::test]
async fn a_gateway_error_is_a_page_of_html() {
    let (telegram, _bot) = started().await;
    telegram.set_faults(|faults| faults.server_errors = 1);
    let url = format!("{}/bot{}/getMe", telegram.url(), telegram.token());
    let broken = reqwest::get(&url).await.unwrap();
    assert_eq!(broken.status(), 502);
    assert!(broken.text().await.unwrap().starts_with("<html>"));
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
}

#[tokio::test]
async fn telegram_goes_away_in_the_middle_of_a_poll_and_comes_back() {
    let (telegram, bot) = started().await;
    let poll = tokio::spawn({
        let bot = bot.clone();
        async move { bot.get_updates().timeout(15).await }
    });
    telegram.wait_for_poll(0).await.unwrap();
    telegram.set_faults(|faults| faults.away = true);
    assert!(matches!(poll.await.unwrap(), Err(RequestError::Network(_))));
    assert!(matches!(bot.get_me().await, Err(RequestError::Network(_))));
    telegram.set_faults(|faults| *faults = Faults::default());
    bot.get_me().await.unwrap();
}

#[tokio::test]
async fn an_answer_can_get_lost_after_the_message_was_taken() {
    let (telegram, bot) = started().await;
    telegram.set_faults(|faults| faults.lost_answers = 1);
    assert!(matches!(bot.send_message(ChatId(ADMIN), "sent").await, Err(RequestError::Network(_))));
    assert_eq!(telegram.messages(ADMIN)[0].text(), "sent");
    bot.send_message(ChatId(ADMIN), "sent again").await.unwrap();
}

#[tokio::test]
async fn a_slow_telegram_answers_late() {
    let (telegram, bot) = started().await;
    telegram.set_faults(|faults| faults.slow = std::time::Duration::from_secs(3600));
    let late = tokio::spawn({
        let bot = bot.clone();
        async move { bot.send_message(ChatId(ADMIN), "late").await }
    });
    telegram.say(ADMIN, ADMIN, "polls go on").unwrap();
    assert_eq!(texts(&bot.get_updates().await.unwrap()), ["polls go on"]);
    assert!(!late.is_finished() && telegram.request_count("sendMessage") == 0);
    late.abort();
    telegram.set_faults(|faults| *faults = Faults::default());
    bot.send_message(ChatId(ADMIN), "quick").await.unwrap();
}

#[tokio::test]
async fn a_foreign_poller_can_be_pretended() {
    let (telegram, bot) = started().await;
    telegram.set_faults(|faults| faults.conflict = true);
    assert_eq!(api_error(bot.get_updates().await), ApiError::TerminatedByOtherGetUpdates);
    telegram.set_faults(|faults| faults.conflict = false);
    bot.get_updates().await.unwrap();
}

/// The smallest PNG: one transparent pixel.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xdac\
\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

async fn started() -> (Running, Bot) {
    let telegram = SimTelegram::start(Options::default()).await.unwrap();
    let bot = client(&telegram, telegram.token());
    (telegram, bot)
}

async fn started_with_clock() -> (Running, Bot, ManualClock) {
    let clock = ManualClock::at(noon());
    let options = Options { clock: Clock::from(clock.clone()), ..Options::default() };
    let telegram = SimTelegram::start(options).await.unwrap();
    let bot = client(&telegram, telegram.token());
    (telegram, bot, clock)
}

pub(crate) fn client(telegram: &Running, token: &str) -> Bot {
    Bot::new(token).set_api_url(telegram.url().parse().unwrap())
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_521_600, 0).unwrap()
}

fn user(id: i64) -> UserId {
    UserId(u64::try_from(id).unwrap())
}

fn message_id(id: i64) -> MessageId {
    MessageId(i32::try_from(id).unwrap())
}

fn buttons(row: &[(&str, &str)]) -> InlineKeyboardMarkup {
    let row = row.iter().map(|(label, data)| InlineKeyboardButton::callback(*label, *data));
    InlineKeyboardMarkup::new([row.collect::<Vec<_>>()])
}

fn texts(updates: &[Update]) -> Vec<String> {
    let text = |update: &Update| match &update.kind {
        UpdateKind::Message(message) => message.text().map(str::to_owned),
        _ => None,
    };
    updates.iter().filter_map(text).collect()
}

fn next(updates: &[Update]) -> i32 {
    i32::try_from(updates.last().unwrap().id.0).unwrap() + 1
}

async fn next_press(bot: &Bot) -> teloxide::types::CallbackQuery {
    let mut updates = bot.get_updates().timeout(15).await.unwrap();
    match updates.remove(0).kind {
        UpdateKind::CallbackQuery(query) => query,
        other => panic!("not a press: {other:?}"),
    }
}

fn api_error<T: std::fmt::Debug>(result: Result<T, RequestError>) -> ApiError {
    match result.unwrap_err() {
        RequestError::Api(error) => error,
        other => panic!("not refused by Telegram: {other:?}"),
    }
}

/// Telegram's words where teloxide has no name for them, else teloxide's name.
fn words<T: std::fmt::Debug>(result: Result<T, RequestError>) -> String {
    match api_error(result) {
        ApiError::Unknown(words) | ApiError::CantParseEntities(words) => words,
        known => format!("{known:?}"),
    }
}

fn too_old() -> ApiError {
    ApiError::Unknown(
        "Bad Request: query is too old and response timeout expired or query ID is invalid".to_owned(),
    )
}
