// Asks for /status.json each second and shows what it says. Whatever comes from there is set as text,
// never as markup.
const KEY = "portico-token";
const EVERY_MS = 1000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const many = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (value) => value < 10_000 ? number.format(value) : many.format(value);

function time(ms) {
  if (ms === undefined) return "–";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

function span(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at++;
  }
  return `${number.format(value)} ${units[at]}`;
}

const clock = (at) => new Date(at).toLocaleTimeString();
const minute = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** Columns: heading, text of a row, classes. The first one names the row. */
const TABLES = {
  routes: [
    ["Route", (row) => row.name, "code"],
    ["Kind", (row) => row.kind],
    ["Target", (row) => row.target, "code wide"],
    ["Requests", (row) => count(row.requests), "number"],
    ["Failed", (row) => count(row.failed), "number", (row) => row.failed > 0],
    ["Active", (row) => count(row.active), "number"],
    ["p50", (row) => time(row.p50), "number"],
    ["p95", (row) => time(row.p95), "number"],
    ["p99", (row) => time(row.p99), "number"],
    ["Sent", (row) => bytes(row.bytes), "number"],
  ],
  pools: [
    ["Route", (row) => row.route, "code"],
    ["Busy", (row) => count(row.busy), "number"],
    ["Idle", (row) => count(row.idle), "number"],
    ["Waiting", (row) => count(row.waiting), "number", (row) => row.waiting > 0],
    ["Most", (row) => count(row.max), "number"],
  ],
  caches: [
    ["Route", (row) => row.route, "code"],
    ["Copies", (row) => count(row.entries), "number"],
    ["Size", (row) => `${bytes(row.bytes)} of ${bytes(row.maxBytes)}`, "number"],
    [
      "On disk",
      ({ store }) => store ? `${bytes(store.bytes)} of ${bytes(store.maxBytes)}` : "–",
      "number",
    ],
    [
      "Hits",
      (row) => row.lookUps === 0 ? "–" : `${number.format(100 * row.hits / row.lookUps)} %`,
      "number",
    ],
  ],
  processes: [
    ["Route", (row) => row.route, "code"],
    ["Program", (row) => row.name, "code"],
    ["pid", (row) => row.pid === undefined ? "–" : String(row.pid), "number"],
    ["State", (row) => row.state, "", (row) => row.state === "starting"],
    ["Up", (row) => span(row.uptimeMs), "number"],
    ["Busy", (row) => count(row.busy), "number"],
    ["Served", (row) => count(row.served), "number"],
    ["Restarts", (row) => count(row.restarts), "number", (row) => row.restarts > 0],
    ["The last one", (row) => row.lastExit ?? "–", "wide"],
  ],
  workers: [
    ["Worker", (row) => String(row.number)],
    ["pid", (row) => row.pid === undefined ? "–" : String(row.pid), "number"],
    ["State", (row) => row.state, "", (row) => row.state !== "ready"],
    ["Up", (row) => span(row.uptimeMs), "number"],
    ["Memory", (row) => bytes(row.memoryBytes), "number"],
    ["Restarts", (row) => count(row.restarts), "number", (row) => row.restarts > 0],
    ["The last one", (row) => row.lastExit ?? "–", "wide"],
  ],
  causes: [
    ["Cause", (row) => row.cause, "code"],
    ["Requests", (row) => count(row.count), "number"],
  ],
  failures: [
    ["Request", (row) => `${row.method} ${row.path}`, "code"],
    ["Time", (row) => clock(row.at)],
    ["Status", (row) => String(row.status), "number", () => true],
    ["Cause", (row) => row.failure ?? "–", "code"],
    ["Took", (row) => time(row.durationMs), "number"],
    ["Id", (row) => row.id, "code"],
  ],
  slowest: [
    ["Request", (row) => `${row.method} ${row.path}`, "code"],
    ["Time", (row) => clock(row.at)],
    ["Status", (row) => String(row.status), "number", (row) => row.status >= 500],
    ["Took", (row) => time(row.durationMs), "number"],
    ["First byte", (row) => time(row.firstByteMs), "number"],
    ["Queue", (row) => time(row.queueMs), "number"],
    ["Connect", (row) => time(row.connectMs), "number"],
    ["Id", (row) => row.id, "code"],
  ],
};

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Makes the empty tables once. */
function prepare() {
  for (const [id, columns] of Object.entries(TABLES)) {
    const head = element("tr");
    for (const [title, , className] of columns) {
      const cell = element("th", className?.replace("wide", ""), title);
      cell.scope = "col";
      head.append(cell);
    }
    const table = element("table");
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    byId(id).querySelector(".table").replaceChildren(table);
  }
}

function fill(id, rows) {
  byId(id).hidden = rows.length === 0;
  byId(id).querySelector("tbody").replaceChildren(...rows.map((row) => {
    const line = element("tr");
    TABLES[id].forEach(([title, text, className = "", isBad], index) => {
      const bad = isBad?.(row) ? " bad" : "";
      const cell = element(index === 0 ? "th" : "td", className + bad, text(row));
      if (index === 0) cell.scope = "row";
      else cell.dataset.label = title;
      line.append(cell);
    });
    return line;
  }));
}

/** Bars over the last hour, in layers: the later ones stand in front. */
function chart(id, minutes, { layers, show }) {
  const most = Math.max(0, ...minutes.map((one) => Math.max(...layers.map(([, of]) => of(one)))));
  const svg = byId(id).querySelector("svg");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-label", `at most ${show(most)} a minute in the last hour`);
  svg.replaceChildren(
    ...minutes.flatMap((one, index) =>
      layers.filter(([, of]) => of(one) > 0).map(([className, of]) => {
        const height = Math.max(1.5, 100 * of(one) / most);
        const bar = document.createElementNS(SVG, "rect");
        const place = { x: 10 * index + 1, width: 8, y: 100 - height, height };
        for (const [name, value] of Object.entries(place)) bar.setAttribute(name, String(value));
        bar.setAttribute("class", `bar ${className}`);
        const title = document.createElementNS(SVG, "title");
        title.textContent = `${minute(one.at)}: ${show(of(one))}`;
        bar.append(title);
        return bar;
      })
    ),
  );
  byId(id).querySelector(".most").textContent = `at most ${show(most)}`;
}

function show(status) {
  const values = {
    rate: number.format(status.perSecond),
    p50: time(status.latency.p50),
    p95: time(status.latency.p95),
    p99: time(status.latency.p99),
    active: count(status.active),
    requests: count(status.requests),
    failed: count(status.failed),
    memory: bytes(status.memoryBytes),
  };
  for (const [id, text] of Object.entries(values)) byId(id).textContent = text;
  tell(status.ready ? "serving" : "about to stop", status.ready);
  byId("since").textContent = `counting for ${span(status.now - status.startedAt)}`;
  chart("chart-requests", status.minutes, {
    layers: [["", (one) => one.requests], ["bad", (one) => one.failed]],
    show: count,
  });
  chart("chart-failures", status.minutes, {
    layers: [["bad", (one) => one.failed]],
    show: count,
  });
  chart("chart-latency", status.minutes, {
    layers: [["", (one) => one.p95 ?? 0], ["strong", (one) => one.p50 ?? 0]],
    show: time,
  });
  for (const id of Object.keys(TABLES)) fill(id, (status[id] ?? []).slice(0, 50));
  byId("content").hidden = false;
  byId("login").hidden = true;
}

function tell(text, isGood) {
  byId("state").textContent = text;
  byId("state").dataset.state = isGood ? "good" : "bad";
}

async function look() {
  const token = sessionStorage.getItem(KEY);
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  try {
    const response = await fetch("status.json", { headers });
    if (response.status === 401) {
      byId("login").hidden = false;
      byId("content").hidden = true;
      tell(token === null ? "the token is needed" : "this is not the token", false);
      return false;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
  } catch (error) {
    tell(`no answer (${error.message})`, false);
  }
  return true;
}

async function follow() {
  const goesOn = document.hidden || await look();
  if (goesOn) setTimeout(follow, EVERY_MS);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, byId("token").value.trim());
  follow();
});
prepare();
follow();
