/**
 * One shell script behind a gateway: a rule of CGI is then a script of a line or two, a request, and what
 * must come of it. Also the two ways to send a body whose length is not told first.
 */
import assert from "node:assert/strict";
import { type ClientHttp2Session, connect } from "node:http2";
import { encodePath } from "../../lib/protocol/cgi_path.ts";
import { linesOf, parseEnviron } from "../handlers/contract.ts";
import { ask, type Body, Client, type Head, type RequestText } from "./client.ts";
import { type TestGateway, withGateway } from "./gateway.ts";
import { tempFolder, writeScript } from "./peers.ts";

/** A script behind a gateway. */
export interface Site {
  readonly gateway: TestGateway;
  readonly port: number;
  /** The request target that names the script. */
  readonly target: string;
  /** The folder of scripts, which is the route's `root`. */
  readonly folder: string;
  /** Sends a request, by default a GET of the script, and reads the answer. */
  ask(request?: Partial<RequestText>): Promise<Head & Body>;
  /** What the script finds in its environ for a request. */
  environ(request?: Partial<RequestText>): Promise<Record<string, string>>;
  /** The last failure in the log. */
  failure(): Promise<string | undefined>;
}

export interface Setting {
  /** Lines of the script. */
  readonly script?: string;
  /** Its name; default `t`. */
  readonly name?: string;
  /** Fields of the cgi kind. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Options of the route. */
  readonly route?: Readonly<Record<string, unknown>>;
  readonly server?: Readonly<Record<string, unknown>>;
}

export const PLAIN = "printf 'Content-Type: text/plain\\n\\n'\n";
export const ENVIRON = PLAIN + 'cat "/proc/$$/environ"\n';

/** Adds the test `RFC 3875 SECTION: TEXT` over one script, which tells its environ unless it is given. */
export function rule(
  section: string,
  text: string,
  body: (site: Site) => Promise<void>,
  setting: Setting = {},
): void {
  Deno.test(`RFC 3875 ${section}: ${text}`, async () => {
    await using folder = await tempFolder();
    const root = await Deno.realPath(folder.path);
    const { script = ENVIRON, name = "t", fields = {}, route = {}, server = {} } = setting;
    await writeScript(`${root}/${name}`, `#!/bin/sh\n${script}`);
    const routes = [{ path: "/cgi/*", cgi: { root, ...fields }, ...route }];
    const settings = Object.entries({ accessLog: "json", ...server })
      .map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
    const table = `server:\n${settings.join("")}routes: ${JSON.stringify(routes)}\n`;
    await withGateway(table, (gateway) => body(siteOf(gateway, root, `/cgi/${encodePath(name)}`)));
  });
}

function siteOf(gateway: TestGateway, folder: string, target: string): Site {
  const { port } = gateway;
  const send = (request: Partial<RequestText> = {}) => ask(port, { target, ...request });
  return {
    gateway,
    port,
    target,
    folder,
    ask: send,
    environ: async (request) => {
      const answer = await send(request);
      assert.equal(answer.status, 200, answer.text);
      return parseEnviron(answer.text);
    },
    failure: async () => {
      const lines = await linesOf(gateway.log());
      return lines.filter(({ failure }) => failure !== undefined).at(-1)?.failure;
    },
  };
}

/** Adds a rule for each output of a script and what the client gets for it. */
export function replies(
  section: string,
  rows: Readonly<Record<string, [prints: string, expected: (answer: Head & Body) => void]>>,
): void {
  for (const [text, [prints, expected]] of Object.entries(rows)) {
    rule(section, text, async (site) => expected(await site.ask()), {
      script: `printf '${prints}'\n`,
    });
  }
}

/** Expects a refusal of the script's output. */
export const refused = (answer: Head & Body) => assert.equal(answer.status, 502, answer.text);

/** Expects a status and fields. */
export const gives =
  (status: number, fields: Record<string, string | undefined> = {}) => (answer: Head & Body) => {
    assert.equal(answer.status, status, answer.text);
    for (const [name, value] of Object.entries(fields)) assert.equal(answer.get(name), value, name);
    assert.ok(answer.whole);
  };

export const CHUNKED = [["Transfer-Encoding", "chunked"]] as const;

/** Sends a chunked POST of one script. */
export async function sendChunked(
  { port, target }: Site,
  chunks: readonly string[],
): Promise<Head & Body> {
  using client = await Client.send(port, { method: "POST", target, headers: CHUNKED });
  for (const chunk of chunks) await client.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
  await client.write("0\r\n\r\n");
  return await client.answer();
}

/** Sends a POST in HTTP/2 without a length. */
export async function sendHttp2(
  { gateway, target }: Site,
  body: Uint8Array,
): Promise<{ status: number; text: string }> {
  const session = connect(gateway.base);
  try {
    return await posted(session, target, body);
  } finally {
    const closed = new Promise<void>((resolve) => session.once("close", resolve));
    session.close();
    await closed;
  }
}

function posted(session: ClientHttp2Session, path: string, body: Uint8Array) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ":path": path });
    let status = 0;
    let text = "";
    stream.setEncoding("latin1");
    stream.on("response", (head) => status = Number(head[":status"]));
    stream.on("data", (piece) => text += piece);
    stream.on("end", () => resolve({ status, text }));
    stream.on("error", reject);
    stream.end(body);
  });
}
