/**
 * The status page in a real browser: live, complete, readable on a phone and in the dark, and deaf to
 * markup in what it shows. Set PORTICO_SCREENSHOTS to a folder to keep pictures of it.
 */
import assert from "node:assert/strict";
import { type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { BROWSER_ARGUMENTS } from "../support/browser.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { testWith, which } from "../support/needs.ts";
import { tempFolder, writeScript } from "../support/peers.ts";

const PICTURES = Deno.env.get("PORTICO_SCREENSHOTS");
const DESK = { width: 1200, height: 900 };
const PHONE = { width: 375, height: 720 };
const ATTACK = `<img src=x onerror="document.title='owned'">`;

/** A gateway with a route of several kinds, and some requests behind it, good and bad. */
async function withTraffic(body: (gateway: TestGateway) => Promise<void>): Promise<void> {
  await using temp = await tempFolder();
  await writeScript(`${temp.path}/die.sh`, "#!/bin/sh\nexit 3\n");
  await writeScript(
    `${temp.path}/page.sh`,
    "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\npage'\n",
  );
  const table = `admin: {listen: "127.0.0.1:0"}
routes:
  - {path: /, respond: hello}
  - {path: /die/*, name: '${ATTACK.replaceAll("'", "''")}', cgi: ${temp.path}/die.sh}
  - {path: /page, cgi: ${temp.path}/page.sh, cache: {defaultTtl: 60s}}`;
  await withGateway(table, async (gateway) => {
    for (const path of ["/", "/page", "/die/%3Cb%3E", "/page", "/nowhere", "/"]) {
      await (await fetch(gateway.base + path)).text();
    }
    await body(gateway);
  });
}

/** Opens the page; nothing may complain, or be asked for elsewhere. */
async function visit(
  url: string,
  options: BrowserContextOptions,
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const browser = await chromium.launch({
    executablePath: which("chromium") ?? "",
    args: BROWSER_ARGUMENTS,
  });
  try {
    const page = await (await browser.newContext({ viewport: DESK, ...options })).newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (!/status of 401/.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
      if (!/^data:/.test(request.url()) && !request.url().startsWith(url)) {
        complaints.push(`asked for ${request.url()}`);
      }
    });
    await page.goto(url);
    await body(page);
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
}

function textOf(page: Page, id: string): Promise<string> {
  return page.locator(`#${id}`).innerText();
}

testWith(["chromium"], "the status page shows what happened, and goes on doing so", async () => {
  await withTraffic(async ({ admin, base }) => {
    await visit(admin, {}, async (page) => {
      await page.getByText("serving").waitFor();
      assert.equal(await textOf(page, "requests"), "6");
      assert.equal(await textOf(page, "failed"), "1");
      assert.match(await textOf(page, "p99"), /^[\d.]+ m?s$/);
      const routes = await page.locator("#routes").getByRole("rowheader").allTextContents();
      assert.deepEqual(routes, ["/", ATTACK, "/page"]);
      assert.match(await textOf(page, "causes"), /no-route/);
      assert.match(await textOf(page, "failures"), /GET \/die\/%3Cb%3E[^]*502/);
      assert.match(await textOf(page, "pools"), /64/);
      assert.match(await textOf(page, "caches"), /\/page/);
      assert.match(await textOf(page, "slowest"), /GET \/die/);
      assert.notEqual(await page.title(), "owned");
      assert.equal(await page.locator("img").count(), 0);
      const bars = await page.locator("#chart-requests rect:not(.bad)").count();
      assert.ok(bars >= 1 && bars <= 2, `${bars} minutes have requests`);
      await (await fetch(base)).text();
      await page.locator("#requests", { hasText: "7" }).waitFor({ timeout: 5000 });
    });
  });
});

testWith(
  ["chromium"],
  "the status page is readable at a desk and on a phone, light and dark",
  async (t) => {
    await withTraffic(async ({ admin }) => {
      for (const colorScheme of ["light", "dark"] as const) {
        for (const viewport of [DESK, PHONE]) {
          const name = `status-${viewport.width}-${colorScheme}`;
          await t.step(name, () =>
            visit(admin, { colorScheme, viewport }, async (page) => {
              await page.getByText("serving").waitFor();
              await isReadable(page, colorScheme, viewport.width);
              const picture = await page.screenshot({ fullPage: true });
              if (PICTURES !== undefined) await Deno.writeFile(`${PICTURES}/${name}.png`, picture);
              await isDrawn(page, picture);
            }));
        }
      }
    });
  },
);

async function isReadable(page: Page, scheme: "light" | "dark", width: number): Promise<void> {
  const [overflow, paper, ink] = await page.evaluate<[number, string, string]>(`(() => {
    const { color, backgroundColor } = getComputedStyle(document.body);
    return [document.documentElement.scrollWidth, backgroundColor, color];
  })()`);
  assert.ok(overflow <= width, `the page is ${overflow} wide`);
  const [back, front] = [luminance(paper), luminance(ink)];
  assert.equal(back > front, scheme === "light");
  const contrast = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
  assert.ok(contrast >= 7, `a contrast of ${contrast}`);
}

/** WCAG 2.2, relative luminance. */
function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = Array.from(color.matchAll(/[\d.]+/g), Number)
    .map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The picture has the paper, the ink and the bars of the charts in it: the browser looks at it itself. */
async function isDrawn(page: Page, picture: Uint8Array): Promise<void> {
  const blank = await page.context().browser()?.newPage() ?? assert.fail("no browser");
  const colors = await blank.evaluate<string[]>(`(async () => {
    const image = new Image();
    image.src = "data:image/png;base64,${picture.toBase64()}";
    await image.decode();
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const parts = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255].join();
    return Array.from(new Set(new Uint32Array(data.buffer)), parts);
  })()`);
  const wanted = await page.evaluate<string[]>(`(() => {
    const parts = (color) => color.match(/[0-9.]+/g).slice(0, 3).join();
    const { backgroundColor, color } = getComputedStyle(document.body);
    const { fill } = getComputedStyle(document.querySelector("#chart-requests .bar"));
    return [backgroundColor, color, fill].map(parts);
  })()`);
  for (const color of wanted) assert.ok(colors.includes(color), `${color} is not in the picture`);
}

testWith(["chromium"], "the status page asks for the token, and tells a wrong one", async () => {
  Deno.env.set("PORTICO_PAGE_TOKEN", "a-token-of-some-length");
  const table = `admin: {listen: "127.0.0.1:0", token: {env: PORTICO_PAGE_TOKEN}}
routes: [{path: /, respond: hello}]`;
  try {
    await withGateway(table, ({ admin }) =>
      visit(admin, {}, async (page) => {
        await page.getByText("the token is needed").waitFor();
        assert.equal(await page.locator("#content").isVisible(), false);
        await page.getByLabel(/token/).fill("wrong");
        await page.getByRole("button").click();
        await page.getByText("this is not the token").waitFor();
        await page.getByLabel(/token/).fill("a-token-of-some-length");
        await page.getByRole("button").click();
        await page.getByText("serving").waitFor();
        assert.equal(await page.locator("#login").isVisible(), false);
      }));
  } finally {
    Deno.env.delete("PORTICO_PAGE_TOKEN");
  }
});
