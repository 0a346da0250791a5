/** Access lines of one's own form: how they are read, refused, and filled in. */
import assert from "node:assert/strict";
import { parseTable } from "../../lib/config/load.ts";
import { ConfigError } from "../../lib/errors.ts";
import { Ledger } from "../../lib/ledger.ts";
import { parseLogTemplate } from "../../lib/log_template.ts";
import { type AccessEntry, Log, type LogFormat } from "../../lib/observe/log.ts";
import * as kinds from "../support/fake_kinds.ts";

function read(accessLog: string): LogFormat {
  const text = `server: {accessLog: ${accessLog}}\nroutes: [{path: /, respond: hi}]`;
  return parseTable(text, { file: "routes.yaml", folder: "/" }, kinds).server.accessLog;
}

function faultOf(accessLog: string): string {
  try {
    read(accessLog);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return "";
}

/** What the log writes of an entry. */
async function written(format: LogFormat, entry: AccessEntry): Promise<string> {
  let text = "";
  const target = {
    write(bytes: Uint8Array) {
      text += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  };
  const log = new Log(format, target, target);
  log.access(entry);
  await log.flush();
  return text;
}

function entryOf(target: string, ledger?: Ledger): AccessEntry {
  return {
    request: {
      id: "a-1",
      method: "GET",
      target,
      authority: "example.org",
      headers: new Headers({ "user-agent": 'x"\\y' }),
      client: { address: "192.0.2.1", port: 1 },
    },
    route: "/git/*",
    status: 200,
    bytes: 12,
    durationMs: 3.14,
    firstByteMs: 1.23,
    ledger,
  };
}

Deno.test("parseLogTemplate() takes text and names apart, and knows all of them", () => {
  assert.deepEqual(parseLogTemplate("a {status}{path} b"), [
    "a ",
    { field: "status" },
    { field: "path" },
    " b",
  ]);
  for (const wrong of ["{}", "{status", "status}", "{{status}}", "{Status}", "{toString}"]) {
    assert.equal(parseLogTemplate(wrong), undefined, wrong);
  }
});

Deno.test("accessLog is a name or a line of one's own; a fault names what there is", () => {
  assert.equal(read("json"), "json");
  assert.deepEqual(read('"{status} ok"'), [{ field: "status" }, " ok"]);
  assert.match(
    faultOf('"{stauts}"'),
    /^routes\.yaml:1:21: Cannot read "\{stauts\}" as a line of a log: the names are \{time\} /,
  );
  assert.match(faultOf('"{status}\\n{status}"'), /Cannot write several lines a request/);
  assert.match(faultOf("combind"), /write combined or json or off$/);
});

Deno.test("a line is filled in, and no client can forge another", async () => {
  const ledger = new Ledger();
  ledger.queuedMs = 7;
  ledger.exit = 0;
  const format = read(
    '"{client} {method} {host} {target} {path} {status} {bytes} {durationMs} {ttfbMs} {queueMs} {connectMs} {exit} [{route}] {userAgent} {referer} {id}"',
  );
  assert.equal(
    await written(format, entryOf("/a\nb?c", ledger)),
    "192.0.2.1 GET example.org /a\\x0ab?c /a\\x0ab 200 12 3.1 1.2 7 - 0 [/git/*] x\\x22\\x5cy - a-1\n",
  );
  assert.match(await written(read('"{time}"'), entryOf("/")), /^\d{4}-\d\d-\d\dT[\d:.]+Z\n$/);
});
