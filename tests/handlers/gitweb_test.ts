/**
 * gitweb, some eight thousand lines of Perl that have been a CGI script since 2005, used in a real browser:
 * from the list of projects to a diff, a download and a search, with its links as queries and as paths.
 */
import assert from "node:assert/strict";
import { type Browser, chromium, type Page, type Response } from "playwright-core";
import { BROWSER_ARGUMENTS } from "../support/browser.ts";
import { type TestGateway, withGateway } from "../support/gateway.ts";
import { type Git, gitAt, headOf } from "../support/git.ts";
import { fillRandom } from "../support/noise.ts";
import { testWith, which } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";

const GITWEB = "gitweb.cgi";
const NAME = "gr\u00fc\u00dfe & co.txt";
const TEXT = 'Gr\u00fc\u00dfe <b>an</b> "alle"\n'.repeat(50);
const NOISE = fillRandom(new Uint8Array(200_000));
const SUBJECT = "Gr\u00fc\u00dfe an alle";

/** A bare repository of four commits, with names and bytes that are easily broken. */
async function createProject(git: Git, folder: string): Promise<string> {
  const work = `${folder}/work`;
  await git(["init", "-q", work]);
  const commit = async (file: string, content: string | Uint8Array, subject: string) => {
    await Deno.mkdir(`${work}/src`, { recursive: true });
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${work}/${file}`, bytes);
    await git(["-C", work, "add", "."]);
    await git(["-C", work, "commit", "-q", "-m", subject], {
      env: { GIT_AUTHOR_NAME: "J\u00fcrgen" },
    });
  };
  await commit("README", "first\nsecond\n", "Begin");
  await commit("src/noise.bin", NOISE, "Add noise");
  await commit(NAME, TEXT, SUBJECT);
  await commit("README", "first\nchanged\n", "Change the second line");
  await git(["clone", "-q", "--bare", work, `${folder}/projects/demo.git`]);
  await Deno.writeTextFile(`${folder}/projects/demo.git/description`, "A project to look at\n");
  return work;
}

/** gitweb's own configuration, which is Perl. */
function formatConfig(projects: string, pathInfo: boolean): string {
  return `
our $projectroot = "${projects}";
our $site_name = "Demo";
our @stylesheets = ("/assets/gitweb.css");
our $javascript = "/assets/gitweb.js";
our $logo = undef;
our $favicon = undef;
our $default_text_plain_charset = "utf-8";
$feature{"blame"}{"default"} = [1];
$feature{"javascript-actions"}{"default"} = [1];
$feature{"snapshot"}{"default"} = ["tgz"];
$feature{"grep"}{"default"} = [1];
$feature{"pathinfo"}{"default"} = [${pathInfo ? 1 : 0}];
1;
`;
}

/** `/web/*` makes links with queries, `/path/*` makes them with PATH_INFO. */
async function formatTable(folder: string): Promise<string> {
  const routes: unknown[] = [];
  for (const [key, pathInfo] of [["web", false], ["path", true]] as const) {
    const config = `${folder}/${key}.conf`;
    await Deno.writeTextFile(config, formatConfig(`${folder}/projects`, pathInfo));
    const env = { GITWEB_CONFIG: config };
    routes.push({ path: `/${key}/*`, cgi: { script: which(GITWEB), env } });
  }
  for (const [name, type] of [["css", "text/css"], ["js", "text/javascript"]] as const) {
    const body = await Deno.readTextFile(`${assetFolder()}/gitweb.${name}`);
    const headers = { "Content-Type": type };
    routes.push({ path: `/assets/gitweb.${name}`, respond: { body, headers } });
  }
  routes.push({ path: "/favicon.ico", respond: { status: 204 } });
  return `server:\n  accessLog: json\nroutes: ${JSON.stringify(routes)}\n`;
}

/** Where gitweb's style and script lie. */
function assetFolder(): string {
  const style = which("gitweb.css") ?? "";
  return style.slice(0, style.lastIndexOf("/"));
}

interface Stage {
  readonly page: Page;
  readonly url: string;
  readonly work: string;
  readonly git: Git;
}

testWith(
  ["git", "tar", "chromium", GITWEB, "gitweb.css", "CGI.pm"],
  "gitweb in a browser",
  async (t) => {
    await using folder = await tempFolder();
    const git = gitAt(folder.path);
    const work = await createProject(git, folder.path);
    await withGateway(await formatTable(folder.path), async (gateway) => {
      const browser = await chromium.launch({
        executablePath: which("chromium") ?? "",
        args: BROWSER_ARGUMENTS,
      });
      try {
        for (const key of ["web", "path"]) {
          const url = `${gateway.base}/${key}/`;
          const look = (body: (stage: Stage) => Promise<void>) => () =>
            visit(browser, url, (page) => body({ page, url, work, git }));
          await t.step(`/${key}/: list, project, log`, look(looksAround));
          await t.step(`/${key}/: commit and its diff`, look(showsDiff));
          await t.step(`/${key}/: tree, file, raw file`, look(showsFiles));
          await t.step(`/${key}/: blame, line by line as it is found`, look(showsBlame));
          await t.step(`/${key}/: snapshot`, look(downloads));
          await t.step(`/${key}/: search`, look(searches));
        }
        await t.step("what is not there", () => answersNotFound(gateway));
      } finally {
        await browser.close();
      }
      // Perl's own warnings may be there; the gateway has none.
      assert.doesNotMatch(await gateway.log(), /"level":"(?!program)/);
    });
  },
);

/** Opens the list of projects in a fresh context; no answer may be an error, no script may fail. */
async function visit(
  browser: Browser,
  url: string,
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({ acceptDownloads: true });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("requestfailed", (request) => {
    // So the browser says of what it saves as a file.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(request.url());
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
  });
  try {
    await page.goto(url);
    await body(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

/** Follows a link by its words; gives the answer that it led to. */
async function follow(page: Page, words: string): Promise<Response> {
  const link = page.getByRole("link", { name: words, exact: true }).first();
  const [answer] = await Promise.all([page.waitForNavigation(), link.click()]);
  assert.ok(answer !== null);
  assert.equal(answer.status(), 200);
  assert.match((await answer.headerValue("content-type")) ?? "", /charset=utf-8$/i);
  return answer;
}

/** Where a link leads, without following it. */
async function targetOf(page: Page, words: string): Promise<string> {
  const link = page.getByRole("link", { name: words, exact: true }).first();
  const base = String(await page.evaluate("document.baseURI"));
  return new URL(await link.getAttribute("href") ?? "", base).href;
}

async function looksAround({ page, url }: Stage): Promise<void> {
  await page.getByText("A project to look at").waitFor();
  // The style and the script have come.
  assert.equal(await page.evaluate(`typeof fixLinks`), "function");
  assert.equal(
    await page.evaluate(`getComputedStyle(document.body).fontFamily`),
    "sans-serif",
  );
  await follow(page, "demo.git");
  assert.equal(page.url().startsWith(`${url}demo.git`), url.endsWith("/path/"));
  assert.match(await page.title(), /demo\.git/);
  await page.getByText("Change the second line").first().waitFor();
  await follow(page, "log");
  const text = await page.locator("body").innerText();
  const subjects = ["Change the second line", SUBJECT, "Add noise", "Begin"];
  const places = subjects.map((subject) => text.indexOf(subject));
  assert.ok(places.every((place, i) => place > (places[i - 1] ?? -1)), `${places}`);
  assert.ok(text.includes("J\u00fcrgen"));
}

async function showsDiff({ page, git, work }: Stage): Promise<void> {
  await follow(page, "demo.git");
  await follow(page, "commit");
  await page.getByText(await headOf(git, work)).first().waitFor();
  await follow(page, "commitdiff");
  for (const [kind, line] of [["rem", "-second"], ["add", "+changed"]] as const) {
    assert.equal((await page.locator(`.diff.${kind}`).first().innerText()).trim(), line);
  }
  const patch = await page.request.get(await targetOf(page, "patch"));
  assert.equal(patch.status(), 200);
  assert.match(await patch.text(), /^Subject: \[PATCH\] Change the second line$/m);
}

async function showsFiles({ page }: Stage): Promise<void> {
  await follow(page, "demo.git");
  await follow(page, "tree");
  await follow(page, NAME);
  assert.equal(await page.locator(".pre").count(), 50);
  const line = (await page.locator(".pre").first().innerText()).replaceAll("\u00a0", " ");
  assert.equal(line.trim(), `1 ${TEXT.slice(0, TEXT.indexOf("\n"))}`);
  await follow(page, "raw");
  assert.equal(await page.evaluate(`document.body.textContent`), TEXT);
  await page.goBack();
  await page.goBack();
  await follow(page, "src");
  const raw = await page.request.get(await targetOf(page, "raw"));
  assert.equal(raw.status(), 200);
  assert.deepEqual(new Uint8Array(await raw.body()), NOISE);
}

/** Here the script asks for the lines' origins itself and fills them in as they stream. */
async function showsBlame({ page, git, work }: Stage): Promise<void> {
  await follow(page, "demo.git");
  await follow(page, "tree");
  const data = page.waitForResponse((response) => response.url().includes("blame_data"));
  await follow(page, "blame");
  assert.equal((await data).status(), 200);
  for (const [line, commit] of [["l1", "main~3"], ["l2", "main"]] as const) {
    const id = (await headOf(git, work, commit)).slice(0, 8);
    await page.locator(`tr#${line}`).getByText(id).waitFor();
  }
}

async function downloads({ page, work }: Stage): Promise<void> {
  await follow(page, "demo.git");
  const link = page.getByRole("link", { name: "snapshot", exact: true }).first();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  await using folder = await tempFolder();
  const file = `${folder.path}/snapshot.tar.gz`;
  await download.saveAs(file);
  assert.match(download.suggestedFilename(), /^demo-.*\.tar\.gz$/);
  const args = ["-xzf", file, "-C", folder.path, "--strip-components=1"];
  assert.ok((await new Deno.Command("tar", { args }).output()).success);
  for (const name of ["README", NAME, "src/noise.bin"]) {
    const unpacked = await Deno.readFile(`${folder.path}/${name}`);
    assert.deepEqual(unpacked, await Deno.readFile(`${work}/${name}`));
  }
}

async function searches({ page }: Stage): Promise<void> {
  await follow(page, "demo.git");
  const search = async (kind: string, words: string) => {
    await page.locator("select[name=st]").selectOption(kind);
    const field = page.locator("input[name=s]");
    await field.fill(words);
    const [answer] = await Promise.all([page.waitForNavigation(), field.press("Enter")]);
    assert.equal(answer?.status(), 200);
    return await page.locator("body").innerText();
  };
  const commits = await search("commit", "Gr\u00fc\u00dfe");
  assert.ok(commits.includes(SUBJECT) && !commits.includes("Add noise"), commits);
  assert.match(await search("author", "J\u00fcrgen"), /Begin/);
  assert.match(await search("grep", "changed"), /README/);
  assert.match(await search("commit", "nowhere to be found"), /No match/);
}

async function answersNotFound({ base }: TestGateway): Promise<void> {
  for (
    const [target, status] of [
      ["/web/?p=nothing.git", 404],
      ["/web/?p=../work", 404],
      ["/web/?p=demo.git;a=nonsense", 400],
      ["/path/demo.git/blob/HEAD:/nothing", 404],
    ] as const
  ) {
    const answer = await fetch(base + target);
    assert.equal(answer.status, status, target);
    assert.match(await answer.text(), new RegExp(`${status} - `));
  }
}
