// The page for OBS, by MJPEG or, where it has a video, by WebRTC.
import { watch as watchMjpeg } from "/mjpeg.js";
import { watch as watchWebrtc } from "/webrtc.js";

const video = document.querySelector("video");
const canvas = document.querySelector("canvas");
let shown = false;

// An audience may be watching: once there has been a painting, what is lost is not told over the last one.
function tell(words) {
  shown ||= !words || Boolean(video && video.videoWidth);
  document.querySelector(".lost").textContent = shown ? "" : words;
}

if (video) watchWebrtc(video, "painting", tell);
else watchMjpeg(canvas, "/painting.mjpg", tell);
