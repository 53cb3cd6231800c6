// The control desk. Everything goes through the documented calls under /api; nothing is kept here.
"use strict";

const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const KEYS = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const NO_ANSWER = "Brushcast does not answer: nothing was changed";
let state = {};
let socket = null;
let noteTimer = 0;

// lasts: until the next one.
function note(text, { lasts = false } = {}) {
  one("#note").textContent = text;
  clearTimeout(noteTimer);
  if (!lasts) noteTimer = setTimeout(() => { one("#note").textContent = ""; }, 3000 + 50 * text.length);
}

// Changes are gathered until the next picture of the page, so that a drag does not flood the socket.
let waiting = null;
function set(change) {
  if (waiting === null) {
    waiting = {};
    requestAnimationFrame(() => {
      if (socket && socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify(waiting));
      } else {
        note(NO_ANSWER);
        show({});
      }
      waiting = null;
    });
  }
  if ("style" in change) delete waiting.mix;
  if ("mix" in change) delete waiting.style;
  Object.assign(waiting, change);
}

function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/ws");
  socket.onopen = () => { loadStyles(); askMidi(); }; // it may be another one than before
  socket.onmessage = (event) => {
    const told = JSON.parse(event.data);
    if (told.error) {
      note(told.error);
      show({}); // what was refused is not in force
      return;
    }
    const before = state;
    state = told;
    show(before);
  };
  socket.onclose = () => {
    one("#figures").textContent = "not connected; trying again…";
    // A program that was started anew may have another token; a socket does not tell why it was refused.
    fetch("/api/state").then((answer) => answer.json()).then((told) => {
      if (told.error) one("#figures").textContent = told.error;
    }).catch(() => {});
    setTimeout(connect, 1000);
  };
}

// What any of the calls says; {error} if nobody answers. Errors are noted.
async function call(path, method = "POST", body = undefined) {
  let told;
  try {
    const answer = await fetch(path, { method, body });
    told = await answer.json().catch(() => ({ error: answer.statusText }));
  } catch {
    told = { error: NO_ANSWER };
  }
  if (told.error) note(told.error);
  return told;
}

// before: the state that was shown. What has changed since is shown even where somebody is at a control.
function show(before) {
  if (!("style" in state)) return;
  const changed = (name) => JSON.stringify(before[name]) !== JSON.stringify(state[name]);
  one("#figures").textContent = `${state.rate.toFixed(1)} frames/s · ${state.latency_ms} ms · ` +
    `${state.frames} frames, ${state.dropped} dropped · ${state.painter}`;
  for (const input of all(".slider input")) {
    if (document.activeElement !== input || !input.matches(":active")) input.value = state[input.name];
    input.parentElement.querySelector("output").textContent = Number(state[input.name]).toFixed(2);
  }
  for (const select of all("select[name]")) {
    if (select.name in wished) select.value = wished[select.name];
    else if (document.activeElement !== select || changed(select.name)) select.value = state[select.name];
  }
  one("#tap span").textContent = `${Math.round(state.bpm)}`;
  for (const button of all(".switches button")) button.setAttribute("aria-pressed", String(state[button.name]));
  for (const button of all("#styles .pick")) {
    const pressed = button.value === state.style || button.value in state.mix;
    button.setAttribute("aria-pressed", String(pressed));
  }
  if (changed("presets")) showPresets();
  if (changed("styles") && before.styles) loadStyles();
  if (changed("mix") || changed("style")) showPad();
}

let loading = 0;
async function loadStyles() {
  const own = ++loading;
  const styles = await call("/api/styles", "GET");
  if (styles.error || own !== loading) return; // a later one is on its way
  const grid = one("#styles");
  const there = new Map([...grid.children].map((box) => [box.firstChild.value, box]));
  const boxes = styles.map((style) => there.get(style.name) || styleBox(style));
  for (const box of there.values()) {
    if (boxes.includes(box)) continue;
    const next = box.nextSibling || box.previousSibling;
    if (next && box.contains(document.activeElement)) next.firstChild.focus(); // or it would fall to the whole page
    box.remove();
  }
  // Those that are in their place stay untouched, with their focus.
  boxes.forEach((box, at) => { if (grid.children[at] !== box) grid.insertBefore(box, grid.children[at] || null); });
  const options = () => styles.map((style) => new Option(style.title || style.name, style.name));
  const names = styles.map((style) => style.name);
  all(".corners select").forEach((select, corner) => {
    const chosen = names.includes(select.value) ? select.value : names[corner] || names[0];
    select.replaceChildren(...options());
    select.value = chosen;
  });
  for (const [name, none] of [["background", "like the rest"], ["drive_to", "choose…"]]) {
    const select = one(`select[name=${name}]`);
    const chosen = select.value;
    select.replaceChildren(new Option(none, ""), ...options());
    select.value = names.includes(chosen) ? chosen : "";
  }
  show({ presets: state.presets, styles: state.styles });
}

function styleBox(style) {
  const box = document.createElement("div");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "pick";
  button.value = style.name;
  button.title = [style.title, style.painter, style.year].filter(Boolean).join(", ");
  const picture = document.createElement("img");
  picture.src = `/api/styles/${encodeURIComponent(style.name)}/picture.jpg`;
  picture.alt = "";
  picture.loading = "lazy";
  picture.draggable = false;
  const words = document.createElement("span");
  words.textContent = style.title || style.name;
  button.append(picture, words);
  button.onclick = () => set({ style: style.name });
  box.append(button);
  if (style.own) {
    box.append(freeButton(`Remove ${style.title || style.name}`, async () => {
      const told = await call(`/api/styles/${encodeURIComponent(style.name)}`, "DELETE");
      if (!told.error) loadStyles();
    }));
  }
  return box;
}

function freeButton(words, onclick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "free";
  button.textContent = "×";
  button.title = words;
  button.setAttribute("aria-label", words);
  button.onclick = onclick;
  return button;
}

// One after the other; the last one that can be taken is what is painted with.
async function addPictures(files) {
  const refused = [];
  let taken = "";
  for (const [at, file] of files.entries()) {
    const name = file.name || "picture";
    note(`looking at ${name}${files.length > 1 ? ` (${at + 1} of ${files.length})` : ""}…`, { lasts: true });
    const told = await call(`/api/styles?name=${encodeURIComponent(name.replace(/\.[^.]*$/, ""))}`, "POST", file);
    if (told.error) refused.push(files.length > 1 && !told.error.includes(name) ? `${name}: ${told.error}` : told.error);
    else taken = told.style;
  }
  note([taken && `painting in the style of ${taken}`, ...refused].filter(Boolean).join("; "));
  one("#file").value = ""; // the same one may be chosen again
}

// The mixing pad: the weight of each corner is the area on the other side of the finger.
const corners = all(".corners select");
const spot = { x: 0.5, y: 0.5 };
let played = -Infinity; // when the pad was moved here
const sharesAt = (x, y) => [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
const PLAYED_MS = 1000; // for so long what the server tells of the mix is older than what the finger said

function mixAt(x, y) {
  played = performance.now();
  placeSpot(Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y)));
  const shares = sharesAt(spot.x, spot.y);
  const mix = {};
  corners.forEach((select, corner) => { mix[select.value] = (mix[select.value] || 0) + shares[corner]; });
  tellMix(mix);
  set({ mix });
  setTimeout(showPad, PLAYED_MS);
}

function placeSpot(x, y) {
  Object.assign(spot, { x, y });
  one("#pad span").style.left = `${100 * x}%`;
  one("#pad span").style.top = `${100 * y}%`;
  one("#pad").setAttribute("aria-valuenow", String(Math.round(100 * x)));
}

function tellMix(mix) {
  const words = Object.entries(mix).map(([name, share]) => `${name} ${Math.round(100 * share)} %`).join(", ");
  one("#pad").setAttribute("aria-valuetext", words || "not in use");
}

// Show the mix that is in force: what this desk, another one or a preset made of it.
function showPad() {
  if (!("style" in state) || !corners[0].options.length || performance.now() - played < PLAYED_MS) return;
  const names = Object.keys(state.mix);
  const here = corners.map((select) => select.value);
  const mix = names.length ? state.mix : { [state.style]: 1 };
  one("#pad").classList.toggle("on", names.length > 0);
  tellMix(state.mix);
  if (off(mix, here, spot.x, spot.y) < 0.02) return; // it is there already
  if (!names.length) {
    const corner = here.indexOf(state.style);
    if (corner >= 0) placeSpot(corner % 2, corner >> 1); // so that the next step begins at what is painted
    return;
  }
  const chosen = [...names, ...here.filter((name) => !names.includes(name))];
  let best = null;
  for (const order of orders([...chosen, ...chosen].slice(0, 4))) {
    const shares = order.map((name, at) => (order.indexOf(name) === at && mix[name]) || 0);
    const [x, y] = [shares[1] + shares[3], shares[2] + shares[3]];
    // Mixes that were made elsewhere may lie nowhere on the pad: the nearest place is shown. The fewer corners change
    // for it the better.
    const kept = order.filter((name, at) => here[at] === name).length;
    const cost = Math.round(1000 * off(mix, order, x, y)) - kept / 8;
    if (!best || cost < best.cost) best = { cost, order, x, y };
  }
  corners.forEach((select, at) => { select.value = best.order[at]; });
  placeSpot(best.x, best.y);
}

// How far the mix of these corners at this place is from `mix`.
function off(mix, order, x, y) {
  const left = { ...mix };
  sharesAt(x, y).forEach((share, corner) => { left[order[corner]] = (left[order[corner]] || 0) - share; });
  return Math.max(...Object.values(left).map(Math.abs));
}

function orders(list) {
  if (list.length < 2) return [list];
  return list.flatMap((first, at) => orders(list.filter((_, k) => k !== at)).map((rest) => [first, ...rest]));
}

function pad() {
  const box = one("#pad");
  const at = (event) => {
    const place = box.getBoundingClientRect();
    mixAt((event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height);
  };
  box.onpointerdown = (event) => {
    if (event.button) return; // another than the first asks for a menu
    box.setPointerCapture(event.pointerId);
    at(event);
  };
  box.onpointermove = (event) => { if (box.hasPointerCapture(event.pointerId)) at(event); };
  box.onkeydown = (event) => {
    const step = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] }[event.key];
    if (step) { event.preventDefault(); mixAt(spot.x + step[0], spot.y + step[1]); }
  };
  for (const select of corners) select.onchange = () => mixAt(spot.x, spot.y);
}

// Presets are kept by the program: every desk, OSC, MIDI and OBS see the same ones. The buttons stay, with their focus.
const presetBoxes = KEYS.map((key) => {
  const box = document.createElement("span");
  const button = document.createElement("button");
  button.type = "button";
  button.value = key;
  const kept = () => (state.presets || {})[key];
  const free = async () => {
    if (!kept()) return;
    const told = await call(`/api/presets/${key}`, "DELETE");
    if (!told.error) keepPresets(told);
    button.focus();
  };
  button.onclick = () => (kept() && !saving() ? recall(key) : save(key));
  button.onkeydown = (event) => { if (event.key === "Delete") free(); };
  box.append(button, freeButton(`Free key ${key}`, free));
  return box;
});

function showPresets() {
  presetBoxes.forEach((box, at) => {
    const name = (state.presets || {})[KEYS[at]];
    const [button, free] = box.children;
    button.textContent = name ? `${KEYS[at]} ${name}` : String(KEYS[at]);
    button.className = name ? "kept" : "empty";
    button.title = name ? "recall; Delete frees it" : "save what is in force";
    free.hidden = !name;
  });
}

function keepPresets(presets) {
  state.presets = presets;
  showPresets();
}

const saving = () => one("#saving").getAttribute("aria-pressed") === "true";

async function save(key) {
  const name = one("#preset-name").value.trim() || state.style;
  // What this desk shows under the key; another one may just have saved there.
  const seen = (state.presets || {})[key] || "";
  const query = `name=${encodeURIComponent(name)}&instead_of=${encodeURIComponent(seen)}`;
  const told = await call(`/api/presets/${key}?${query}`);
  if (told.error) return;
  keepPresets(told);
  one("#saving").setAttribute("aria-pressed", "false");
  one("#preset-name").value = "";
}

const recall = (key) => call(`/api/recall/${key}`);
const tap = () => call("/api/tap");

// What was chosen for what moves the look, and cannot be in force before there is a goal to move to.
let wished = {};
function drive(name, value) {
  const [by, of, to] = ["drive", "drive_of", "drive_to"].map((select) => one(`select[name=${select}]`).value);
  if (by !== "off" && of === "mix" && !to) {
    wished = { drive: by, drive_of: of };
    note("choose the style that the mix goes to");
    one("select[name=drive_to]").focus();
    return;
  }
  set({ ...wished, [name]: value });
  wished = {};
}

// MIDI, where an input is open: choose what is to be moved, press Learn, move a control.
const TAUGHT = all(".slider input").map((input) => input.name)
  .concat(["mirror", "split", "tap"], KEYS.map((key) => `preset ${key}`));

function showMidi(told) {
  one("#midi").hidden = !told.input;
  if (!told.input) return;
  one("#midi span").textContent = told.connected ? told.input : `${told.input}, not connected`;
  const target = one("#midi select").value;
  const movers = Object.entries(told.mapping).filter(([, moved]) => moved === target).map(([mover]) => mover);
  one("#midi button").setAttribute("aria-pressed", String(Boolean(told.learning)));
  one("#midi p").textContent = told.learning ? `move what shall move ${told.learning}…`
    : `moved by ${movers.join(", ") || "nothing"}`;
  if (told.learning) setTimeout(askMidi, 300);
}

const askMidi = () => call("/api/midi", "GET").then((told) => told.error || showMidi(told));
const teach = (change) => call("/api/midi", "POST", JSON.stringify(change)).then((told) => told.error || showMidi(told));

one("#midi select").replaceChildren(...TAUGHT.map((target) => new Option(target.replace("_", " "), target)));
one("#midi select").onchange = askMidi;
one("#midi button").onclick = () => teach(one("#midi button").getAttribute("aria-pressed") === "true"
  ? { cancel: true } : { learn: one("#midi select").value });
document.addEventListener("keydown", (event) => {
  const typing = document.activeElement.matches("select, input[type=text]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[1-9]$/.test(event.key)) recall(event.key);
  if (event.key === "t" && !event.repeat) tap();
});
for (const input of all(".slider input")) input.oninput = () => set({ [input.name]: Number(input.value) });
one("select[name=background]").onchange = (event) => set({ background: event.target.value });
for (const name of ["drive", "drive_of", "drive_to"]) {
  one(`select[name=${name}]`).onchange = (event) => drive(name, event.target.value);
}
one("#tap").onpointerdown = (event) => { if (!event.button) tap(); };
one("#tap").onkeydown = (event) => { if (["Enter", " "].includes(event.key) && !event.repeat) tap(); };
one("#saving").onclick = () => one("#saving").setAttribute("aria-pressed", String(!saving()));
for (const button of all(".switches button")) button.onclick = () => set({ [button.name]: !state[button.name] });
one("#file").onchange = (event) => addPictures([...event.target.files]);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    one("#drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length || !event.target.matches("input[type=text]")) take(event.clipboardData);
});

function take(given) {
  const files = [...given.files];
  if (files.length) addPictures(files);
  else note("only pictures can be taken, and no addresses: save the picture as a file, or copy the picture itself");
}

pad();
one("#presets").replaceChildren(...presetBoxes);
showPresets();
connect();
