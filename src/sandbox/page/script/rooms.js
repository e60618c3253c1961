// The rooms of the chat, who writes in them, and where a message belongs.

import { $, make } from "./dom.js";
import { isConfigured, isElsewhere, keyOf, rooms, state } from "./known.js";
import { say, unreply } from "./say.js";
import { clearLog, follow, log, showMessage } from "./log.js";
import { loadMenu } from "./commands.js";

export function showRoom() {
  state.unread.delete(state.room.key);
  log.setAttribute("aria-busy", "true");
  clearLog();
  for (const message of state.messages.get(state.room.chat)?.values() || []) {
    if (keyOf(message) === state.room.key) showMessage(message);
  }
  if (!log.childElementCount) log.append(emptyHint());
  log.removeAttribute("aria-busy");
  follow();
  showRooms();
  loadMenu();
}

function emptyHint() {
  const suggestion = (text) => make("button", { type: "button", onclick: () => say(text) }, text);
  const words = isElsewhere(state.room)
    ? "The bot is not configured for this chat: to a command it answers once an hour with what to do. “The bot's chat” among the faults moves it here."
    : "Nothing was said here yet.";
  return make("div", { class: "empty" }, make("div", {}, `${words} Try:`),
    suggestion("/status"), suggestion("/balance"), suggestion("/help"));
}

export function showRooms() {
  const buttons = rooms().map((room) => {
    const count = state.unread.get(room.key);
    return make("button", {
      type: "button", "aria-current": room.key === state.room.key ? "true" : "false", "data-room": room.key,
      class: isElsewhere(room) ? "elsewhere" : "",
      title: isElsewhere(room) ? "Not the bot's chat: once an hour it says here what to do" : isConfigured(room) ? "The bot's chat" : null,
      onclick: () => { state.room = room; unreply(); showRoom(); },
    }, isConfigured(room) ? make("span", { "aria-hidden": "true" }, "🤖 ") : null, room.title,
    isConfigured(room) ? make("span", { class: "hidden" }, ", the bot's chat") : null,
    isElsewhere(room) ? make("span", { class: "hidden" }, ", not the bot's chat") : null, count ? make("span", { class: "new", "aria-label": `${count} new` }, String(count)) : null);
  });
  $("chats").replaceChildren(...buttons);
}

export function takeMessage(message, isNew = true) {
  if (!state.messages.has(message.chat)) state.messages.set(message.chat, new Map());
  const chat = state.messages.get(message.chat);
  const known = chat.has(message.id);
  chat.set(message.id, message);
  if (!isNew) return;
  if (keyOf(message) === state.room.key) showMessage(message);
  else if (!known && rooms().some((room) => room.key === keyOf(message))) {
    state.unread.set(keyOf(message), (state.unread.get(keyOf(message)) || 0) + 1);
    showRooms();
  }
}

$("who").addEventListener("change", () => {
  const wasPrivate = state.chats.get(state.room.chat)?.kind === "private";
  state.who = Number($("who").value);
  const list = rooms();
  state.room = (wasPrivate && list.find((room) => room.chat === state.who)) || list.find((room) => room.key === state.room.key) || list[0];
  showRoom();
});
