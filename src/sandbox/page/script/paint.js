// How nodes look on the canvas.

import { $ } from "./dom.js";
import { isOver, limits, percent, travelling, world } from "./world.js";
import { map, MARGIN } from "./map.js";

export function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "faint", "panel", "page", "line", "track", "cpu", "load", "over", "limit", "maintenance", "accent", "vm-light"]) {
    map.colors[name] = style.getPropertyValue(`--${name}`).trim();
  }
  map.all = true;
}

// A full bar stands for this multiple of its threshold, so that an excess can be seen.
const HEADROOM = 1.4;

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

// On a VM's colour, which is light in both themes.
export const VM_INK = "#16202a";

export function drawLabel(context, text, x, y, color, ink) {
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

export function drawBase() {
  const context = $("base").getContext("2d");
  context.setTransform(map.scale, 0, 0, map.scale, 0, 0);
  if (map.all) {
    context.clearRect(0, 0, map.width, map.height);
    for (const [key, cell] of map.cells) {
      if (!cell.title) { world.dirty.add(key); continue; }
      context.fillStyle = map.colors.faint;
      context.font = '600 13px system-ui, "DejaVu Sans", sans-serif';
      context.textBaseline = "top";
      context.fillText(world.clusters.get(Number(key.slice(1))) || "", cell.x, cell.y + 2);
    }
    map.all = false;
  }
  for (const id of world.dirty) {
    const node = world.nodes.get(id), cell = map.cells.get(id);
    if (node && cell) drawNode(context, node, cell);
  }
  world.dirty.clear();
}
