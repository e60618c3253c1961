// Reads everything once, then each change as the server reports it.

import { $, make, toast, TOAST_MS } from "./dom.js";
import { rooms, state } from "./known.js";
import { removeMessage } from "./log.js";
import { loadMenu } from "./commands.js";
import { showRoom, takeMessage } from "./rooms.js";
import { takeNodes } from "./world.js";
import { layOut, map } from "./map.js";
import { draw, flights, takeTasks } from "./flights.js";
import { showMoreFaults, takeSwitches } from "./switches.js";
import { showSummary } from "./summary.js";
import { showSteps, takeTour } from "./tour.js";

function takeBot(status) {
  const words = { running: "bot is running", killed: "bot is not running", ended: `bot ended: ${status.why}` };
  $("bot").textContent = words[status.state];
  $("bot").title = words[status.state];
  $("bot").classList.toggle("down", status.state !== "running");
}

function takeWorld(delta, isFresh) {
  if (isFresh) {
    flights.clear();
    map.all = true;
  }
  const isReshaped = takeNodes(delta, isFresh);
  if (delta.tasks || isFresh) takeTasks(delta.tasks || [], isFresh);
  if (isReshaped) layOut();
  showSummary();
  draw();
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

// What each kind of news is handed to.
export const take = { chat: chatChanged, world: (delta) => takeWorld(delta, false), switches: takeSwitches, bot: takeBot, tour: takeTour };

export async function load() {
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

export function listen() {
  const events = new EventSource("api/events");
  // News that arrives during a full read waits: an older picture must not replace it.
  let waiting = [];
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
