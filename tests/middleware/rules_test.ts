/**
 * The rules of PEP 3333 for middleware, held against every one that comes with Portico, alone and in a
 * row, over every form of result: a validator stands at each border (layer.ts).
 *
 * 1 keeps to both sides of the contract; 2 returns as soon as the application does; 3 waits for no
 * further value before it gives one; 4 gives at least a value for each; 5 never sends with write() what
 * was yielded; 6 closes the result inside; 7 leaves the connection's own fields and codings alone;
 * 8 corrects Content-Length with the body; 9 passes excInfo on; 10 bypasses no stream of the environ.
 */
import assert from "node:assert/strict";
import {
  basicAuth,
  cors,
  gzip,
  methodOverride,
  mount,
  timing,
  validator,
} from "../../lib/middleware/mod.ts";
import type { Application, Middleware } from "../../lib/protocol/wsgi.ts";
import { bodyOf, bytes, pieces, PLAIN, sourceOf, Stage } from "../support/wsgi_call.ts";
import { answering, ask, type Asked, textOf, valuesOf } from "./layer.ts";

const AUTHORIZATION = `Basic ${btoa("ada:lovelace")}`;
const LAYERS: Readonly<Record<string, Middleware>> = {
  gzip: gzip(),
  basicAuth: basicAuth({ users: { ada: "lovelace" } }),
  cors: cors({ origins: ["https://example.org"] }),
  methodOverride: methodOverride(),
  mount: mount({ "/elsewhere": answering([]) }),
  timing: timing(),
  validator,
  "all in a row": (application) =>
    [timing(), cors(), gzip(), methodOverride(), basicAuth({ users: { ada: "lovelace" } })]
      .reduceRight((inner, layer) => validator(layer(inner)), application),
};

const ASKED: Asked = {
  method: "POST",
  headers: { authorization: AUTHORIZATION, origin: "https://example.org" },
};
const UNCHANGED = { ...ASKED, headers: { ...ASKED.headers, "accept-encoding": "identity" } };

async function* slowly(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) {
    await Promise.resolve();
    yield bytes(text);
  }
}

/** Every form of result, each of "abc". */
const FORMS: Readonly<Record<string, () => unknown>> = {
  "an array": () => pieces("a", "bc"),
  "a set": () => new Set(pieces("ab", "", "c")),
  "a promise of an array": () => Promise.resolve(pieces("abc")),
  "an asynchronous generator": () => slowly("a", "", "b", "c"),
  "a web stream": () => new Response("abc").body,
  "a closable": () => Object.assign(slowly("a", "b", "c"), { close() {} }),
};

for (const [name, layer] of Object.entries(LAYERS)) {
  Deno.test(`${name} keeps to both sides of the contract`, async () => {
    for (const [form, result] of Object.entries(FORMS)) {
      for (const method of ["POST", "HEAD"]) {
        const make: Application = (environ, start) => answering(result())(environ, start);
        const outcome = await ask(layer, make, { ...UNCHANGED, method });
        assert.equal(outcome.status, 200, form);
        if (method === "POST") assert.equal(textOf(outcome), "abc", form);
        await ask(layer, make, {
          ...ASKED,
          method,
          headers: { ...ASKED.headers, "accept-encoding": "gzip" },
        });
      }
    }
  });

  Deno.test(`${name} passes each value on before it asks for the next`, async () => {
    let given = 0;
    const application: Application = async function* (_environ, start) {
      start("200 OK", PLAIN);
      for (; given < 5; given++) yield await Promise.resolve(bytes("value"));
    };
    for (const accept of ["gzip", "identity"]) {
      given = 0;
      const headers = new Headers({ authorization: AUTHORIZATION, "accept-encoding": accept });
      const stage = new Stage({ exchange: { method: "POST", headers } });
      const source = sourceOf(await stage.run(layer(application)));
      for (let read = 0; read < 5; read++) {
        assert((await source.read())?.length);
        assert(given <= read + 1, `${given} values were taken for ${read + 1}`);
      }
      while (await source.read() !== undefined);
    }
  });

  Deno.test(`${name} closes the result inside, once, however it ends`, async () => {
    for (const fails of [false, true]) {
      for (const accept of ["gzip", "identity"]) {
        let closed = 0;
        const application: Application = (_environ, start) => {
          start("200 OK", PLAIN);
          const values = (async function* () {
            yield await Promise.resolve(bytes("a"));
            if (fails) throw new Error("as asked");
          })();
          return Object.assign(values, { close: () => closed++ });
        };
        const headers = { ...ASKED.headers, "accept-encoding": accept };
        const asked = ask(layer, application, { ...ASKED, headers });
        await (fails ? assert.rejects(asked, /as asked/) : asked);
        await new Promise((resolve) => setTimeout(resolve, 0));
        assert.equal(closed, 1, `fails: ${fails}, ${accept}`);
      }
    }
  });

  Deno.test(`${name} passes excInfo on, and what the server makes of it`, async () => {
    const cause = new Error("late");
    const early: Application = (_environ, start) => {
      start("200 OK", PLAIN);
      start("503 Busy", PLAIN, cause);
      return [];
    };
    assert.equal((await ask(layer, early, UNCHANGED)).status, 503);
    const late: Application = function* (_environ, start) {
      start("200 OK", PLAIN);
      yield bytes("so far");
      start("500 Oops", PLAIN, cause);
    };
    await assert.rejects(ask(layer, late, UNCHANGED), { cause });
  });

  Deno.test(`${name} keeps write() in order, and Content-Length honest`, async () => {
    const application: Application = async (environ, start) => {
      const write = start("200 OK", [...PLAIN, ["Content-Length", "6"]]);
      await write(bytes("ab"));
      await write(await environ["wsgi.input"].read());
      return pieces("ef");
    };
    const body = bodyOf([bytes("cd")], 2);
    const outcome = await ask(layer, application, { ...UNCHANGED, body });
    assert.equal(textOf(outcome), "abcdef");
    assert.deepEqual(valuesOf(outcome, "content-length"), ["6"]);
  });
}
