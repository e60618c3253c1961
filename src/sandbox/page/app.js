// The sandbox's page: a chat on the left, the simulated clusters on the right.
// Text from messages only ever becomes text nodes and the elements its entities name.
"use strict";

const $ = (id) => document.getElementById(id);
const MESSAGES_KEPT = 400;
const TABLE_ROWS = 100;
const TABLE_EVERY_MS = 2000;
const TOAST_MS = 5000;
const FLIGHT_MS = 2500;
const LANDING_MS = 350;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

// ---- what is known

const state = {
  about: {}, bot: null, users: new Map(), chats: new Map(),
  messages: new Map(), // chat -> Map(id -> message)
  unread: new Map(), // room key -> count
  who: 1001, room: null, reply: null,
};
const rooms = () => {
  const list = [];
  for (const chat of state.chats.values()) {
    if (chat.migrated_to) continue;
    if (chat.kind === "private") {
      if (chat.id === state.who) list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: "Private" });
    } else if (chat.topics.length) {
      list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: `${chat.title} › General` });
      for (const [thread, title] of chat.topics) {
        list.push({ key: `${chat.id}/${thread}`, chat: chat.id, thread, title: `${chat.title} › ${title}` });
      }
    } else list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: chat.title });
  }
  const order = (room) => (room.key === state.about.room ? 0 : state.chats.get(room.chat).kind === "private" ? 1 : 2);
  return list.sort((a, b) => order(a) - order(b));
};
// The bot serves its chat, all topics of it, and the private chats of those whom its lists name.
const isConfigured = (room) => room.key === state.about.room;
const isElsewhere = (room) => room.chat !== parseInt(state.about.room, 10) &&
  !(state.chats.get(room.chat)?.kind === "private" && ["viewer", "operator", "admin"].includes(state.about.roles?.[room.chat]));
const keyOf = (message) => (message.thread ? `${message.chat}/${message.thread}` : `${message.chat}`);

// ---- text with entities

function elementFor(entity, text) {
  switch (entity.type) {
    case "bold": return make("b");
    case "italic": return make("i");
    case "underline": return make("u");
    case "strikethrough": return make("s");
    case "spoiler": return pressable("span", { class: "spoiler", "aria-label": "Show the hidden text" }, (span) => {
      span.classList.add("open");
      for (const name of ["role", "tabindex", "aria-label"]) span.removeAttribute(name);
    });
    case "code": return pressable("code", { title: "Copy", "aria-label": `${text}, copy` }, () => copy(text));
    case "pre": return make("pre");
    case "blockquote": return make("blockquote");
    case "expandable_blockquote": return pressable("blockquote", { class: "long", "aria-expanded": "false" }, (quote) => {
      quote.setAttribute("aria-expanded", String(quote.classList.toggle("open")));
    });
    case "text_link": return linkTo(entity.url);
    case "url": return linkTo(/^\w+:\/\//.test(text) ? text : `http://${text}`);
    case "email": return linkTo(`mailto:${text}`);
    case "mention": case "hashtag": return make("span", { class: entity.type });
    case "bot_command": return make("button", { type: "button", class: "command", onclick: () => say(text) });
    default: return make("span");
  }
}

function linkTo(address) {
  const safe = /^(https?|ftp|tg|mailto):/i.test(address);
  return safe ? make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }) : make("span");
}

// What is pressed like a button without looking like one: by pointer, Enter or Space.
function pressable(tag, attributes, press) {
  return make(tag, {
    ...attributes, tabindex: 0, role: "button",
    onclick: (event) => press(event.currentTarget),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      press(event.currentTarget);
    },
  });
}

function fill(parent, text, entities, start, end) {
  let at = start;
  while (entities.length && entities[0].offset < end) {
    const entity = entities.shift();
    const stop = Math.min(end, entity.offset + entity.length);
    if (entity.offset < at || stop <= entity.offset) continue;
    if (entity.offset > at) parent.append(text.slice(at, entity.offset));
    const element = elementFor(entity, text.slice(entity.offset, stop));
    fill(element, text, entities, entity.offset, stop);
    parent.append(element);
    at = stop;
  }
  if (at < end) parent.append(text.slice(at, end));
}

function formatted(message) {
  const body = make("div", { class: "body" });
  fill(body, message.text, message.entities.slice(), 0, message.text.length);
  return body;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast("Copying is not allowed here");
  }
}

// ---- messages

const log = $("log");
// Whether the newest message is in sight; then it stays so, whatever comes or grows.
let following = true;
let missed = 0, lastTop = 0;
log.addEventListener("scroll", () => {
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  // Only who goes up stops following: the log also gets farther from its end by getting lower.
  if (isNear || log.scrollTop < lastTop) following = isNear;
  lastTop = log.scrollTop;
  showDown();
});
function stay() { if (following) log.scrollTop = log.scrollHeight; }
function follow() { following = true; stay(); showDown(); }
// The log gets lower when a keyboard comes up, the text grows or the phone is turned.
new ResizeObserver(stay).observe(log);

function showDown() {
  if (following) missed = 0;
  $("down").hidden = following;
  $("down").dataset.missed = missed || "";
  $("down").setAttribute("aria-label", missed ? `To the newest message, ${missed} not seen` : "To the newest message");
}
$("down").addEventListener("click", follow);

// One message at a time can be tabbed into, the newest unless the arrow keys chose another: else a long chat has
// a hundred stops between the log and the text.
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

function isMine(message) {
  const user = state.users.get(state.who);
  if (message.from.id === state.who) return true;
  if (user.appears === "anonymous") return message.from.id === 1087968824;
  return user.appears === "channel" && message.from.id === 136817688;
}

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

function showMessage(message) {
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
  // What somebody has opened stays open.
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

function removeMessage(chat, id) {
  const element = document.getElementById(`m${chat}-${id}`);
  if (element && !element.classList.contains("goes-on")) element.nextElementSibling?.classList.remove("goes-on");
  element?.remove();
  if (element && element === current) setCurrent(newest());
}

function showRoom() {
  state.unread.delete(state.room.key);
  log.setAttribute("aria-busy", "true");
  log.replaceChildren();
  current = null;
  missed = 0;
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

function showRooms() {
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

function takeMessage(message, isNew = true) {
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

function chatChanged(change) {
  switch (change.change) {
    case "message":
      $("action").hidden = true;
      takeMessage(change.message);
      return showSteps();
    case "deleted":
      state.messages.get(change.chat)?.delete(change.id);
      removeMessage(change.chat, change.id);
      return showSteps();
    case "commands": return loadMenu();
    case "action":
      if (change.chat !== state.room.chat) return;
      $("action").textContent = change.action === "typing" ? "the bot is typing…" : "the bot is sending a file…";
      $("action").hidden = false;
      return setTimeout(() => { $("action").hidden = true; }, TOAST_MS);
    case "chat": return load();
  }
}

async function say(text) {
  const { chat, thread } = state.room;
  const body = { user: state.who, chat, thread, text, reply_to: state.reply };
  unreply();
  try {
    await post("api/say", body);
  } catch (error) {
    toast(error.message);
  }
}

async function pressed(element, message, button) {
  if (button.url) return window.open(button.url, "_blank", "noopener");
  if (button.copy_text) return copy(button.copy_text);
  element.classList.add("busy");
  element.setAttribute("aria-busy", "true");
  try {
    const press = { user: state.who, chat: message.chat, message: message.id, button: button.data };
    const answer = await post("api/press", press);
    if (answer.text && answer.alert) alertBox(answer.text);
    else if (answer.text) toast(answer.text);
  } catch (error) {
    toast(`The bot did not answer: ${error.message}`);
  }
  element.classList.remove("busy");
  element.removeAttribute("aria-busy");
}

let toastTimer;
function toast(text) {
  clearTimeout(toastTimer);
  $("toast").textContent = text;
  toastTimer = setTimeout(() => { $("toast").textContent = ""; }, TOAST_MS);
}

function alertBox(text) {
  $("alert").querySelector("p").textContent = text;
  if (!$("alert").open) $("alert").showModal();
}

function replyTo(message) {
  state.reply = message.id;
  $("reply").hidden = false;
  $("reply").querySelector("span").textContent = `Reply to ${message.from.name}: ${message.text.slice(0, 80)}`;
  $("text").focus();
}

function unreply() {
  state.reply = null;
  $("reply").hidden = true;
}

// ---- the menu of commands

const menu = { all: [], shown: [], at: -1 };

async function loadMenu() {
  const response = await fetch(`api/menu?user=${state.who}&chat=${state.room.chat}`);
  menu.all = response.ok ? await response.json() : [];
  if (!$("menu").hidden) showMenu(menuWord());
}

const menuWord = () => /^\/(\w*)$/.exec($("text").value)?.[1];

function showMenu(word) {
  menu.shown = word === undefined ? [] : menu.all.filter(({ command }) => command.startsWith(word.toLowerCase()));
  menu.at = Math.min(menu.at, menu.shown.length - 1);
  const options = menu.shown.map(({ command, description }, n) => make("div", {
    role: "option", id: `option-${n}`, "aria-selected": n === menu.at ? "true" : "false",
    onmousedown: (event) => { event.preventDefault(); choose(n); },
  }, make("b", {}, `/${command}`), make("span", {}, description)));
  $("menu").replaceChildren(...options);
  $("menu").hidden = options.length === 0;
  for (const id of ["commands", "text"]) $(id).setAttribute("aria-expanded", String(options.length > 0));
  if (menu.at >= 0) {
    $("text").setAttribute("aria-activedescendant", `option-${menu.at}`);
    $(`option-${menu.at}`).scrollIntoView({ block: "nearest" });
  } else $("text").removeAttribute("aria-activedescendant");
}

function choose(n) {
  const { command } = menu.shown[n];
  hideMenu();
  $("text").value = "";
  say(`/${command}`);
}

function hideMenu() {
  menu.at = -1;
  $("menu").hidden = true;
  for (const id of ["commands", "text"]) $(id).setAttribute("aria-expanded", "false");
  $("text").removeAttribute("aria-activedescendant");
}

function grow() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
}

$("text").addEventListener("input", () => { grow(); menu.at = -1; showMenu(menuWord()); });
$("text").addEventListener("keydown", (event) => {
  const open = !$("menu").hidden;
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    menu.at = (menu.at + step + menu.shown.length) % menu.shown.length;
    showMenu(menuWord() ?? "");
  } else if (event.key === "Escape") {
    hideMenu();
    unreply();
  } else if (event.key === "Tab" && open && menu.at >= 0) {
    event.preventDefault();
    $("text").value = `/${menu.shown[menu.at].command} `;
    hideMenu();
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (open && menu.at >= 0) choose(menu.at);
    else $("composer").requestSubmit();
  }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  grow();
  hideMenu();
  if (text) say(text);
});
$("commands").addEventListener("click", () => {
  if ($("menu").hidden) showMenu(menuWord() ?? "");
  else hideMenu();
  $("text").focus();
});
$("reply").querySelector("button").addEventListener("click", unreply);

$("who").addEventListener("change", () => {
  const wasPrivate = state.chats.get(state.room.chat)?.kind === "private";
  state.who = Number($("who").value);
  const list = rooms();
  state.room = (wasPrivate && list.find((room) => room.chat === state.who)) || list.find((room) => room.key === state.room.key) || list[0];
  showRoom();
});

// ---- the clusters

const world = { nodes: new Map(), vms: new Map(), clusters: new Map(), order: [], tasks: [], hour: 0 };
const map = { cells: new Map(), dirty: new Set(), all: true, chosen: null, over: [], scale: 1, room: 0, width: 0, height: 0, colors: {} };
const flights = new Map(); // task -> flight
const limits = () => ({ memory: state.about.memory_threshold ?? 70, cpu: state.about.cpu_threshold ?? 7, load: state.about.load_threshold ?? 1 });
const percent = (node) => (node.mib ? (node.used * 100) / node.mib : 0);
// A measured load stands in for what is allocated, as it does for the bot.
const isBusy = (node) => (state.about.measured ? node.load > limits().load : node.vcpus / node.cores > limits().cpu);
const isOver = (node) => percent(node) > limits().memory || isBusy(node);
const gib = (mib) => (mib / 1024).toFixed(mib % 1024 ? 1 : 0);

function takeWorld(delta, fresh) {
  if (fresh) { world.nodes.clear(); world.vms.clear(); world.clusters.clear(); flights.clear(); travelling.clear(); map.all = true; }
  world.hour = delta.hour;
  for (const [id, name] of delta.clusters) world.clusters.set(id, name);
  let shape = delta.clusters.length > 0 || delta.nodes_gone.length > 0;
  for (const [id, name, cluster, cores, mib, vcpus, used, count, maintenance, load] of delta.nodes) {
    const known = world.nodes.get(id);
    if (!known) shape = true;
    world.nodes.set(id, { id, name, cluster, cores, mib, vcpus, used, count, maintenance, load: load / 100, vms: known ? known.vms : new Set() });
    map.dirty.add(id);
  }
  for (const id of delta.nodes_gone) world.nodes.delete(id);
  for (const [id, name, node, cores, mib] of delta.vms) {
    leave(id);
    world.vms.set(id, { id, name, node, cores, mib, hue: hueOf(name) });
    world.nodes.get(node)?.vms.add(id);
    map.dirty.add(node);
  }
  for (const id of delta.vms_gone) { leave(id); world.vms.delete(id); }
  if (delta.tasks || fresh) takeTasks(delta.tasks || [], fresh);
  if (shape) layOut();
  showSummary();
  draw();
}

function leave(id) {
  const vm = world.vms.get(id);
  if (!vm) return;
  world.nodes.get(vm.node)?.vms.delete(id);
  map.dirty.add(vm.node);
}

// Calm hues for what is there anyway, so that the VMs that fill a node up stand out.
const HUES = [200, 216, 184, 168, 232, 252, 150, 276];
const RUSH_HUE = 26;
function hueOf(name) {
  if (name.startsWith("rush-")) return RUSH_HUE;
  let hash = 0;
  for (const letter of name.replace(/-?\d+$/, "")) hash = (hash * 31 + letter.codePointAt(0)) % 997;
  return HUES[hash % HUES.length];
}

// For screen readers: what happens on the canvas, in words, and only when it is news.
function speak(text) { $("spoken").textContent = text; }

let spokenOver = "";
function showSummary() {
  const over = [...world.nodes.values()].filter(isOver);
  $("counts").textContent = `${world.nodes.size} nodes · ${world.vms.size} VMs`;
  $("over").textContent = over.length ? `▲ ${over.length} overloaded` : "none overloaded";
  $("over").disabled = over.length === 0;
  const added = over.find((node) => !map.over.includes(node.id));
  map.over = over.map((node) => node.id);
  if (added && world.order.length && !flights.size) requestAnimationFrame(() => revealUnasked([added.id]));
  const overNames = over.length > 5 ? `${over.length} nodes` : over.map((node) => node.name).join(", ");
  if (spokenOver !== overNames) speak(over.length ? `Overloaded: ${overNames}` : "No node is overloaded");
  spokenOver = overNames;
  const minutes = Math.floor(world.hour * 60);
  $("clock").textContent = `day time ${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
  if (map.chosen) showDetail();
  showSteps();
  showTable();
}

// Goes through the overloaded nodes, one at each press.
$("over").addEventListener("click", () => {
  const over = world.order.filter((id) => isOver(world.nodes.get(id)));
  if (!over.length) return;
  openTab($("tab-clusters"));
  const next = over[(over.indexOf(map.chosen) + 1) % over.length];
  if (next !== map.chosen) chooseNode(next);
  reveal([next]);
});

// Scrolls the map so that these nodes are in sight; the first of them, where there is no room for all.
function reveal(ids) {
  const cells = ids.map((id) => map.cells.get(id)).filter(Boolean);
  if (!cells.length) return;
  const view = $("view");
  const top = Math.min(...cells.map((cell) => cell.y)), end = Math.max(...cells.map((cell) => cell.y + cell.h));
  if (top >= view.scrollTop && end <= view.scrollTop + view.clientHeight) return;
  const [from, to] = end - top <= view.clientHeight ? [top, end] : [cells[0].y, cells[0].y + cells[0].h];
  view.scrollTo({ top: (from + to - view.clientHeight) / 2, behavior: still.matches ? "auto" : "smooth" });
}

// Who has just scrolled the map looks at something; whoever has not is shown what begins.
const HANDS_OFF_MS = 15000;
let handsOn = -HANDS_OFF_MS;
for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
  $("view").addEventListener(kind, () => { handsOn = performance.now(); }, { passive: true });
}
function revealUnasked(ids) {
  if (performance.now() - handsOn > HANDS_OFF_MS) reveal(ids);
}

// A cell holds a name, then bars for memory, vCPUs and load; with room to spare it grows.
const SIZES = [
  { upto: 24, width: 150, height: 70, heightMax: 180, text: 16, cpu: 8, load: 5, gap: 10, pad: 8 },
  { upto: 160, width: 92, height: 44, heightMax: 66, text: 13, cpu: 4, load: 3, gap: 6, pad: 4 },
  { upto: Infinity, width: 36, height: 15, heightMax: 24, text: 0, cpu: 2, load: 2, gap: 5, pad: 0 },
];
const TITLE = 22;
// Room for the frame around the outermost nodes.
const MARGIN = 4;

function layOut() {
  const nodes = [...world.nodes.values()].sort((a, b) => a.cluster - b.cluster || a.name.localeCompare(b.name, undefined, { numeric: true }));
  world.order = nodes.map((node) => node.id);
  const size = SIZES.find(({ upto }) => nodes.length <= upto);
  const width = Math.max(200, $("map").clientWidth) - 2 * MARGIN;
  const columns = columnsFor(nodes.length, Math.max(1, Math.floor((width + size.gap) / (size.width + size.gap))));
  const cell = (width - size.gap * (columns - 1)) / columns;
  const clusters = [...Map.groupBy(nodes, (node) => node.cluster)];
  const rows = clusters.reduce((sum, [, own]) => sum + Math.ceil(own.length / columns), 0);
  const room = $("view").clientHeight - $("legend").offsetHeight - 24 - clusters.length * TITLE;
  const height = Math.max(size.height, Math.min(size.heightMax, Math.floor(room / rows) - size.gap));
  map.cells.clear();
  let top = 0;
  for (const [cluster, own] of clusters) {
    map.cells.set(`c${cluster}`, { title: true, x: MARGIN, y: top, w: width, h: TITLE });
    top += TITLE;
    own.forEach((node, n) => {
      const x = MARGIN + (n % columns) * (cell + size.gap), y = top + Math.floor(n / columns) * (height + size.gap);
      map.cells.set(node.id, { x, y, w: cell, h: height, size });
    });
    top += Math.ceil(own.length / columns) * (height + size.gap);
  }
  map.width = width + 2 * MARGIN;
  map.height = top;
  map.room = $("view").clientHeight;
  map.scale = Math.min(window.devicePixelRatio || 1, 2);
  for (const canvas of [$("base"), $("fly")]) {
    canvas.width = Math.round(map.width * map.scale);
    canvas.height = Math.round(map.height * map.scale);
    canvas.style.width = `${map.width}px`;
    canvas.style.height = `${map.height}px`;
  }
  map.all = true;
}

// Few nodes are spread evenly over their rows: 12 look better as 4 by 3 than as 5, 5 and 2.
function columnsFor(nodes, most) {
  if (nodes > SIZES[0].upto) return most;
  return Math.ceil(nodes / Math.ceil(nodes / most)) || 1;
}

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "faint", "panel", "page", "line", "track", "cpu", "load", "over", "limit", "maintenance", "accent", "vm-light"]) {
    map.colors[name] = style.getPropertyValue(`--${name}`).trim();
  }
  map.all = true;
}

// A bar's full length stands for this much more than its threshold, where that is not 100 %.
const HEADROOM = 1.4;
const travelling = new Set();

function drawNode(context, node, cell) {
  const { colors } = map;
  const { size, x, y, w, h } = cell;
  const { pad } = size;
  const over = isOver(node), chosen = map.chosen === node.id;
  const around = Math.min(MARGIN, size.gap / 2);
  context.fillStyle = colors.page;
  context.fillRect(x - around, y - around, w + 2 * around, h + 2 * around);
  const frame = chosen ? colors.accent : over ? colors.over : node.maintenance ? colors.maintenance : pad ? colors.line : null;
  if (pad) drawCard(context, cell, colors.panel);
  let top = y + pad;
  if (size.text) {
    drawName(context, node, x + pad, top, w - 2 * pad, size.text, over);
    top += size.text + 3;
  }
  const memory = y + h - pad - top - size.cpu - size.load - 3;
  drawMemory(context, node, x + pad, top, w - 2 * pad, memory);
  top += memory + 2;
  drawBar(context, x + pad, top, w - 2 * pad, size.cpu, node.vcpus / node.cores / limits().cpu, colors.cpu);
  top += size.cpu + 1;
  drawBar(context, x + pad, top, w - 2 * pad, size.load, node.load / limits().load, colors.load);
  if (!frame) return;
  context.strokeStyle = frame;
  context.lineWidth = chosen && pad ? 3 : over || chosen || node.maintenance ? 2 : 1;
  context.beginPath();
  if (pad) context.roundRect(x, y, w, h, CORNER);
  else context.rect(x - 1.5, y - 1.5, w + 3, h + 3);
  context.stroke();
}

const CORNER = 7;
function drawCard(context, { x, y, w, h }, color) {
  context.fillStyle = color;
  context.beginPath();
  context.roundRect(x, y, w, h, CORNER);
  context.fill();
}

function drawName(context, node, x, y, w, height, over) {
  const { colors } = map;
  context.font = `${height > 14 ? 600 : 400} ${height - 2}px system-ui, "DejaVu Sans", sans-serif`;
  context.textBaseline = "top";
  context.fillStyle = over ? colors.over : node.maintenance ? colors.maintenance : colors.ink;
  const right = `${percent(node).toFixed(0)} %`;
  const room = w - context.measureText(right).width - 4;
  context.save();
  context.beginPath();
  context.rect(x, y - 2, room, height + 4);
  context.clip();
  context.fillText((node.maintenance ? "⏸ " : over ? "▲ " : "") + node.name, x, y);
  context.restore();
  context.textAlign = "right";
  context.fillText(right, x + w, y);
  context.textAlign = "left";
}

function drawMemory(context, node, x, y, w, h) {
  const { colors } = map;
  context.fillStyle = colors.track;
  context.fillRect(x, y, w, h);
  let at = x;
  for (const id of node.vms) {
    const vm = world.vms.get(id);
    const length = (vm.mib / node.mib) * w;
    vm.x = at; vm.y = y; vm.w = length; vm.h = h;
    context.fillStyle = `hsl(${vm.hue} 55% ${colors["vm-light"]})`;
    context.globalAlpha = travelling.has(id) ? 0.25 : 1;
    context.fillRect(at, y, Math.max(0.4, length - (length > 3 ? 1 : 0)), h);
    at += length;
  }
  context.globalAlpha = 1;
  drawLimit(context, x + (w * limits().memory) / 100, y, h);
}

function drawBar(context, x, y, w, h, part, color) {
  context.fillStyle = map.colors.track;
  context.fillRect(x, y, w, h);
  context.fillStyle = part > 1 ? map.colors.over : color;
  context.fillRect(x, y, w * Math.min(1, part / HEADROOM), h);
  drawLimit(context, x + w / HEADROOM, y, h);
}

function drawLimit(context, x, y, h) {
  context.fillStyle = map.colors.limit;
  context.fillRect(Math.round(x) - 0.5, y - 1, 1.2, h + 2);
}

let framed = false;
function draw() {
  if (framed) return;
  framed = true;
  requestAnimationFrame((now) => {
    framed = false;
    drawBase();
    if (drawFlights(now)) draw();
  });
}

function drawBase() {
  const context = $("base").getContext("2d");
  context.setTransform(map.scale, 0, 0, map.scale, 0, 0);
  if (map.all) {
    context.clearRect(0, 0, map.width, map.height);
    for (const [key, cell] of map.cells) {
      if (!cell.title) { map.dirty.add(key); continue; }
      context.fillStyle = map.colors.faint;
      context.font = '600 13px system-ui, "DejaVu Sans", sans-serif';
      context.textBaseline = "top";
      context.fillText(world.clusters.get(Number(key.slice(1))) || "", cell.x, cell.y + 2);
    }
    map.all = false;
  }
  for (const id of map.dirty) {
    const node = world.nodes.get(id), cell = map.cells.get(id);
    if (node && cell) drawNode(context, node, cell);
  }
  map.dirty.clear();
}

// ---- VMs on their way

const still = matchMedia("(prefers-reduced-motion: reduce)");

function takeTasks(tasks, fresh) {
  world.tasks = tasks;
  const open = new Set(), begun = [];
  for (const task of tasks) {
    const runs = task.status === "running" || task.status === "created";
    if (runs) open.add(task.consul_id);
    if (runs && !flights.has(task.consul_id)) {
      flights.set(task.consul_id, { task, vm: { ...(world.vms.get(task.vm) || {}) }, began: null, landing: null });
      travelling.add(task.vm);
      map.dirty.add(task.source);
      begun.push(task);
    }
    const flight = flights.get(task.consul_id);
    if (flight) flight.task = task;
  }
  for (const [id, flight] of flights) {
    if (!open.has(id) && !flight.landing) flight.landing = fresh ? 0 : performance.now();
  }
  showTasks();
  if (begun.length) requestAnimationFrame(() => revealUnasked([begun[0].source, begun[0].target]));
}

function drawFlights(now) {
  const context = $("fly").getContext("2d");
  context.setTransform(map.scale, 0, 0, map.scale, 0, 0);
  context.clearRect(0, 0, map.width, map.height);
  for (const [id, flight] of flights) {
    const landed = flight.landing !== null && (still.matches || now - flight.landing > LANDING_MS);
    if (landed) {
      flights.delete(id);
      travelling.delete(flight.task.vm);
      map.dirty.add(flight.task.source).add(flight.task.target);
      draw();
      continue;
    }
    drawFlight(context, flight, now);
  }
  drawCallouts(context);
  return flights.size > 0 && !still.matches;
}

function drawFlight(context, flight, now) {
  const from = map.cells.get(flight.task.source), to = map.cells.get(flight.task.target);
  if (!from || !to) return;
  if (flight.task.status !== "created" && flight.began === null) flight.began = now;
  // How far the copying is, nobody knows; it slows down towards the target and jumps in when it is done.
  const age = flight.began === null ? 0 : now - flight.began;
  flight.far = still.matches ? 0.5 : Math.min(0.94, 1 - Math.exp(-age / FLIGHT_MS));
  const left = 1 - (flight.left ?? flight.far);
  let far = flight.far;
  if (flight.landing !== null) {
    flight.left ??= far;
    const part = Math.min(1, (now - flight.landing) / LANDING_MS);
    far = flight.task.status === "failed" ? flight.left * (1 - part) : flight.left + left * part;
  }
  const a = { x: from.x + from.w * 0.6, y: from.y + from.h / 2 }, b = { x: to.x + to.w * 0.6, y: to.y + to.h / 2 };
  const lift = Math.min(60, Math.hypot(b.x - a.x, b.y - a.y) / 4);
  // On the curve that is drawn below.
  const x = a.x + (b.x - a.x) * far, y = a.y + (b.y - a.y) * far - 4 * far * (1 - far) * lift;
  context.strokeStyle = map.colors.accent;
  context.fillStyle = map.colors.accent;
  context.setLineDash([6, 4]);
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(a.x, a.y);
  context.quadraticCurveTo((a.x + b.x) / 2, (a.y + b.y) / 2 - lift * 2, b.x, b.y);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  context.arc(b.x, b.y, 4, 0, 2 * Math.PI);
  context.fill();
  drawLabel(context, flight.vm.name || `VM ${flight.task.vm}`, x, y, `hsl(${flight.vm.hue ?? 200} 75% 72%)`, VM_INK);
}

// On a VM's colour, which is light in both themes.
const VM_INK = "#16202a";
function drawLabel(context, text, x, y, color, ink) {
  context.font = '600 12px system-ui, "DejaVu Sans", sans-serif';
  const w = context.measureText(text).width + 14, h = 22;
  const left = Math.max(2, Math.min(map.width - w - 2, x - w / 2)), top = Math.max(2, y - h / 2);
  context.fillStyle = color;
  context.strokeStyle = ink;
  context.lineWidth = 1.2;
  context.beginPath();
  context.roundRect(left, top, w, h, CORNER);
  context.fill();
  context.stroke();
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.fillText(text, left + 7, top + h / 2 + 0.5);
}

// Where nodes are too small for their names, those that matter have one beside them.
const CALLOUTS_MAX = 12;
function drawCallouts(context) {
  const named = new Set(map.chosen ? [map.chosen] : []);
  for (const { task } of flights.values()) named.add(task.source).add(task.target);
  for (const id of map.over) named.add(id);
  for (const id of [...named].slice(0, CALLOUTS_MAX)) {
    const node = world.nodes.get(id), cell = map.cells.get(id);
    if (!node || !cell || cell.size.text) continue;
    const ink = map.over.includes(id) ? map.colors.over : map.colors.ink;
    drawLabel(context, `${node.name} ${percent(node).toFixed(0)} %`, cell.x + cell.w / 2, cell.y - 14, map.colors.panel, ink);
  }
}

function nodeName(id) { return world.nodes.get(id)?.name ?? `node ${id}`; }

const NO_TASKS = "None yet. Once a node is overloaded, the bot proposes some in the chat.";
function showTasks() {
  const rows = world.tasks.slice().reverse().map((task) => make("li", { class: task.status },
    make("span", { class: "status" }, task.status),
    make("span", {}, `${world.vms.get(task.vm)?.name ?? `VM ${task.vm}`}: ${nodeName(task.source)} → ${nodeName(task.target)}${task.foreign ? " (somebody else's)" : ""}`,
      task.output ? make("pre", {}, task.output) : null)));
  $("tasks").replaceChildren(...(rows.length ? rows : [make("li", { class: "none" }, NO_TASKS)]));
}

// ---- one node, and all of them as a table

function nodeAt(event) {
  const box = $("map").getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  for (const [id, cell] of map.cells) {
    if (!cell.title && x >= cell.x && x <= cell.x + cell.w && y >= cell.y && y <= cell.y + cell.h) return id;
  }
  return null;
}

function chooseNode(id) {
  if (map.chosen) map.dirty.add(map.chosen);
  map.chosen = id === map.chosen ? null : id;
  if (id) map.dirty.add(id);
  detailShown = null;
  labelMaintenance();
  if (map.chosen) {
    showDetail();
    speak([...$("detail").querySelectorAll("p")].slice(0, 2).map((line) => line.textContent).join(": "));
  } else $("detail").replaceChildren();
  draw();
}

let detailShown = null;
function showDetail() {
  const node = world.nodes.get(map.chosen);
  if (!node) { map.chosen = null; $("detail").replaceChildren(); return; }
  const row = JSON.stringify([node.name, node.used, node.vcpus, node.count, node.maintenance]);
  if (row === detailShown) return;
  detailShown = row;
  const vms = [...node.vms].map((id) => world.vms.get(id)).sort((a, b) => b.mib - a.mib);
  const text = `memory ${gib(node.used)} of ${gib(node.mib)} GiB (${percent(node).toFixed(1)} %) · ` +
    `${(node.vcpus / node.cores).toFixed(2)} vCPU per core · load ${node.load.toFixed(2)} per core · ${node.count} VMs`;
  const name = `${node.name}${isOver(node) ? " – overloaded" : ""}${node.maintenance ? " – in maintenance" : ""}`;
  const focused = document.activeElement?.dataset?.act;
  $("detail").replaceChildren(
    make("p", {}, make("b", {}, name)), make("p", {}, text),
    make("p", { class: "vms" }, vms.slice(0, 40).map((vm) => `${vm.name} ${gib(vm.mib)} GiB`).join(", ") + (vms.length > 40 ? ", …" : "")),
    make("button", { type: "button", "data-act": "maintenance", onclick: () => flip({ name: "maintenance", node: node.id, on: !node.maintenance }) },
      node.maintenance ? "Out of maintenance" : "Into maintenance"),
    make("button", { type: "button", "data-act": "rush", onclick: () => flip({ name: "rush", node: node.id }) }, "Fill it up"));
  if (focused) $("detail").querySelector(`[data-act="${focused}"]`)?.focus();
  $("maintenance").textContent = node.maintenance ? `${node.name} out of maintenance` : `${node.name} into maintenance`;
}

$("map").addEventListener("click", (event) => { const id = nodeAt(event); if (id) chooseNode(id); });
$("map").addEventListener("mousemove", (event) => {
  const node = world.nodes.get(nodeAt(event));
  $("map").title = node ? `${node.name}: memory ${percent(node).toFixed(1)} %, ${(node.vcpus / node.cores).toFixed(2)} vCPU per core, ${node.count} VMs` : "";
});
$("map").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && map.chosen) return chooseNode(null);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 0, ArrowUp: 0 }[event.key];
  if (step === undefined || !world.order.length) return;
  event.preventDefault();
  const here = world.order.indexOf(map.chosen);
  let next = here + step;
  if (step === 0 && here >= 0) {
    const cell = map.cells.get(map.chosen), down = event.key === "ArrowDown";
    const lies = (id) => { const other = map.cells.get(id); return Math.abs(other.x - cell.x) < 2 && (down ? other.y > cell.y : other.y < cell.y); };
    const found = down ? world.order.find(lies) : world.order.findLast(lies);
    next = found === undefined ? here : world.order.indexOf(found);
  }
  const id = world.order[Math.max(0, Math.min(world.order.length - 1, next))];
  if (id !== map.chosen) chooseNode(id);
  reveal([id]);
});

let tableTimer = null;
function showTable() {
  if (!$("table").open || tableTimer) return;
  tableTimer = setTimeout(() => { tableTimer = null; showTable(); }, TABLE_EVERY_MS);
  const nodes = [...world.nodes.values()].sort((a, b) => percent(b) - percent(a)).slice(0, TABLE_ROWS);
  const focused = document.activeElement?.dataset?.node;
  const rows = nodes.map((node) => make("tr", { class: isOver(node) ? "over" : "" },
    make("td", {}, make("button", { type: "button", "data-node": node.id, onclick: () => { chooseNode(node.id); reveal([node.id]); } }, node.name)),
    ...[world.clusters.get(node.cluster), `${percent(node).toFixed(1)} %`, (node.vcpus / node.cores).toFixed(2), node.load.toFixed(2), node.count,
      node.maintenance ? "maintenance" : isOver(node) ? "overloaded" : "fine"].map((text) => make("td", {}, String(text)))));
  $("table").querySelector("tbody").replaceChildren(...rows);
  if (focused) $("table").querySelector(`[data-node="${focused}"]`)?.focus();
}
$("table").addEventListener("toggle", showTable);

let resizeTimer;
new ResizeObserver(() => {
  clearTimeout(resizeTimer);
  resizeTimer = setTimeout(() => {
    const is = { width: $("map").clientWidth, room: $("view").clientHeight };
    if (is.width && (is.width !== map.width || is.room !== map.room)) { layOut(); draw(); }
  }, 60);
}).observe($("view"));

// ---- faults, the bot, the theme, tabs

async function flip(what) {
  try {
    takeSwitches(await post("api/switch", what));
  } catch (error) {
    toast(error.message);
  }
}

let inMaintenance = null;
function takeSwitches(switches) {
  for (const button of document.querySelectorAll("[data-switch], [data-fault]")) {
    const name = button.dataset.switch ?? button.dataset.fault;
    if (name in switches) button.setAttribute("aria-pressed", String(Boolean(switches[name])));
  }
  inMaintenance = switches.in_maintenance;
  labelMaintenance();
  const moved = state.about.room !== switches.room;
  state.about.room = switches.room;
  $("bot-chat").value = switches.bot_chat ?? "";
  if (moved && state.room) showRooms();
}

function labelMaintenance() {
  const node = world.nodes.get(map.chosen);
  const name = node?.name ?? inMaintenance?.[1] ?? "Node";
  $("maintenance").textContent = `${name} ${(node ? node.maintenance : inMaintenance) ? "out of" : "into"} maintenance`;
}

$("bot-chat").addEventListener("change", async () => {
  await flip({ name: "bot_chat", chat: $("bot-chat").value });
  // Whoever moves the bot wants to see it there; a private chat is the admin's.
  if ($("bot-chat").value === "private") { state.who = 1001; $("who").value = "1001"; }
  state.room = rooms().find(isConfigured) || state.room;
  unreply();
  showRoom();
});

// The faults beside the ten come from the server's own table, so that none is forgotten here.
function showMoreFaults(faults) {
  const groups = Map.groupBy(faults, (fault) => fault.group);
  const button = ({ name, label, holds }) => make("button", {
    type: "button", "data-fault": name, "aria-pressed": holds ? "false" : null,
    onclick: (event) => flip({ name: "fault", fault: name, on: event.currentTarget.getAttribute("aria-pressed") !== "true" }),
  }, label);
  const sets = [...groups].map(([group, offers]) => make("fieldset", {}, make("legend", {}, group), ...offers.map(button)));
  if (!$("more").querySelector("fieldset")) $("more").querySelector("div").replaceChildren(...sets);
}

for (const button of document.querySelectorAll("[data-switch]")) {
  button.addEventListener("click", () => flip({ name: button.dataset.switch, on: button.getAttribute("aria-pressed") !== "true" }));
}
for (const button of document.querySelectorAll("[data-once]")) {
  button.addEventListener("click", () => flip({ name: button.dataset.once, ...(["rush", "burn"].includes(button.dataset.once) ? { node: map.chosen } : {}) }));
}
$("maintenance").addEventListener("click", () => {
  const fullest = [...world.nodes.values()].filter((node) => !node.maintenance).sort((a, b) => percent(a) - percent(b))[0];
  const node = world.nodes.get(map.chosen) || world.nodes.get(inMaintenance?.[0]) || fullest;
  if (node) flip({ name: "maintenance", node: node.id, on: !node.maintenance });
});

function takeBot(status) {
  const words = { running: "bot is running", killed: "bot is not running", ended: `bot ended: ${status.why}` };
  $("bot").textContent = words[status.state];
  $("bot").title = words[status.state];
  $("bot").classList.toggle("down", status.state !== "running");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = localStorage.getItem("theme") || "auto"; } catch { /* storage may be forbidden */ }
function applyTheme() {
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  $("theme").textContent = `Theme: ${theme}`;
  readColors();
  draw();
}
dark.addEventListener("change", applyTheme);
$("theme").addEventListener("click", () => {
  theme = { auto: "light", light: "dark", dark: "auto" }[theme];
  try { localStorage.setItem("theme", theme); } catch { /* then it lasts as long as the page */ }
  applyTheme();
});

const tabs = [...document.querySelectorAll("[role=tab]")];
// As style.css has it: one part of the page at a time.
const phone = matchMedia("(max-width: 820px), (max-height: 500px)");
function namePanels() {
  for (const tab of tabs) {
    const panel = $(tab.getAttribute("aria-controls"));
    for (const [name, value] of [["role", "tabpanel"], ["aria-labelledby", tab.id]]) {
      if (phone.matches) panel.setAttribute(name, value);
      else panel.removeAttribute(name);
    }
  }
}
phone.addEventListener("change", namePanels);
namePanels();
function openTab(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  document.querySelector("main").dataset.tab = tab.getAttribute("aria-controls");
  stay();
}
for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    openTab(next);
    next.focus();
  });
}

// ---- from the server

async function load() {
  const response = await fetch("api/state");
  if (!response.ok) throw new Error(`the sandbox answered ${response.status}`);
  const everything = await response.json();
  state.about = everything.about;
  state.bot = everything.me;
  state.users = new Map(everything.users.map((user) => [user.id, user]));
  state.chats = new Map(everything.chats.map((chat) => [chat.id, chat]));
  state.messages = new Map();
  const people = everything.users.filter((user) => !user.is_bot);
  const label = (user) => `${user.name} – ${state.about.roles?.[user.id] ?? "nobody"}`;
  $("who").replaceChildren(...people.map((user) => make("option", { value: user.id, selected: user.id === state.who }, label(user))));
  const list = rooms();
  state.room = list.find((room) => room.key === state.room?.key) || list[0];
  for (const messages of Object.values(everything.messages)) messages.forEach((message) => takeMessage(message, false));
  showRoom();
  takeWorld(everything.world, true);
  showMoreFaults(everything.more_faults);
  takeSwitches(everything.switches);
  document.querySelector('[data-once="burn"]').disabled = !state.about.measured;
  document.querySelector('[data-once="burn"]').title = state.about.measured ? "" : "Nobody measures load here: start with --ssh on";
  takeBot(everything.bot);
  if (everything.tour) takeTour(everything.tour);
  document.body.dataset.ready = "true";
}

function listen() {
  const events = new EventSource("api/events");
  // What comes while everything is being read waits: nothing may be overtaken by an older picture.
  let waiting = [];
  const take = { chat: chatChanged, world: (delta) => takeWorld(delta, false), switches: takeSwitches, bot: takeBot, tour: takeTour };
  const reload = async () => {
    waiting = [];
    try {
      await load();
    } catch (error) {
      toast(`The sandbox does not answer: ${error.message}`);
    }
    const late = waiting;
    waiting = null;
    late.forEach(([kind, what]) => take[kind](what));
  };
  events.addEventListener("hello", reload);
  events.addEventListener("reload", reload);
  for (const kind of Object.keys(take)) {
    events.addEventListener(kind, (event) => {
      const what = JSON.parse(event.data);
      if (waiting) waiting.push([kind, what]);
      else take[kind](what);
    });
  }
  events.addEventListener("error", () => {
    $("bot").textContent = "the sandbox is gone";
    $("bot").classList.add("down");
  });
}

// What a newcomer waits for or does next; away with the first press on its cross, and while a tour speaks.
let stepsWanted = true;
try { stepsWanted = localStorage.getItem("steps") !== "off"; } catch { /* storage may be forbidden */ }
function showSteps() {
  $("steps").hidden = !stepsWanted || !$("tour").hidden;
  const isMoving = world.tasks.some((task) => task.status === "running" || task.status === "created");
  const isProposed = log.querySelector(".keys [data-press^='p:'][data-press$=':a']") !== null;
  const at = isMoving ? 3 : isProposed ? 2 : map.over.length ? 1 : 0;
  [...$("steps").querySelectorAll("li")].forEach((step, n) => {
    if (n === at) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
}
$("steps").querySelector("button").addEventListener("click", () => {
  stepsWanted = false;
  try { localStorage.setItem("steps", "off"); } catch { /* then until the page is opened again */ }
  showSteps();
  $("text").focus();
});

function takeTour({ step, steps, text }) {
  $("tour").hidden = !text;
  $("tour").textContent = text ? `${step}/${steps} ${text}` : "";
  showSteps();
}

applyTheme();
listen();
