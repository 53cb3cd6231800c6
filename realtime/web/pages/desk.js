// The control desk. Everything goes through the documented calls under /api; nothing is kept here.
"use strict";

const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
let state = {};
let socket = null;
let noteTimer = 0;

function note(text) {
  one("#note").textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { one("#note").textContent = ""; }, 4000);
}

// Changes are gathered until the next picture of the page, so that a drag does not flood the socket.
let waiting = null;
function set(change) {
  if (waiting === null) {
    waiting = {};
    requestAnimationFrame(() => {
      if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(waiting));
      waiting = null;
    });
  }
  if ("style" in change) delete waiting.mix;
  if ("mix" in change) delete waiting.style;
  Object.assign(waiting, change);
}

function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/ws");
  socket.onmessage = (event) => {
    const told = JSON.parse(event.data);
    if (told.error) note(told.error);
    else { state = told; show(); }
  };
  socket.onclose = () => {
    one("#figures").textContent = "not connected; trying again…";
    setTimeout(connect, 1000);
  };
}

function show() {
  one("#figures").textContent = `${state.rate.toFixed(1)} frames/s · ${state.latency_ms} ms · ` +
    `${state.frames} frames, ${state.dropped} dropped · ${state.painter}`;
  for (const input of all(".sliders input")) {
    if (document.activeElement !== input || !input.matches(":active")) input.value = state[input.name];
    input.parentElement.querySelector("output").textContent = Number(state[input.name]).toFixed(2);
  }
  for (const select of all("select[name]")) {
    if (document.activeElement !== select) select.value = state[select.name];
  }
  one("#tap span").textContent = `${Math.round(state.bpm)}`;
  for (const button of all(".switches button")) button.setAttribute("aria-pressed", String(state[button.name]));
  for (const button of all("#styles button")) {
    const pressed = button.value === state.style || button.value in state.mix;
    button.setAttribute("aria-pressed", String(pressed));
  }
  one("#pad").classList.toggle("on", Object.keys(state.mix).length > 0);
}

async function loadStyles() {
  const styles = await (await fetch("/api/styles")).json();
  const grid = one("#styles");
  grid.replaceChildren(...styles.map((style) => {
    const button = document.createElement("button");
    button.type = "button";
    button.value = style.name;
    button.title = [style.title, style.painter, style.year].filter(Boolean).join(", ");
    const picture = document.createElement("img");
    picture.src = `/api/styles/${encodeURIComponent(style.name)}/picture.jpg`;
    picture.alt = "";
    picture.loading = "lazy";
    const words = document.createElement("span");
    words.textContent = style.title || style.name;
    button.append(picture, words);
    button.onclick = () => set({ style: style.name });
    return button;
  }));
  all(".corners select").forEach((select, corner) => {
    const chosen = select.value || (styles[corner] || styles[0] || {}).name;
    select.replaceChildren(...styles.map((style) => new Option(style.title || style.name, style.name)));
    select.value = chosen;
  });
  for (const [name, none] of [["background", "like the rest"], ["drive_to", "choose…"]]) {
    one(`select[name=${name}]`).replaceChildren(new Option(none, ""),
      ...styles.map((style) => new Option(style.title || style.name, style.name)));
  }
  if (state.mix) show();
}

async function addPicture(file) {
  if (!file) return;
  note(`looking at ${file.name || "the picture"}…`);
  const answer = await fetch(`/api/styles?name=${encodeURIComponent((file.name || "picture").replace(/\.[^.]*$/, ""))}`,
    { method: "POST", body: file });
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  if (told.error) { note(told.error); return; }
  await loadStyles();
  note(`painting in the style of ${told.style}`);
}

// The mixing pad: the weight of each corner is the area on the other side of the finger.
const spot = { x: 0.5, y: 0.5 };
function mixAt(x, y) {
  spot.x = Math.min(1, Math.max(0, x));
  spot.y = Math.min(1, Math.max(0, y));
  const dot = one("#pad span");
  dot.style.left = `${100 * spot.x}%`;
  dot.style.top = `${100 * spot.y}%`;
  const shares = [(1 - spot.x) * (1 - spot.y), spot.x * (1 - spot.y), (1 - spot.x) * spot.y, spot.x * spot.y];
  const mix = {};
  all(".corners select").forEach((select, corner) => {
    mix[select.value] = (mix[select.value] || 0) + shares[corner];
  });
  const words = Object.entries(mix).map(([name, share]) => `${name} ${Math.round(100 * share)} %`).join(", ");
  one("#pad").setAttribute("aria-valuetext", words);
  one("#pad").setAttribute("aria-valuenow", String(Math.round(100 * spot.x)));
  set({ mix });
}

function pad() {
  const box = one("#pad");
  const at = (event) => {
    const place = box.getBoundingClientRect();
    mixAt((event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height);
  };
  box.onpointerdown = (event) => { box.setPointerCapture(event.pointerId); at(event); };
  box.onpointermove = (event) => { if (box.hasPointerCapture(event.pointerId)) at(event); };
  box.onkeydown = (event) => {
    const step = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] }[event.key];
    if (step) { event.preventDefault(); mixAt(spot.x + step[0], spot.y + step[1]); }
  };
  for (const select of all(".corners select")) select.onchange = () => mixAt(spot.x, spot.y);
}

async function call(path, method = "POST") {
  const answer = await fetch(path, { method });
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  if (told.error) note(told.error);
  return told;
}

// Presets are kept by the program: every desk, OSC, MIDI and OBS see the same ones.
function showPresets(kept) {
  if (kept.error) return;
  one("#presets").replaceChildren(...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((key) => {
    const button = document.createElement("button");
    button.type = "button";
    button.value = key;
    button.textContent = kept[key] ? `${key} ${kept[key]}` : String(key);
    button.className = kept[key] ? "" : "empty";
    button.title = kept[key] ? "recall; Delete frees it" : "save what is in force";
    button.onclick = () => (kept[key] && !saving() ? recall(key) : save(key));
    button.onkeydown = async (event) => {
      if (event.key === "Delete" && kept[key]) showPresets(await call(`/api/presets/${key}`, "DELETE"));
    };
    return button;
  }));
}

const saving = () => one("#saving").getAttribute("aria-pressed") === "true";

async function save(key) {
  const name = one("#preset-name").value.trim() || state.style;
  showPresets(await call(`/api/presets/${key}?name=${encodeURIComponent(name)}`));
  one("#saving").setAttribute("aria-pressed", "false");
  one("#preset-name").value = "";
}

const recall = (key) => call(`/api/recall/${key}`);
const tap = () => call("/api/tap");

// MIDI, where an input is open: choose what is to be moved, press Learn, move a control.
const TAUGHT = [...all(".sliders input[type=range]")].map((input) => input.name)
  .concat(["mirror", "split", "tap"], [1, 2, 3, 4, 5, 6, 7, 8, 9].map((key) => `preset ${key}`));

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

async function teach(change) {
  const answer = await fetch("/api/midi", { method: "POST", body: JSON.stringify(change) });
  const told = await answer.json();
  if (told.error) note(told.error); else showMidi(told);
}

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
for (const input of all(".sliders input")) input.oninput = () => set({ [input.name]: Number(input.value) });
for (const select of all("select[name]")) select.onchange = () => set({ [select.name]: select.value });
one("#tap").onpointerdown = tap;
one("#tap").onkeydown = (event) => { if (["Enter", " "].includes(event.key) && !event.repeat) tap(); };
one("#saving").onclick = () => one("#saving").setAttribute("aria-pressed", String(!saving()));
for (const button of all(".switches button")) button.onclick = () => set({ [button.name]: !state[button.name] });
one("#file").onchange = (event) => addPicture(event.target.files[0]);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    one("#drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") addPicture(event.dataTransfer.files[0]);
  });
}
document.addEventListener("paste", (event) => addPicture([...event.clipboardData.files][0]));
pad();
call("/api/presets", "GET").then(showPresets);
askMidi();
loadStyles().then(connect);
