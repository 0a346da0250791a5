/**
 * The shipped table in a real browser: what a newcomer sees after the first command. Set
 * PORTICO_SCREENSHOTS to a folder to keep pictures of the page.
 */
import assert from "node:assert/strict";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { testWith, which } from "../support/needs.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const DESK = { width: 1100, height: 800 };
const PHONE = { width: 375, height: 720 };
const PICTURES = Deno.env.get("PORTICO_SCREENSHOTS");
const BROWSER_ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

testWith(["chromium"], "the welcome page shows and exercises the shipped table", async (t) => {
  await using gateway = await startGateway();
  const browser = await chromium.launch({
    executablePath: which("chromium") ?? "",
    args: BROWSER_ARGUMENTS,
  });
  const look = (options: BrowserContextOptions, body: (page: Page) => Promise<void>) => () =>
    visit(browser, gateway.url, options, body);
  try {
    await t.step("lists every kind", look({}, listsEveryKind));
    await t.step("leads to an answer of every route", look({}, leadsToAnswers));
    await t.step("ticks", look({}, ticksWithScript));
    await t.step("tells the environ of its own request", look({}, tellsEnviron));
    await t.step("is complete without JavaScript", look({ javaScriptEnabled: false }, worksPlain));
    await t.step("can be used by keyboard and by landmarks", look({}, isAccessible));
    for (const colorScheme of ["light", "dark"] as const) {
      const seen = (page: Page) => isReadable(page, colorScheme);
      await t.step(`is readable at a desk, ${colorScheme}`, look({ colorScheme }, seen));
      const held = { colorScheme, viewport: PHONE };
      await t.step(`is readable on a phone, ${colorScheme}`, look(held, seen));
    }
  } finally {
    await browser.close();
  }
});

/** Serves the shipped table on a free port, as its user would. */
async function startGateway(): Promise<AsyncDisposable & { readonly url: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--config",
      "deno.json",
      "main.ts",
      "serve",
      "--listen",
      "127.0.0.1:0",
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  const output = child.stdout.pipeThrough(new TextDecoderStream());
  for await (const piece of output.values({ preventCancel: true })) {
    said += piece;
    if (said.includes("\n")) break;
  }
  const url = /listening on (http:\S+)/.exec(said)?.[1];
  assert(url !== undefined, said);
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await output.cancel();
      assert.equal((await child.status).code, 0);
    },
  };
}

/** Opens the page in a fresh context; nothing may fail, warn, or be asked of another host. */
async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions,
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({ viewport: DESK, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    // Browsers ask for it on behalf of plain text, which cannot name its icon.
    if (!message.location().url.endsWith("/favicon.ico")) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!/^data:/.test(request.url()) && !request.url().startsWith(url)) {
      complaints.push(`asked for ${request.url()}`);
    }
  });
  try {
    // The stream never ends, and without script it is part of the page: there is no "load" to wait for.
    await page.goto(url, { waitUntil: "commit" });
    await page.getByRole("contentinfo").waitFor();
    await body(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

async function listsEveryKind(page: Page): Promise<void> {
  const kinds = await page.locator("[data-kind] .kind").allTextContents();
  assert.deepEqual(kinds, ["wsgi", "wsgi", "cgi", "fastcgi", "respond", "redirect"]);
  const paths = await page.getByRole("rowheader").allTextContents();
  assert.deepEqual(paths, ["/", "/ticks", "/shell/*", "/fastcgi/*", "/ping", "/old/*"]);
}

async function leadsToAnswers(page: Page): Promise<void> {
  const home = page.url();
  for (
    const [link, words] of [
      ["this page", "An edge gateway"],
      ["/ticks?plain", "1 20"],
      ["/shell/hello", "Hello from a shell script"],
      ["/fastcgi/hello", "request number"],
      ["/ping", "pong"],
      ["/old/hello", "Hello from a shell script"],
    ] as const
  ) {
    await page.goto(home, { waitUntil: "commit" });
    const answered = page.waitForResponse((response) => response.status() !== 307);
    await page.getByRole("link", { name: link, exact: true }).click({ noWaitAfter: true });
    assert.equal((await answered).status(), 200, link);
    await page.getByText(words).first().waitFor();
  }
}

async function ticksWithScript(page: Page): Promise<void> {
  const timer = page.getByRole("timer");
  const counts: number[] = [];
  while (counts.length < 3) {
    const count = Number((await timer.innerText()).match(/^\d+/)?.[0]);
    if (count > 0 && count !== counts.at(-1)) counts.push(count);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(counts, [1, 2, 3].map((step) => (counts[0] ?? 0) + step - 1));
  assert.match(await timer.innerText(), /clock says \d\d:\d\d:\d\d UTC/);
}

async function tellsEnviron(page: Page): Promise<void> {
  const attack = `"><script>document.title = "broken"</script>`;
  await page.setExtraHTTPHeaders({ "x-attack": attack });
  await page.goto(`${page.url()}?query=${encodeURIComponent("<b>")}`, { waitUntil: "commit" });
  for (
    const [name, value] of [
      ["QUERY_STRING", "query=%3Cb%3E"],
      ["REQUEST_METHOD", "GET"],
      ["HTTP_X_ATTACK", attack],
      ["wsgi.url_scheme", "http"],
    ] as const
  ) {
    const row = page.locator("dl > div").filter({ has: page.getByText(name, { exact: true }) });
    assert.equal(await row.locator("dd").innerText(), value);
  }
  assert.equal(await page.title(), "Portico is running");
}

async function worksPlain(page: Page): Promise<void> {
  await listsEveryKind(page);
  assert.equal(await page.getByRole("timer").count(), 0);
  const frame = page.frameLocator("iframe");
  for (const count of [2, 3]) await frame.getByText(`${count} ticks`).waitFor();
  assert.match(await frame.locator("body").innerText(), /^\d+\s+ticks; .* UTC$/);
  await page.goto(new URL("/ticks?plain", page.url()).href, { waitUntil: "commit" });
  await page.getByText(/^1 \S+Z\n2 \S+Z\n3 \S+Z/).waitFor();
}

async function isAccessible(page: Page): Promise<void> {
  for (const landmark of ["banner", "main", "contentinfo"] as const) {
    assert.equal(await page.getByRole(landmark).count(), 1, landmark);
  }
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
  for (const name of ["The routes", "A stream", "The environ of this request", "What next"]) {
    assert.equal(await page.getByRole("region", { name }).count(), 1, name);
  }
  assert.equal(await page.getByRole("row").count(), 7);
  await page.keyboard.press("Tab");
  const focus = "getComputedStyle(document.activeElement)";
  assert.equal(await page.evaluate(`document.activeElement.localName`), "a");
  assert.equal(await page.evaluate(`${focus}.outlineStyle`), "solid");
}

async function isReadable(page: Page, scheme: "light" | "dark"): Promise<void> {
  const width = page.viewportSize()?.width ?? 0;
  await page.getByText("server’s clock says").first().waitFor();
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
  assert.deepEqual(await page.evaluate(`(${BEYOND_EDGE})(${width})`), []);
  assert.deepEqual(await page.evaluate(`(${FAINT_TEXTS})()`), []);
  const paper = await page.evaluate("getComputedStyle(document.body).backgroundColor");
  assert.equal(paper, scheme === "light" ? "rgb(251, 250, 247)" : "rgb(23, 21, 19)");
  if (PICTURES === undefined) return;
  await page.screenshot({ path: `${PICTURES}/${scheme}_${width}.png`, fullPage: true });
}

/** Runs in the page: which elements reach past the right edge, though the page does not scroll. */
const BEYOND_EDGE = `(width) => [...document.body.querySelectorAll("*")]
  .filter((element) => element.getBoundingClientRect().right > width + 1)
  .map((element) => element.outerHTML.slice(0, 80))`;

/** Runs in the page: which texts have less contrast than WCAG 2.2 asks for (1.4.3: 4.5 to 1). */
const FAINT_TEXTS = `() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => channels(color).slice(0, 3)
    .map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const backdrop = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? backdrop(element.parentElement) : color;
  };
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return [...document.body.querySelectorAll("*")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((element) => {
      const color = luminance(getComputedStyle(element).color);
      return contrast(color, luminance(backdrop(element))) < 4.5;
    })
    .map((element) => element.outerHTML.slice(0, 80));
}`;
