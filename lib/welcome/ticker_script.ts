/**
 * The page's one script, an enhancement: it counts the stream's events in place. A hidden page gives
 * its connection back, since a browser has only six for one host.
 */
export const TICKER_SCRIPT = `
const ticker = document.querySelector("[data-stream]");
const count = ticker.querySelector("[data-count]");
const time = ticker.querySelector("[data-time]");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let source;
function listen() {
  source?.close();
  if (document.hidden) return;
  source = new EventSource(ticker.dataset.stream);
  source.onmessage = ({ data }) => {
    const tick = JSON.parse(data);
    count.textContent = tick.count;
    time.textContent = tick.time.slice(11, 19);
    if (!still.matches) count.animate([{ opacity: 0.35 }, { opacity: 1 }], 400);
  };
}
ticker.hidden = false;
document.addEventListener("visibilitychange", listen);
listen();
`;
