import { TESTS } from "../support/gateway.ts";
import { processesWith } from "../support/processes.ts";
import { handlerContract, type Stage } from "./contract.ts";

handlerContract({
  kind: "cgi",
  speaksBytes: true,
  exactBytes: false,
  ownVariables: ["PATH", "DOCUMENT_ROOT", "PATH_TRANSLATED", "SCRIPT_FILENAME"],
  stage: () => Promise.resolve(stage),
});

const stage: Stage = {
  fields: (env) => ({ script: `${TESTS}/upstreams/cgi_probe.sh`, env }),
  // Every process of a run, and each that it started, has the port in its environ.
  running: (port) => processesWith(`SERVER_PORT=${port}`).length,
  async [Symbol.asyncDispose]() {},
};
