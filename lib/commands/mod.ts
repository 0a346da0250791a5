/** The words of the command line. */
export { check } from "./check.ts";
export { explain } from "./explain.ts";
export { flags } from "./flags.ts";
export { import } from "./import.ts";
export { init } from "./init.ts";
export { routes } from "./routes.ts";
export { serve } from "./serve.ts";
export { unit } from "./unit.ts";
