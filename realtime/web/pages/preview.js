// The desk's preview: by MJPEG or by WebRTC, as the user chose; this browser keeps the choice.
import { watch } from "/webrtc.js";

const KEPT = "brushcast preview";
const image = document.querySelector("#preview");
const video = document.querySelector("#preview-video");
const note = document.querySelector("#preview-note");
const how = document.querySelector("#preview-how");
let stop = null;

function show() {
  const webrtc = how.value === "webrtc";
  if (stop) stop();
  stop = null;
  note.textContent = "";
  image.hidden = webrtc;
  video.hidden = !webrtc;
  if (webrtc) {
    image.removeAttribute("src"); // else it would go on loading
    stop = watch(video, "preview", (words) => { note.textContent = words; });
  } else if (!image.hasAttribute("src")) {
    image.src = "/preview.mjpg";
  }
}

how.value = localStorage.getItem(KEPT) === "webrtc" ? "webrtc" : "mjpeg";
how.onchange = () => {
  localStorage.setItem(KEPT, how.value);
  show();
};
show();
