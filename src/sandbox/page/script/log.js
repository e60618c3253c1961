// The messages of one room: how they look, how the newest stays in sight, how arrow keys go through them.

import { $, make } from "./dom.js";
import { isMine, state } from "./known.js";
import { pressed, replyTo } from "./say.js";
import { formatted } from "./format.js";

const MESSAGES_KEPT = 400;
export const log = $("log");
// While the newest message is in sight, the log scrolls along with what comes and what grows.
let following = true;
let missed = 0, lastTop = 0;

log.addEventListener("scroll", () => {
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  // Only scrolling up stops the following: the distance to the end also grows when the log gets lower.
  if (isNear || log.scrollTop < lastTop) following = isNear;
  lastTop = log.scrollTop;
  showDown();
});

export function stay() { if (following) log.scrollTop = log.scrollHeight; }
export function follow() { following = true; stay(); showDown(); }
// The log gets lower when a keyboard comes up, the text grows or the phone is turned.
new ResizeObserver(stay).observe(log);

function showDown() {
  if (following) missed = 0;
  $("down").hidden = following;
  $("down").dataset.missed = missed || "";
  $("down").setAttribute("aria-label", missed ? `To the newest message, ${missed} not seen` : "To the newest message");
}

$("down").addEventListener("click", follow);

// Tab stops at one message only: the newest, or the one that the arrow keys chose. Otherwise a long chat would have
// a hundred stops between the log and the text field.
let current = null;

function setCurrent(element) {
  const old = current;
  current = element;
  for (const message of [old, element]) if (message) setStops(message);
}

function setStops(message) {
  const stops = message.querySelectorAll("button, a, [role=button]");
  for (const stop of stops) stop.tabIndex = message === current ? 0 : -1;
}

const newest = () => [...log.querySelectorAll(".message")].pop() ?? null;
log.addEventListener("focusout", ({ relatedTarget }) => { if (!log.contains(relatedTarget)) setCurrent(newest()); });

log.addEventListener("keydown", (event) => {
  const all = [...log.querySelectorAll(".message")];
  const here = all.indexOf(document.activeElement.closest(".message"));
  const next = {
    ArrowUp: here < 0 ? all.length - 1 : here - 1, ArrowDown: here < 0 ? all.length : here + 1,
    Home: 0, End: all.length - 1,
  }[event.key];
  if (next === undefined || !all[next]) return;
  event.preventDefault();
  setCurrent(all[next]);
  all[next].focus({ preventScroll: true });
  all[next].scrollIntoView({ block: "nearest" });
});

function serviceText(service) {
  if (service.migrated_to) return "The group became a supergroup";
  if (service.migrated_from) return "This was a basic group";
  return `pinned message ${service.pinned}`;
}

function mediaElement(media) {
  const href = `api/file/${encodeURIComponent(media.file_id)}`;
  if (media.kind === "photo") {
    const [width, height] = media.size || [undefined, undefined];
    return make("img", { src: href, alt: media.file_name || "Photo", width, height, onload: stay });
  }
  return make("a", { class: "file", href, download: media.file_name }, "⬇ ", media.file_name || "file");
}

function keysElement(message) {
  const keys = make("div", { class: "keys" });
  for (const row of message.buttons) {
    const line = make("div");
    for (const button of row) {
      const press = (event) => pressed(event.currentTarget, message, button);
      line.append(make("button", { type: "button", class: button.style || "", "data-press": button.data, onclick: press },
        button.text + (button.url ? " ↗" : "")));
    }
    keys.append(line);
  }
  return keys;
}

function messageContent(message) {
  if (message.service) return [make("div", { class: "service" }, serviceText(message.service))];
  const time = new Date(message.date).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  const meta = `${message.pinned ? "📌 " : ""}${message.edited ? "edited " : ""}${time}`;
  const original = message.reply_to && state.messages.get(message.chat)?.get(message.reply_to);
  const quote = message.reply_to ? make("button", {
    type: "button", class: "quote", "aria-label": "The message this answers",
    onclick: () => document.getElementById(`m${message.chat}-${message.reply_to}`)?.scrollIntoView({ block: "center" }),
  }, original ? `${original.from.name}: ${original.text.slice(0, 80)}` : "a deleted message") : null;
  const bubble = make("div", { class: "bubble" },
    make("div", { class: `author tone${toneOf(message.from.id)}` }, message.from.name + (message.from.is_bot && message.from.id === state.bot.id ? " (bot)" : "")),
    quote, message.media ? mediaElement(message.media) : null, formatted(message),
    message.reactions.length ? make("span", { class: "reactions" }, message.reactions.join(" ")) : null,
    make("span", { class: "meta" }, meta));
  const avatar = make("span", { class: `avatar tone${toneOf(message.from.id)}`, "aria-hidden": "true" }, message.from.name.slice(0, 1));
  const answer = make("button", { type: "button", class: "answer", "aria-label": "Reply", onclick: () => replyTo(message) }, "↩");
  return message.buttons.length ? [avatar, bubble, keysElement(message), answer] : [avatar, bubble, answer];
}

const TONES = 6;
const toneOf = (id) => Math.abs(id) % TONES;

export function showMessage(message) {
  const element = document.getElementById(`m${message.chat}-${message.id}`);
  if (element) showEdited(element, message);
  else addMessage(message);
  if (isMine(message) && !message.edited) follow();
  else stay();
}

function showEdited(element, message) {
  const stops = () => [...element.querySelectorAll("button, [role=button]")];
  const hadFocus = element.contains(document.activeElement);
  const focused = stops().indexOf(document.activeElement);
  const opened = [...element.querySelectorAll(".long, .spoiler")].map((part) => part.classList.contains("open"));
  element.replaceChildren(...messageContent(message));
  // Hidden text that a person has opened stays open.
  [...element.querySelectorAll(".long, .spoiler")].forEach((part, n) => opened[n] && part.click());
  setStops(element);
  if (hadFocus) (stops()[focused] || element).focus({ preventScroll: true });
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation
  element.classList.add("changed");
}

function addMessage(message) {
  const before = log.lastElementChild;
  const day = new Date(message.date).toDateString();
  log.querySelector(".empty")?.remove();
  if (before?.dataset.day !== day) log.append(make("div", { class: "day", "data-day": day }, dayName(message.date)));
  const own = isMine(message) ? " own" : "";
  const goesOn = log.lastElementChild.dataset.from === String(message.from.id) ? " goes-on" : "";
  const element = make("div", {
    id: `m${message.chat}-${message.id}`, class: `message${own}${goesOn}${message.service ? " of-service" : ""}`, tabindex: -1,
    "data-id": message.id, "data-day": day, "data-from": message.service ? undefined : message.from.id,
  }, ...messageContent(message));
  log.append(element);
  if (log.childElementCount > MESSAGES_KEPT) log.firstElementChild.remove();
  if (current?.isConnected && log.contains(document.activeElement)) setStops(element);
  else setCurrent(element);
  if (!following && !isMine(message)) missed += 1;
  showDown();
}

function dayName(date) {
  const day = new Date(date);
  const isToday = day.toDateString() === new Date().toDateString();
  return isToday ? "Today" : day.toLocaleDateString([], { day: "numeric", month: "long" });
}

export function removeMessage(chat, id) {
  const element = document.getElementById(`m${chat}-${id}`);
  if (element && !element.classList.contains("goes-on")) element.nextElementSibling?.classList.remove("goes-on");
  element?.remove();
  if (element && element === current) setCurrent(newest());
}

export function clearLog() {
  log.replaceChildren();
  current = null;
  missed = 0;
}
