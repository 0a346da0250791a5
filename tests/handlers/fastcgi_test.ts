import { serveFastcgiProbe } from "../upstreams/fastcgi_probe.ts";
import { handlerContract } from "./contract.ts";

handlerContract({
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
      },
    };
  },
});
