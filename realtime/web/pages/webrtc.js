// Shows a picture by WebRTC, and connects again when the connection is lost. Nothing else is shown in its place.

import { whileShown } from "/shown.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;
const CONNECTS_WITHIN_MS = 10000;

// video: where; of: "painting" or "preview"; tell: takes a line of what is wrong, "" when all is well again.
// Returns a function that ends it.
export function watch(video, of, tell) {
  let connection = null; // that is being made, or is in use
  let shown = null; // whose pictures the video shows; a browser blackens them with its end, so a lost one is kept
  let timer = 0;
  let wait = FIRST_WAIT_MS;

  function close() {
    clearTimeout(timer);
    for (const one of [connection, shown]) if (one) one.close();
    connection = shown = null;
  }

  async function connect() {
    const own = new RTCPeerConnection({ iceServers: [] }); // the network at hand; nobody outside is asked
    const lost = (words) => {
      if (own !== connection) return; // it was given up before
      connection = null;
      if (own !== shown) own.close();
      tell(`WebRTC: ${words}; trying again…`);
      clearTimeout(timer);
      timer = setTimeout(connect, wait);
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    };
    connection = own;
    timer = setTimeout(() => lost("no connection; a firewall may be in the way, MJPEG needs none"), CONNECTS_WITHIN_MS);
    const { receiver } = own.addTransceiver("video", { direction: "recvonly" });
    // In a network at hand a packet is hardly ever late: to wait for it would only be delay.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    own.onconnectionstatechange = () => {
      if (own !== connection) return;
      if (own.connectionState === "connected") {
        clearTimeout(timer);
        wait = FIRST_WAIT_MS;
        video.srcObject = new MediaStream([receiver.track]);
        if (shown && shown !== own) shown.close();
        shown = own;
        tell("");
      } else if (["disconnected", "failed", "closed"].includes(own.connectionState)) {
        lost("the connection was lost");
      }
    };
    try {
      await own.setLocalDescription();
      // Our own addresses are not waited for: the server answers wherever it is called from.
      const answer = await fetch(`/api/webrtc?of=${of}`, { method: "POST", body: JSON.stringify(own.localDescription) });
      const told = await answer.json();
      if (told.error) {
        lost(told.error);
        return;
      }
      await own.setRemoteDescription(told);
      // A farewell is seen here at once, by the connection's own state only after five seconds.
      receiver.transport.onstatechange = () => {
        if (["closed", "failed"].includes(receiver.transport.state)) lost("the connection was lost");
      };
    } catch {
      lost("Brushcast does not answer");
    }
  }

  // A page that goes away says so, which frees its place at once.
  const end = whileShown(connect, close);
  return () => {
    end();
    video.srcObject = null;
  };
}
