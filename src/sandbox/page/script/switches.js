// Buttons that make something happen: faults, maintenance, where the bot's chat is.

import { $, make, post, toast } from "./dom.js";
import { isConfigured, rooms, state } from "./known.js";
import { unreply } from "./say.js";
import { showRoom, showRooms } from "./rooms.js";
import { percent, world } from "./world.js";
import { map } from "./map.js";

export async function flip(what) {
  try {
    takeSwitches(await post("api/switch", what));
  } catch (error) {
    toast(error.message);
  }
}

let inMaintenance = null;

export function takeSwitches(switches) {
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

export function labelMaintenance() {
  const node = world.nodes.get(map.chosen);
  const name = node?.name ?? inMaintenance?.[1] ?? "Node";
  $("maintenance").textContent = `${name} ${(node ? node.maintenance : inMaintenance) ? "out of" : "into"} maintenance`;
}

$("bot-chat").addEventListener("change", async () => {
  await flip({ name: "bot_chat", chat: $("bot-chat").value });
  // A person who moves the bot wants to see it in its new chat; the private chat is the admin's.
  if ($("bot-chat").value === "private") { state.who = 1001; $("who").value = "1001"; }
  state.room = rooms().find(isConfigured) || state.room;
  unreply();
  showRoom();
});

// All faults without a button in the page come from the server's table, so that none is missing here.
export function showMoreFaults(faults) {
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
