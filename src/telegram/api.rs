//! The Bot API as this bot uses it: one call, one bounded wait, one kind of failure.
//!
//! Knows no proposal and no person. No error of it carries the token: Telegram has it in every address.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use teloxide::{
    ApiError, RequestError,
    payloads::{
        AnswerCallbackQuerySetters as _, EditMessageTextSetters as _, GetUpdatesSetters as _,
        PinChatMessageSetters as _, SendChatActionSetters as _, SendDocumentSetters as _,
        SendMessageSetters as _, SendPhotoSetters as _, SetMyCommandsSetters as _,
        UnpinChatMessageSetters as _,
    },
    requests::{Output, Payload, Request, Requester as _},
    types::{
        AllowedUpdate, BotCommand, BotCommandScope, CallbackQueryId, ChatAction, ChatId, ChatMemberKind,
        InlineKeyboardButton, InlineKeyboardMarkup, InputFile, LinkPreviewOptions, Me, MessageId, ParseMode,
        Recipient, ReplyParameters, ThreadId, Update, UserId,
    },
};

use super::bot::Settings;
use crate::{
    causes,
    dial::{self, DialError, Trust},
    meter,
    talk::{
        ask::Document,
        cards::Address,
        menu::MenuScope,
        view::{Button, Page},
    },
};

/// A call answers within a second; on a 5xx teloxide alone sleeps ten.
const CALL_PATIENCE: Duration = Duration::from_secs(30);

/// Time that a poll may take beyond its own timeout.
const POLL_GRACE: Duration = Duration::from_secs(15);

/// What an error page of a proxy may fill of a log line.
const RAW_CHARS_MAX: usize = 200;

/// The Bot API.
#[derive(Clone)]
pub(super) struct Api {
    bot: teloxide::Bot,
    token: SecretString,
    poll_timeout: Duration,
}

/// Why a call was not carried out, by what the caller does about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("too many requests, wait {} s", .0.as_secs())]
    TooMany(Duration),
    #[error("the group is a supergroup now: {0}")]
    Moved(i64),
    #[error("the message is so already")]
    NotModified,
    #[error("the message is gone")]
    MessageGone,
    #[error("the topic is gone or closed")]
    ThreadGone,
    #[error("the text is refused: {0}")]
    BadText(String),
    #[error("the chat cannot be reached: {0}")]
    ChatDead(String),
    #[error("the token is not accepted")]
    BadToken,
    #[error("another program reads the updates of this bot")]
    SecondPoller,
    /// It was not carried out.
    #[error("no answer: {0}")]
    Unreached(String),
    /// It may or may not have been carried out.
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("refused: {0}")]
    Refused(String),
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Markup {
    Html,
    /// Where Telegram refuses the HTML: rather plain than never.
    Plain,
}

/// Gives something that is sent its topic, the message it replies to, and whether it rings. The kinds of requests have
/// nothing in common but the names of these methods.
macro_rules! addressed {
    ($request:expr, $to:expr, $rings:expr) => {{
        let mut request = $request.disable_notification(!$rings);
        if let Some(thread) = $to.thread {
            request = request.message_thread_id(ThreadId(MessageId(thread)));
        }
        if let Some(message) = $to.reply_to {
            let reply = ReplyParameters::new(MessageId(message)).allow_sending_without_reply();
            request = request.reply_parameters(reply);
        }
        request
    }};
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Result<Self, DialError> {
        let Settings { token, api_url, proxy, poll_timeout, .. } = settings;
        let client = dial::client(api_url.as_ref(), Trust::Authorities(None), proxy.as_ref())?
            .connect_timeout(Duration::from_secs(5))
            .timeout(*poll_timeout + POLL_GRACE)
            .tcp_nodelay(true)
            .build()
            .map_err(DialError::Client)?;
        let bot = teloxide::Bot::with_client(token.expose_secret(), client);
        let bot = match api_url {
            Some(url) => bot.set_api_url(url.clone()),
            None => bot,
        };
        Ok(Self { bot, token: token.clone(), poll_timeout: *poll_timeout })
    }

    pub(super) async fn me(&self) -> Result<Me, Failure> {
        self.call(self.bot.get_me()).await
    }

    /// Asks for a chat. Telegram only knows of chats that the bot is in.
    pub(super) async fn chat(&self, chat: i64) -> Result<(), Failure> {
        self.call(self.bot.get_chat(ChatId(chat))).await.map(drop)
    }

    /// Returns the address that updates are sent to, if they are.
    pub(super) async fn webhook(&self) -> Result<Option<String>, Failure> {
        let info = self.call(self.bot.get_webhook_info()).await?;
        Ok(info.url.map(String::from))
    }

    /// Waits for one update and confirms none.
    pub(super) async fn peek(&self) -> Result<(), Failure> {
        let seconds = u32::try_from(self.poll_timeout.as_secs()).unwrap_or(u32::MAX);
        self.call(self.bot.get_updates().limit(1).timeout(seconds)).await.map(drop)
    }

    /// Tells whether the bot is in the chat and may send messages there.
    pub(super) async fn may_write(&self, chat: i64) -> Result<bool, Failure> {
        let me = self.me().await?.user.id;
        let member = self.call(self.bot.get_chat_member(ChatId(chat), me)).await?;
        let is_muted = matches!(&member.kind, ChatMemberKind::Restricted(may) if !may.can_send_messages);
        Ok(member.is_present() && !is_muted)
    }

    /// Shows for a few seconds that the bot is writing.
    pub(super) async fn typing(&self, to: Address) -> Result<(), Failure> {
        let mut request = self.bot.send_chat_action(ChatId(to.chat), ChatAction::Typing);
        if let Some(thread) = to.thread {
            request = request.message_thread_id(ThreadId(MessageId(thread)));
        }
        self.call(request).await.map(drop)
    }

    /// Waits for updates from this number on.
    pub(super) async fn updates(&self, offset: i32) -> Result<Vec<Update>, Failure> {
        let seconds = u32::try_from(self.poll_timeout.as_secs()).unwrap_or(u32::MAX);
        let wanted = [AllowedUpdate::Message, AllowedUpdate::CallbackQuery, AllowedUpdate::MyChatMember];
        let poll = self.bot.get_updates().offset(offset).timeout(seconds).allowed_updates(wanted);
        let bound = self.poll_timeout + POLL_GRACE + CALL_PATIENCE;
        self.call_within(bound, poll).await
    }

    /// Sends a message and returns its number.
    pub(super) async fn send(
        &self,
        to: Address,
        page: &Page,
        rings: bool,
        markup: Markup,
    ) -> Result<i32, Failure> {
        let mut request = match markup {
            Markup::Html => self.bot.send_message(ChatId(to.chat), page.html()).parse_mode(ParseMode::Html),
            Markup::Plain => self.bot.send_message(ChatId(to.chat), page.plain()),
        };
        request = addressed!(request, to, rings).link_preview_options(no_preview());
        if !page.buttons.is_empty() {
            request = request.reply_markup(keyboard(page));
        }
        match within(CALL_PATIENCE, request).await {
            Ok(Ok(message)) => Ok(message.id.0),
            Ok(Err(error)) => sent_after_all(&error).ok_or_else(|| self.failure(error)),
            Err(late) => Err(late),
        }
    }

    /// Sends a file, silently.
    pub(super) async fn document(&self, to: Address, document: &Document) -> Result<(), Failure> {
        let Document { name, text, caption } = document;
        let file = InputFile::memory(text.clone().into_bytes()).file_name(name.clone());
        let request = self.bot.send_document(ChatId(to.chat), file);
        let request = request.caption(caption.html()).parse_mode(ParseMode::Html);
        self.call(addressed!(request, to, false)).await.map(drop)
    }

    /// Sends a picture with its caption, silently.
    pub(super) async fn photo(&self, to: Address, caption: &Page, png: Vec<u8>) -> Result<(), Failure> {
        let file = InputFile::memory(png).file_name("chart.png");
        let request = self.bot.send_photo(ChatId(to.chat), file);
        let request = request.caption(caption.html()).parse_mode(ParseMode::Html);
        self.call(addressed!(request, to, false)).await.map(drop)
    }

    pub(super) async fn edit(
        &self,
        chat: i64,
        message: i32,
        page: &Page,
        markup: Markup,
    ) -> Result<(), Failure> {
        let (chat, message) = (ChatId(chat), MessageId(message));
        let request = match markup {
            Markup::Html => {
                self.bot.edit_message_text(chat, message, page.html()).parse_mode(ParseMode::Html)
            }
            Markup::Plain => self.bot.edit_message_text(chat, message, page.plain()),
        };
        let request = request.link_preview_options(no_preview()).reply_markup(keyboard(page));
        match within(CALL_PATIENCE, request).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if sent_after_all(&error).is_some() => Ok(()),
            Ok(Err(error)) => match self.failure(error) {
                Failure::NotModified => Ok(()),
                failure => Err(failure),
            },
            Err(late) => Err(late),
        }
    }

    pub(super) async fn delete(&self, chat: i64, message: i32) -> Result<(), Failure> {
        self.call(self.bot.delete_message(ChatId(chat), MessageId(message))).await.map(|_| ())
    }

    /// Pins a message without a sound.
    pub(super) async fn pin(&self, chat: i64, message: i32) -> Result<(), Failure> {
        let pin = self.bot.pin_chat_message(ChatId(chat), MessageId(message)).disable_notification(true);
        self.call(pin).await.map(|_| ())
    }

    /// Unpins a message.
    pub(super) async fn unpin(&self, chat: i64, message: i32) -> Result<(), Failure> {
        let unpin = self.bot.unpin_chat_message(ChatId(chat)).message_id(MessageId(message));
        self.call(unpin).await.map(|_| ())
    }

    /// Answers a press; in a window that must be closed, or in a line that goes away.
    pub(super) async fn answer_press(
        &self,
        query: &str,
        words: Option<&str>,
        window: bool,
    ) -> Result<(), Failure> {
        let mut request = self.bot.answer_callback_query(CallbackQueryId(query.to_owned()));
        if let Some(words) = words {
            request = request.text(words).show_alert(window);
        }
        self.call(request).await.map(|_| ())
    }

    /// Returns the ids of the people who administer a group; those that write anonymously are among them.
    pub(super) async fn administrators(&self, chat: i64) -> Result<Vec<UserId>, Failure> {
        let members = self.call(self.bot.get_chat_administrators(ChatId(chat))).await?;
        Ok(members.into_iter().filter(|member| !member.user.is_bot).map(|member| member.user.id).collect())
    }

    /// Fills a menu; without a language code for everybody there who has no menu of their own language.
    pub(super) async fn menu(
        &self,
        commands: Vec<(&'static str, String)>,
        scope: MenuScope,
        language: Option<&str>,
    ) -> Result<(), Failure> {
        let commands: Vec<_> =
            commands.into_iter().map(|(word, about)| BotCommand::new(word, about)).collect();
        let mut request = self.bot.set_my_commands(commands).scope(scope_of(scope));
        if let Some(language) = language {
            request = request.language_code(language);
        }
        self.call(request).await.map(|_| ())
    }

    async fn call<R: Request<Err = RequestError>>(&self, request: R) -> Result<Output<R>, Failure> {
        self.call_within(CALL_PATIENCE, request).await
    }

    async fn call_within<R: Request<Err = RequestError>>(
        &self,
        bound: Duration,
        request: R,
    ) -> Result<Output<R>, Failure> {
        within(bound, request).await?.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: RequestError) -> Failure {
        match failure(error) {
            Failure::NoAnswer(why) => Failure::NoAnswer(self.without_token(&why)),
            Failure::Unreached(why) => Failure::Unreached(self.without_token(&why)),
            Failure::Refused(why) => Failure::Refused(self.without_token(&why)),
            other => other,
        }
    }

    fn without_token(&self, text: &str) -> String {
        text.replace(self.token.expose_secret(), "…")
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("poll_timeout", &self.poll_timeout).finish_non_exhaustive()
    }
}

async fn within<R: Request<Err = RequestError>>(
    bound: Duration,
    request: R,
) -> Result<Result<Output<R>, RequestError>, Failure> {
    let answer = tokio::time::timeout(bound, request.into_future()).await;
    let result = match &answer {
        Ok(Ok(_)) => "ok",
        Ok(Err(RequestError::RetryAfter(_))) => "throttled",
        Ok(Err(RequestError::Network(_))) | Err(_) => "no_answer",
        Ok(Err(_)) => "failed",
    };
    meter::call(<R::Payload as Payload>::NAME, result);
    answer.map_err(|_| Failure::NoAnswer(format!("nothing within {} s", bound.as_secs())))
}

fn scope_of(scope: MenuScope) -> BotCommandScope {
    let chat = |chat| Recipient::Id(ChatId(chat));
    match scope {
        MenuScope::Everybody => BotCommandScope::Default,
        MenuScope::Chat(id) => BotCommandScope::Chat { chat_id: chat(id) },
        MenuScope::AdminsOf(id) => BotCommandScope::ChatAdministrators { chat_id: chat(id) },
        MenuScope::Member { chat: id, person } => {
            let user_id = UserId(u64::try_from(person).unwrap_or_default());
            BotCommandScope::ChatMember { chat_id: chat(id), user_id }
        }
    }
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

fn keyboard(page: &Page) -> InlineKeyboardMarkup {
    let rows = page.buttons.iter().map(|row| {
        let button =
            |button: &Button| InlineKeyboardButton::callback(button.label.clone(), button.data.clone());
        row.iter().map(button).collect::<Vec<_>>()
    });
    InlineKeyboardMarkup::new(rows)
}

/// A message that this client cannot read was sent all the same; a second one would be a double.
fn sent_after_all(error: &RequestError) -> Option<i32> {
    let RequestError::InvalidJson { raw, .. } = error else { return None };
    let answer: serde_json::Value = serde_json::from_str(raw).ok()?;
    if answer.get("ok") != Some(&serde_json::Value::Bool(true)) {
        return None;
    }
    answer.pointer("/result/message_id")?.as_i64()?.try_into().ok()
}

fn failure(error: RequestError) -> Failure {
    match error {
        RequestError::RetryAfter(seconds) => Failure::TooMany(seconds.duration()),
        RequestError::MigrateToChatId(chat) => Failure::Moved(chat.0),
        RequestError::Api(error) => refusal(error),
        RequestError::Network(error) if error.is_connect() => Failure::Unreached(network(&error)),
        RequestError::Network(error) => Failure::NoAnswer(network(&error)),
        RequestError::InvalidJson { raw, .. } => {
            Failure::NoAnswer(format!("not JSON: {}", raw.chars().take(RAW_CHARS_MAX).collect::<String>()))
        }
        RequestError::Io(error) => Failure::NoAnswer(error.to_string()),
    }
}

/// What went wrong on the way, without the address: the token is in it.
fn network(error: &reqwest::Error) -> String {
    let what = match () {
        () if error.is_timeout() => "timed out",
        () if error.is_connect() => "cannot connect",
        () => "connection broken",
    };
    causes::behind(what, error)
}

fn refusal(error: ApiError) -> Failure {
    match error {
        ApiError::InvalidToken => Failure::BadToken,
        ApiError::TerminatedByOtherGetUpdates | ApiError::CantGetUpdates => Failure::SecondPoller,
        ApiError::MessageNotModified => Failure::NotModified,
        ApiError::MessageToEditNotFound
        | ApiError::MessageCantBeEdited
        | ApiError::MessageIdInvalid
        | ApiError::MessageToDeleteNotFound
        | ApiError::MessageIdentifierNotSpecified => Failure::MessageGone,
        ApiError::CantParseEntities(_)
        | ApiError::MessageIsTooLong
        | ApiError::EditedMessageIsTooLong
        | ApiError::ButtonDataInvalid => Failure::BadText(error.to_string()),
        ApiError::BotBlocked
        | ApiError::BotKicked
        | ApiError::BotKickedFromSupergroup
        | ApiError::BotKickedFromChannel
        | ApiError::ChatNotFound
        | ApiError::GroupDeactivated
        | ApiError::UserDeactivated
        | ApiError::CantInitiateConversation
        | ApiError::CantTalkWithBots
        | ApiError::NotEnoughRightsToPostMessages => Failure::ChatDead(error.to_string()),
        other => in_words(&other.to_string()),
    }
}

/// Refusals that teloxide has no name for.
fn in_words(text: &str) -> Failure {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["message thread not found", "TOPIC_CLOSED", "TOPIC_DELETED"]) {
        Failure::ThreadGone
    } else if says(&["Conflict:"]) {
        Failure::SecondPoller
    } else if says(&["Unauthorized"]) && !says(&["bot"]) {
        Failure::BadToken
    } else if says(&["Forbidden:", "CHAT_WRITE_FORBIDDEN", "not enough rights to send", "no rights to send"])
    {
        Failure::ChatDead(text.to_owned())
    } else if says(&["message to edit not found", "message can't be edited", "message to delete not found"]) {
        Failure::MessageGone
    } else if says(&["can't parse entities", "too long"]) {
        Failure::BadText(text.to_owned())
    } else {
        Failure::Refused(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telegrams_words_tell_what_to_do() {
        for (words, expected) in [
            ("Bad Request: message thread not found", Failure::ThreadGone),
            ("Bad Request: message to edit not found", Failure::MessageGone),
            ("Bad Request: MESSAGE_ID_INVALID", Failure::MessageGone),
            ("Unauthorized", Failure::BadToken),
            ("Not Found", Failure::BadToken),
        ] {
            assert_eq!(said(words), expected, "{words}");
        }
        for words in [
            "Forbidden: bot was kicked from the group chat",
            "Forbidden: bot was kicked from the supergroup chat",
            "Forbidden: bot is not a member of the supergroup chat",
            "Forbidden: bot was blocked by the user",
            "Bad Request: chat not found",
            "Bad Request: not enough rights to send text messages to the chat",
        ] {
            assert!(matches!(said(words), Failure::ChatDead(_)), "{words}: {:?}", said(words));
        }
        assert!(matches!(said("Bad Request: can't parse entities: x"), Failure::BadText(_)));
        assert!(matches!(said("Bad Request: something new"), Failure::Refused(_)));
    }

    #[test]
    fn a_message_that_cannot_be_read_was_sent_all_the_same() {
        let error = |raw: &str| RequestError::InvalidJson {
            source: std::sync::Arc::new(serde_json::from_str::<i32>("x").unwrap_err()),
            raw: raw.into(),
        };
        assert_eq!(sent_after_all(&error(r#"{"ok":true,"result":{"message_id":7,"new":[]}}"#)), Some(7));
        assert_eq!(sent_after_all(&error("<html>502</html>")), None);
    }

    #[tokio::test]
    async fn no_error_carries_the_token() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = reqwest::Url::parse(&format!("http://{closed}")).unwrap();
        let settings = Settings {
            api_url: Some(url),
            poll_timeout: Duration::from_secs(1),
            ..Settings::new(SecretString::from("1:odd-token"))
        };
        let api = Api::new(&settings).unwrap();
        let error = api.me().await.unwrap_err();
        assert!(matches!(error, Failure::Unreached(_)), "{error}");
        assert!(!format!("{error} {error:?} {api:?}").contains("odd-token"), "{error:?} {api:?}");
    }

    fn said(words: &str) -> Failure {
        let quoted = serde_json::to_string(words).unwrap();
        refusal(serde_json::from_str(&quoted).unwrap())
    }
}
