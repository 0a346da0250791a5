/**
 * A real application as `php` serves it: DokuWiki as Debian packages it, in a folder of the test's own.
 * Somebody logs in, writes a page, uploads a file and finds both again.
 */
import assert from "node:assert/strict";
import { withGateway } from "../support/gateway.ts";
import { testWith } from "../support/needs.ts";
import { fillRandom } from "../support/noise.ts";
import { tempFolder } from "../support/peers.ts";

const INSTALLED = "/usr/share/dokuwiki";
const CONFIGURATION = "/etc/dokuwiki";

/** What the wiki keeps. */
const DATA = "attic cache index locks log media media_attic media_meta meta pages tmp".split(" ");

/** Links become what they lead to: the packages keep parts of one tree in several places. */
async function copyTree(from: string, to: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("cp", { args: ["-rL", from, to] }).output();
  // What only the system's own wiki may read, its accounts, is written anew.
  const problems = new TextDecoder().decode(stderr).split("\n").filter((line) =>
    !/auth\.php/.test(line)
  );
  assert.ok(success || problems.join("") === "", problems.join("\n"));
}

/** Sets up a wiki of its own, with one user. */
async function install(folder: string): Promise<void> {
  await copyTree(INSTALLED, `${folder}/wiki`);
  await copyTree(CONFIGURATION, `${folder}/conf`);
  for (const name of DATA) await Deno.mkdir(`${folder}/data/${name}`, { recursive: true });
  const password = new Uint8Array(
    await crypto.subtle.digest("SHA-1", new TextEncoder().encode("secret")),
  ).toHex();
  const files = {
    "wiki/inc/preload.php": `<?php
define('DOKU_MAIN_CONF', '${folder}/conf/');
define('DOKU_CONF', '${folder}/conf/');
`,
    "conf/local.php": `<?php
$conf['title'] = 'Test wiki';
$conf['savedir'] = '${folder}/data';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['userewrite'] = 2;
$conf['updatecheck'] = 0;
`,
    "conf/users.auth.php": `zoe:${password}:Zo\u00eb:zoe@example.org:admin,user\n`,
    "conf/acl.auth.php": "*  @ALL  1\n*  @user  8\n",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.remove(`${folder}/${name}`).catch(() => {});
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
}

/** A browser as far as a wiki needs one: cookies, redirects, the hidden fields of forms. */
class Browser {
  readonly #base: string;
  readonly #cookies = new Map<string, string>();

  constructor(base: string) {
    this.#base = base;
  }

  async open(path: string, init: RequestInit = {}): Promise<Page> {
    const headers = new Headers(init.headers);
    headers.set("cookie", Array.from(this.#cookies, (pair) => pair.join("=")).join("; "));
    const response = await fetch(new URL(path, this.#base), {
      ...init,
      headers,
      redirect: "manual",
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "deleted") this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (location === null || response.status === 304) return new Page(response);
    await response.body?.cancel();
    return await this.open(location);
  }

  /** Fills in a form of a page and sends it. */
  async submit(
    page: Page,
    fields: Readonly<Record<string, string | File>>,
    to: string,
  ): Promise<Page> {
    const body = new FormData();
    for (const [name, value] of Object.entries({ ...await page.hidden(), ...fields })) {
      body.set(name, value);
    }
    return await this.open(to, { method: "POST", body });
  }
}

class Page {
  #text: string | undefined;
  constructor(readonly response: Response) {}

  async text(): Promise<string> {
    return this.#text ??= await this.response.text();
  }

  async hidden(): Promise<Record<string, string>> {
    const inputs = Array.from(
      (await this.text()).matchAll(/<input[^>]*type="hidden"[^>]*>/g),
      ([tag]) => tag,
    );
    const valueOf = (tag: string, name: string) =>
      new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
    return Object.fromEntries(inputs.map((tag) => [valueOf(tag, "name"), valueOf(tag, "value")]));
  }
}

testWith(
  ["php-cgi", "doku.php"],
  "php serves DokuWiki: log in, write, upload, search",
  async (t) => {
    await using folder = await tempFolder();
    await install(folder.path);
    const table = `routes:
  # As its own documentation asks for: these are no pages.
  - {path: "/:private(bin|inc|vendor)/*", respond: {status: 404}}
  - path: /*
    php: {root: ${folder.path}/wiki, index: doku.php, cacheControl: {"/lib/*": max-age=3600}}
`;
    await withGateway(table, async ({ base, log }) => {
      const browser = new Browser(base);

      await t.step("a page, and what it is made of", async () => {
        const start = await browser.open("/");
        const text = await start.text();
        assert.equal(start.response.status, 200);
        assert.match(text, /<title>\s*start \[Test wiki\]/);
        const resources = Array.from(
          text.matchAll(/(?:src|href)="(\/lib\/[^"]+)"/g),
          ([, path = ""]) => path.replaceAll("&amp;", "&"),
        );
        assert.ok(resources.some((path) => path.startsWith("/lib/exe/css.php")), text);
        assert.ok(resources.some((path) => /\.(png|svg|ico)$/.test(path)), text);
        for (const path of resources) {
          const { response } = await browser.open(path);
          await response.body?.cancel();
          assert.equal(response.status, 200, path);
        }
        const { response } = await browser.open("/lib/tpl/dokuwiki/images/logo.png");
        assert.equal(response.headers.get("content-type"), "image/png");
        assert.equal(response.headers.get("cache-control"), "max-age=3600");
        const headers = { "if-none-match": response.headers.get("etag") ?? "" };
        await response.body?.cancel();
        const again = await browser.open("/lib/tpl/dokuwiki/images/logo.png", { headers });
        assert.equal(again.response.status, 304);
      });

      await t.step("who is nobody may not write", async () => {
        assert.doesNotMatch(
          await (await browser.open("/doku.php/notes?do=edit")).text(),
          /name="wikitext"/,
        );
      });

      await t.step("a wrong password, then the right one", async () => {
        const form = await browser.open("/doku.php/start?do=login");
        const wrong = await browser.submit(
          form,
          { u: "zoe", p: "guess" },
          "/doku.php/start?do=login",
        );
        assert.match(await wrong.text(), /username or password was wrong/i);
        const right = await browser.submit(
          wrong,
          { u: "zoe", p: "secret" },
          "/doku.php/start?do=login",
        );
        assert.match(await right.text(), /Logged in as:.*Zo\u00eb/s);
      });

      await t.step("a page is written and read", async () => {
        const form = await browser.open("/doku.php/team:caf%C3%A9?do=edit");
        const wikitext =
          "====== Opening hours ======\n\nThe **caf\u00e9** opens at seven.\n\n{{:menu.pdf}}\n";
        const saved = await browser.submit(
          form,
          { wikitext, "do[save]": "1" },
          "/doku.php/team:caf%C3%A9",
        );
        assert.equal(saved.response.status, 200);
        assert.match(await saved.text(), /<h1[^>]*>Opening hours<\/h1>/);
        assert.match(
          await (await new Browser(base).open("/doku.php/team:cafe")).text(),
          /opens at seven/,
        );
      });

      await t.step("a file is uploaded and comes back", async () => {
        const bytes = fillRandom(new Uint8Array(3 * 2 ** 20));
        const manager = await browser.open("/lib/exe/mediamanager.php?ns=");
        const upload = new File([bytes], "menu.pdf", { type: "application/pdf" });
        const answer = await browser.submit(
          manager,
          { upload, mediaid: "menu.pdf" },
          "/lib/exe/mediamanager.php",
        );
        assert.match(await answer.text(), /Upload successful/);
        const { response } = await browser.open("/lib/exe/fetch.php/menu.pdf");
        assert.equal(response.headers.get("content-type"), "application/pdf");
        assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
        const headers = { range: "bytes=100-199" };
        const slice = await browser.open("/lib/exe/fetch.php/menu.pdf", { headers });
        assert.equal(slice.response.status, 206);
        assert.deepEqual(new Uint8Array(await slice.response.arrayBuffer()), bytes.slice(100, 200));
      });

      await t.step("the search finds the page", async () => {
        // Pages ask for this picture, which has the indexer run.
        const { response } = await browser.open("/lib/exe/taskrunner.php?id=team:cafe");
        await response.body?.cancel();
        const found = await browser.open("/doku.php/start?do=search&q=seven");
        assert.match(await found.text(), /class="search_results?[^]*team:cafe/);
      });

      await t.step("nothing but pages can be had", async () => {
        for (const path of ["/inc/init.php", "/bin/dwpage.php", "/vendor/autoload.php", "/inc/"]) {
          const { response } = await browser.open(path);
          await response.body?.cancel();
          assert.equal(response.status, 404, path);
        }
        for (const path of ["/.htaccess", "/.htaccess.dist", "/inc/lang/../preload.php.bak"]) {
          assert.doesNotMatch(
            await (await browser.open(path)).text(),
            /RewriteEngine|<\?php/,
            path,
          );
        }
        assert.doesNotMatch(await log(), /PHP (Fatal|Parse)|status=5/);
      });

      await t.step("logging out is final", async () => {
        const page = await browser.open("/doku.php/start");
        const [, href = ""] = /href="([^"]*do=logout[^"]*)"/.exec(await page.text()) ?? [];
        const out = await browser.open(href.replaceAll("&amp;", "&"));
        assert.doesNotMatch(await out.text(), /Logged in as/);
        assert.doesNotMatch(await (await browser.open("/doku.php/start")).text(), /Logged in as/);
      });
    });
  },
);
