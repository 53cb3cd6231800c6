// The desk's preview: by MJPEG or by WebRTC, as the user chose; this browser keeps the choice.
import { watch as watchMjpeg } from "/mjpeg.js";
import { watch as watchWebrtc } from "/webrtc.js";

const KEPT = "brushcast preview";
const canvas = document.querySelector("#preview");
const video = document.querySelector("#preview-video");
const note = document.querySelector("#preview-note");
const how = document.querySelector("#preview-how");
const tell = (words) => { note.textContent = words; };
let stop = null;

function show() {
  const webrtc = how.value === "webrtc";
  if (stop) stop();
  tell("");
  canvas.hidden = webrtc;
  video.hidden = !webrtc;
  stop = webrtc ? watchWebrtc(video, "preview", tell) : watchMjpeg(canvas, "/preview.mjpg", tell);
}

how.value = localStorage.getItem(KEPT) === "webrtc" ? "webrtc" : "mjpeg";
how.onchange = () => {
  localStorage.setItem(KEPT, how.value);
  show();
};
show();
