// What is to go on while a page is shown: `start` now, and when the browser brings the page back as it was; `stop` when
// it goes away. Returns a function that ends it.
export function whileShown(start, stop) {
  const comeBack = (event) => { if (event.persisted) start(); };
  addEventListener("pagehide", stop);
  addEventListener("pageshow", comeBack);
  start();
  return () => {
    removeEventListener("pagehide", stop);
    removeEventListener("pageshow", comeBack);
    stop();
  };
}
