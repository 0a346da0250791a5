/**
 * An application whose answer never ends: a tick at once and then one every second, until the client
 * leaves. As server-sent events (WHATWG HTML, "Server-sent events"); with `?plain` as lines of text;
 * with `?frame` as a page that shows the latest tick without any script.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Application, AppResult } from "../protocol/wsgi.ts";
import { STYLE } from "./style.ts";

interface Format {
  readonly type: string;
  /** What comes before the first tick. */
  readonly opening: string;
  tick(count: number, time: string): string;
}

const EVENTS: Format = {
  type: "text/event-stream",
  opening: "retry: 1000\n\n",
  tick: (count, time) => `data: ${JSON.stringify({ count, time })}\n\n`,
};
const PLAIN: Format = {
  type: "text/plain; charset=utf-8",
  opening: "",
  tick: (count, time) => `${count} ${time}\n`,
};
/**
 * Only the last line shows: each tick takes the place of the one before. (`:last-child` would match
 * nothing while the page is still arriving.)
 */
const FRAME: Format = {
  type: "text/html; charset=utf-8",
  opening: `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ticks</title>
<style>${STYLE}
body { padding: 1.25rem 1.5rem; background: var(--card); }
p { margin: 0; }
.ticker:has(+ .ticker) { display: none; }
</style>
`,
  tick: (count, time) =>
    `<p class="ticker"><span class="count">${count}</span> ` +
    `<span>ticks; the server’s clock says <code>${time.slice(11, 19)}</code> UTC</span></p>\n`,
};
const FORMATS: ReadonlyMap<string, Format> = new Map([["plain", PLAIN], ["frame", FRAME]]);

const PERIOD_MS = 1000;
const UTF8 = new TextEncoder();

const application: Application = (environ, startResponse) => {
  const format = FORMATS.get(environ.QUERY_STRING) ?? EVENTS;
  startResponse("200 OK", [
    ["Content-Type", format.type],
    ["Cache-Control", "no-store"],
    ["X-Content-Type-Options", "nosniff"],
    ["Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"],
  ]);
  const left = new AbortController();
  const close = () => left.abort();
  return Object.assign(ticks(format, left.signal), { close }) satisfies AppResult;
};

export default application;

async function* ticks(format: Format, left: AbortSignal) {
  const start = performance.now();
  for (let count = 1;; count++) {
    const opening = count === 1 ? format.opening : "";
    yield UTF8.encode(opening + format.tick(count, new Date().toISOString()));
    try {
      await sleep(start + count * PERIOD_MS - performance.now(), undefined, { signal: left });
    } catch {
      return;
    }
  }
}
