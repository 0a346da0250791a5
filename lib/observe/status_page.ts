/**
 * The status page: one document that holds nothing but its style and its script, which asks for the
 * numbers. The Content-Security-Policy allows these two by their hashes, and nothing from elsewhere.
 */
import SCRIPT from "./status_page.js" with { type: "text" };
import STYLE from "./status_page.css" with { type: "text" };

export const STATUS_PAGE_POLICY = [
  "default-src 'none'",
  `style-src ${await sourceHash(STYLE)}`,
  `script-src ${await sourceHash(SCRIPT)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const NUMBERS: Readonly<Record<string, string>> = {
  rate: "Requests a second",
  p50: "p50, last minute",
  p95: "p95",
  p99: "p99",
  active: "Under way",
  requests: "Requests",
  failed: "Failed",
  memory: "Memory",
};

const CHARTS: Readonly<Record<string, string>> = {
  "chart-requests": "Requests a minute",
  "chart-failures": "Failures a minute",
  "chart-latency": "p95 and p50, by the minute",
};

function section(id: string, title: string): string {
  return `<section id="${id}" hidden><h2>${title}</h2><div class="card table"></div></section>`;
}

const numbers = Object.entries(NUMBERS)
  .map(([id, title]) => `<div class="card"><dt>${title}</dt><dd id="${id}"></dd></div>`).join("");

const charts = Object.entries(CHARTS).map(([id, title]) =>
  `<figure class="card" id="${id}"><figcaption><span>${title}</span>` +
  `<span class="most"></span></figcaption><svg role="img"></svg></figure>`
).join("");

export const STATUS_PAGE = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Portico: status</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Portico</h1>
<span id="state" class="state" role="status">looking</span>
<span id="since" class="soft"></span>
</header>
<form id="login" class="card" hidden>
<label for="token">This gateway asks for its admin token.</label>
<input id="token" type="password" autocomplete="off" required>
<button>Look</button>
</form>
<main id="content" hidden>
<dl class="numbers">${numbers}</dl>
<section><h2>The last hour</h2><div class="charts">${charts}</div></section>
${section("routes", "Routes")}
<div class="pair">${section("pools", "Pools")}${section("causes", "Errors by cause")}</div>
${section("processes", "Processes")}
${section("workers", "Workers")}
${section("caches", "Caches")}
${section("failures", "The last failures")}
${section("slowest", "The slowest of the last ten minutes")}
</main>
<script type="module">${SCRIPT}</script>
</body>
</html>
`;

async function sourceHash(source: string): Promise<string> {
  const bytes = new TextEncoder().encode(source);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `'sha256-${digest.toBase64()}'`;
}
