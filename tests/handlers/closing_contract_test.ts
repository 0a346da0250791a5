import assert from "node:assert/strict";
import { serveClosingProbe } from "../upstreams/closing_probe.ts";
import { handlerContract } from "./contract.ts";

for (const kind of ["uwsgi", "scgi"] as const) {
  handlerContract({
    kind,
    speaksBytes: true,
    exactBytes: true,
    hasErrors: false,
    tellsLength: kind === "scgi" ? "always" : "body",
    ownVariables: [kind === "scgi" ? "SCGI" : "UWSGI_SCHEME"],
    stage: async () => {
      const probe = await serveClosingProbe(kind);
      return {
        fields: (env) => ({ connect: probe.address, env }),
        running: () => probe.running,
        async [Symbol.asyncDispose]() {
          await probe[Symbol.asyncDispose]();
          assert.deepEqual(probe.faults, []);
        },
      };
    },
  });
}
