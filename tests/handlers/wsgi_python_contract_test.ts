import { TESTS } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { tempFolder } from "../support/peers.ts";
import { handlerContract } from "./contract.ts";

if (needs("python3")) {
  handlerContract({
    kind: "wsgi",
    speaksBytes: false,
    exactBytes: true,
    ownVariables: ["RUNNING"],
    stage: async () => {
      const folder = await tempFolder();
      return {
        fields: (env) => ({
          app: `${TESTS}/upstreams/wsgi_probe.py`,
          threads: 8,
          env: { RUNNING: folder.path, ...env },
        }),
        running: () => [...Deno.readDirSync(folder.path)].length,
        [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
      };
    },
  });
}
