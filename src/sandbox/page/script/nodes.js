// One node in detail, and all of them as a table.

import { $, make, speak } from "./dom.js";
import { gib, isOver, percent, world } from "./world.js";
import { layOut, map, nodeAt, reveal } from "./map.js";
import { draw } from "./flights.js";
import { flip, labelMaintenance } from "./switches.js";

const TABLE_ROWS = 100;
const TABLE_EVERY_MS = 2000;

export function chooseNode(id) {
  if (map.chosen) world.dirty.add(map.chosen);
  map.chosen = id === map.chosen ? null : id;
  if (id) world.dirty.add(id);
  detailShown = null;
  labelMaintenance();
  if (map.chosen) {
    showDetail();
    speak([...$("detail").querySelectorAll("p")].slice(0, 2).map((line) => line.textContent).join(": "));
  } else $("detail").replaceChildren();
  draw();
}

let detailShown = null;

export function showDetail() {
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
  labelMaintenance();
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

export function showTable() {
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
