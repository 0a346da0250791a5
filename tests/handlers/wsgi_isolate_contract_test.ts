/** The contract of all kinds, for a module in TypeScript that runs in a worker. */
import { TESTS } from "../support/gateway.ts";
import { handlerContract, type Stage } from "./contract.ts";

async function stage(): Promise<Stage> {
  const plays = await Deno.makeTempDir();
  return {
    fields: (env) => ({
      app: `${TESTS}/upstreams/wsgi_isolated_probe.ts`,
      isolate: "worker",
      env: { ...env, PLAYS: plays },
    }),
    running: (port) =>
      [...Deno.readDirSync(plays)].filter(({ name }) => name.startsWith(`${port}-`)).length,
    [Symbol.asyncDispose]: () => Deno.remove(plays, { recursive: true }),
  };
}

handlerContract({
  kind: "wsgi",
  speaksBytes: false,
  exactBytes: true,
  ownVariables: ["PLAYS"],
  stage,
});
