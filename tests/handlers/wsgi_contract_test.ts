import { kinds } from "../support/kinds.ts";
import { TESTS } from "../support/gateway.ts";
import { runningPlays } from "../upstreams/wsgi_probe.ts";
import { handlerContract, type Stage } from "./contract.ts";

const stage: Stage = {
  fields: (env) => ({ app: `${TESTS}/upstreams/wsgi_probe.ts`, env }),
  running: runningPlays,
  async [Symbol.asyncDispose]() {},
};

if ("wsgi" in kinds) {
  handlerContract({
    kind: "wsgi",
    speaksBytes: false,
    exactBytes: true,
    ownVariables: [],
    stage: () => Promise.resolve(stage),
  });
}
