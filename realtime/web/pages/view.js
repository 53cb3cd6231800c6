// The page for OBS by WebRTC.
import { watch } from "/webrtc.js";

const video = document.querySelector("video");
// An audience may be watching: once there has been a painting, what is lost is not told over the last one.
watch(video, "painting", (words) => {
  document.querySelector(".lost").textContent = video.videoWidth ? "" : words;
});
