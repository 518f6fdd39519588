// Hears of every change of the catalogue as it happens; the page asks anew when something did.

const TOGETHER_MS = 400; // changes that come together are one

export function listen(since, onNews) {
  let waiting = null;
  const news = () => {
    clearTimeout(waiting);
    waiting = setTimeout(onNews, TOGETHER_MS);
  };
  const source = new EventSource(`api/events/stream?since=${encodeURIComponent(since)}`);
  source.addEventListener("event", news);
  source.addEventListener("reset", news);
  // A browser keeps only a few connections to one server: a hidden page gives its own back.
  addEventListener("pagehide", () => source.close());
  return source;
}
