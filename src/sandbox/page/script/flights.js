// VMs on their way, the list of migrations, and the loop that draws.

import { $, make } from "./dom.js";
import { nodeName, percent, travelling, world } from "./world.js";
import { map, revealUnasked, still } from "./map.js";
import { drawBase, drawLabel, VM_INK } from "./paint.js";

const FLIGHT_MS = 2500;
const LANDING_MS = 350;
export const flights = new Map(); // task -> flight

export function takeTasks(tasks, fresh) {
  world.tasks = tasks;
  const open = new Set(), begun = [];
  for (const task of tasks) {
    const runs = task.status === "running" || task.status === "created";
    if (runs) open.add(task.consul_id);
    if (runs && !flights.has(task.consul_id)) {
      flights.set(task.consul_id, { task, vm: { ...(world.vms.get(task.vm) || {}) }, began: null, landing: null });
      travelling.add(task.vm);
      world.dirty.add(task.source);
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

const NO_TASKS = "None yet. Once a node is overloaded, the bot proposes some in the chat.";

function showTasks() {
  const rows = world.tasks.slice().reverse().map((task) => make("li", { class: task.status },
    make("span", { class: "status" }, task.status),
    make("span", {}, `${world.vms.get(task.vm)?.name ?? `VM ${task.vm}`}: ${nodeName(task.source)} → ${nodeName(task.target)}${task.foreign ? " (somebody else's)" : ""}`,
      task.output ? make("pre", {}, task.output) : null)));
  $("tasks").replaceChildren(...(rows.length ? rows : [make("li", { class: "none" }, NO_TASKS)]));
}

let framed = false;

export function draw() {
  if (framed) return;
  framed = true;
  requestAnimationFrame((now) => {
    framed = false;
    drawBase();
    if (drawFlights(now)) draw();
  });
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
      world.dirty.add(flight.task.source).add(flight.task.target);
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
  // The progress of a migration is unknown: the VM slows down towards its target and lands when the task ends.
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

// Where nodes are too small for names, the chosen, overloaded and migrating ones get a label beside them.
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
