// Where each node lies on the map, and which part of the map is in sight.

import { $ } from "./dom.js";
import { world } from "./world.js";

export const map = { cells: new Map(), all: true, chosen: null, over: [], scale: 1, room: 0, width: 0, height: 0, colors: {} };
export const still = matchMedia("(prefers-reduced-motion: reduce)");

// A cell holds a name, then bars for memory, vCPUs and load; with room to spare it grows.
const SIZES = [
  { upto: 24, width: 150, height: 70, heightMax: 180, text: 16, cpu: 8, load: 5, gap: 10, pad: 8 },
  { upto: 160, width: 92, height: 44, heightMax: 66, text: 13, cpu: 4, load: 3, gap: 6, pad: 4 },
  { upto: Infinity, width: 36, height: 15, heightMax: 24, text: 0, cpu: 2, load: 2, gap: 5, pad: 0 },
];

const TITLE = 22;
// Room for the frame around the outermost nodes.
export const MARGIN = 4;

export function layOut() {
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

// Scrolls the map until these nodes are in sight, or only the first of them where there is no room for all.
export function reveal(ids) {
  const cells = ids.map((id) => map.cells.get(id)).filter(Boolean);
  if (!cells.length) return;
  const view = $("view");
  const top = Math.min(...cells.map((cell) => cell.y)), end = Math.max(...cells.map((cell) => cell.y + cell.h));
  if (top >= view.scrollTop && end <= view.scrollTop + view.clientHeight) return;
  const [from, to] = end - top <= view.clientHeight ? [top, end] : [cells[0].y, cells[0].y + cells[0].h];
  view.scrollTo({ top: (from + to - view.clientHeight) / 2, behavior: still.matches ? "auto" : "smooth" });
}

// A person who has just scrolled the map is looking at something, so the map does not scroll by itself for a while.
const HANDS_OFF_MS = 15000;
let handsOn = -HANDS_OFF_MS;

for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
  $("view").addEventListener(kind, () => { handsOn = performance.now(); }, { passive: true });
}

export function revealUnasked(ids) {
  if (performance.now() - handsOn > HANDS_OFF_MS) reveal(ids);
}

export function nodeAt(event) {
  const box = $("map").getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  for (const [id, cell] of map.cells) {
    if (!cell.title && x >= cell.x && x <= cell.x + cell.w && y >= cell.y && y <= cell.y + cell.h) return id;
  }
  return null;
}
