// Shows a picture by MJPEG, and asks for it again when the stream ends or falls silent; the last one stays meanwhile.
//
// Read here and not by an <img>: nobody learns that the stream of one has ended, a browser shows a part of it only when
// the next one comes, and a stream that breaks blanks it.

import { whileShown } from "/shown.js";

const WAIT_MS = 1000;
const SILENT_MS = 5000; // the server repeats the last picture several times a second
const HEAD_END = [13, 10, 13, 10];

// canvas: where; path: of the stream; tell: takes a line of what is wrong, "" when all is well again.
// Returns a function that ends it.
export function watch(canvas, path, tell) {
  const context = canvas.getContext("bitmaprenderer");
  let ending = null; // of this watching
  let reading = null; // of the stream that is read now

  async function show(jpeg) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    context.transferFromImageBitmap(bitmap);
  }

  // Until the stream ends, which it does by throwing.
  async function read() {
    const own = reading = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => own.abort(), SILENT_MS);
    };
    try {
      heard();
      const answer = await fetch(path, { signal: own.signal });
      if (!answer.ok) throw new Error((await answer.json()).error);
      const reader = answer.body.getReader();
      let rest = new Uint8Array(0);
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the picture stopped");
        heard();
        const [jpeg, left] = newest(joined(rest, value));
        rest = left;
        if (jpeg) {
          await show(jpeg);
          tell("");
        }
      }
    } finally {
      clearTimeout(timer);
      own.abort();
    }
  }

  async function keepReading(own) {
    while (own === ending) {
      try {
        await read();
      } catch (error) {
        if (own !== ending) return;
        // What a browser calls a lost connection says nothing to a user.
        const words = error instanceof TypeError || error.name === "AbortError" ? "Brushcast does not answer" : error.message;
        tell(`${words}; trying again…`);
      }
      await new Promise((done) => setTimeout(done, WAIT_MS));
    }
  }

  function start() {
    ending = {};
    keepReading(ending);
  }

  function stop() {
    ending = null;
    if (reading) reading.abort();
  }

  return whileShown(start, stop);
}

function joined(one, other) {
  if (!one.length) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

// The last whole part of what has come, and the bytes behind it: who is slow leaves some out rather than to fall behind.
function newest(bytes) {
  let jpeg = null;
  for (;;) {
    const end = bytes.findIndex((_, at) => HEAD_END.every((byte, k) => bytes[at + k] === byte));
    if (end < 0) return [jpeg, bytes];
    const begin = end + HEAD_END.length;
    const length = Number(/content-length: *(\d+)/i.exec(new TextDecoder().decode(bytes.subarray(0, end)))[1]);
    if (bytes.length < begin + length) return [jpeg, bytes];
    jpeg = bytes.subarray(begin, begin + length);
    bytes = bytes.subarray(begin + length);
  }
}
