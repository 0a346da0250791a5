/** Kinds that are held to the contract over both of the runtime's servers. */
import assert from "node:assert/strict";
import { TESTS } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { runningPlays } from "../upstreams/wsgi_probe.ts";
import type { Subject } from "./contract.ts";

export const CGI: Subject = {
  kind: "cgi",
  speaksBytes: true,
  exactBytes: false,
  ownVariables: ["PATH", "DOCUMENT_ROOT", "PATH_TRANSLATED", "SCRIPT_FILENAME"],
  stage: () =>
    Promise.resolve({
      fields: (env) => ({ script: `${TESTS}/upstreams/cgi_probe.sh`, env }),
      // Every process of a run, and each that it started, has the port in its environ.
      running: (port) => processesWith(`SERVER_PORT=${port}`).length,
      async [Symbol.asyncDispose]() {},
    }),
};

export const FASTCGI: Subject = {
  kind: "fastcgi",
  speaksBytes: true,
  exactBytes: true,
  ownVariables: [],
  stage: async () => {
    const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "pt-fcgi-" });
    const probe = serveFastcgiProbe(`${folder}/s`);
    return {
      fields: (env) => ({ connect: `unix:${folder}/s`, env }),
      running: () => probe.running,
      async [Symbol.asyncDispose]() {
        await probe[Symbol.asyncDispose]();
        await Deno.remove(folder, { recursive: true });
        assert.deepEqual(probe.faults, []);
      },
    };
  },
};

export const WSGI: Subject = {
  kind: "wsgi",
  speaksBytes: false,
  exactBytes: true,
  ownVariables: [],
  stage: () =>
    Promise.resolve({
      fields: (env) => ({ app: `${TESTS}/upstreams/wsgi_probe.ts`, env }),
      running: runningPlays,
      async [Symbol.asyncDispose]() {},
    }),
};
