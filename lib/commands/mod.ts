/** The words of the command line; each is loaded, with all that it needs, when it is said. */
export const commands = {
  check: async () => (await import("./check.ts")).check,
  explain: async () => (await import("./explain.ts")).explain,
  flags: async () => (await import("./flags.ts")).flags,
  import: async () => (await import("./import.ts")).import,
  init: async () => (await import("./init.ts")).init,
  routes: async () => (await import("./routes.ts")).routes,
  serve: async () => (await import("./serve.ts")).serve,
  unit: async () => (await import("./unit.ts")).unit,
};
