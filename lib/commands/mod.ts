/**
 * The words of the command line. Each is loaded, with all that it needs, when it is said; but for `serve`, which
 * starts sooner when the runtime finds it among what it loads first.
 */
import { serve } from "./serve.ts";

export const commands = {
  check: async () => (await import("./check.ts")).check,
  explain: async () => (await import("./explain.ts")).explain,
  flags: async () => (await import("./flags.ts")).flags,
  import: async () => (await import("./import.ts")).import,
  init: async () => (await import("./init.ts")).init,
  routes: async () => (await import("./routes.ts")).routes,
  serve: () => Promise.resolve(serve),
  unit: async () => (await import("./unit.ts")).unit,
};
