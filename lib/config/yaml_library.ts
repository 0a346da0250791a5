/**
 * The YAML library, in its build of ES modules. By its package's word Node is given another, of CommonJS
 * modules, which takes three times as long to load and asks the environment, once a token, whether to log.
 * That one stands in where the first cannot be had, as a packed program may find.
 */
import type * as Yaml from "yaml";

interface Library {
  readonly yaml: typeof Yaml;
  /** Runs the library without a look at the environment, which would take a permission. */
  withoutEnvironment<T>(work: () => T): T;
}

export const { yaml, withoutEnvironment } = await load();

async function load(): Promise<Library> {
  try {
    const modules = new URL("../browser/index.js", import.meta.resolve("yaml"));
    return { yaml: await import(modules.href), withoutEnvironment: (work) => work() };
  } catch {
    const [yaml, { default: process }] = await Promise.all([
      import("yaml"),
      import("node:process"),
    ]);
    return { yaml, withoutEnvironment: (work) => hidingEnvironment(process, work) };
  }
}

function hidingEnvironment<T>(process: { env: Record<string, string | undefined> }, work: () => T) {
  const { env } = process;
  process.env = {};
  try {
    return work();
  } finally {
    process.env = env;
  }
}
