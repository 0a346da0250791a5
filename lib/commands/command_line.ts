/** Reads the command line and runs the command that it names. */
import type { Registry } from "../config/kinds.ts";
import { ConfigError } from "../errors.ts";
import { type ListenAddress, parseListenAddress } from "../fields.ts";
import { resolvePath } from "../values.ts";
import {
  type Command,
  complain,
  FAULTY,
  FINE,
  type Invocation,
  MISUSED,
  print,
  UsageError,
} from "./command.ts";
import { commands } from "./mod.ts";
import { type CommandLine, readOptions } from "./options.ts";

export const VERSION = "0.1.0";

const USAGE = `Portico ${VERSION}: CGI, FastCGI and WSGI programs behind one table of routes.

Usage: main.ts [COMMAND] [options]

Commands:
  serve                  serve (the default)
  check                  check the file; prints every fault as FILE:LINE:COLUMN: message
  routes                 print the table as the router sees it
  explain [METHOD] URL   print which route a request would take, and its environ
  flags                  print the least permission flags that serving this file takes
  init [FOLDER]          write a routes.yaml for what lies in the folder (default: this one)
  import nginx FILE      print a routes.yaml for a configuration of nginx, and what became of its lines
  unit FORM              print how to run it: systemd, docker, compose or k8s

Options:
  -c, --config FILE      the table (default: ./routes.yaml)
  -l, --listen ADDR      listen there instead; repeatable; port 0 picks a free one
      --watch            reload when the file changes (serve)
      --json             machine-readable output (routes, explain)
      --force            replace a file that is there (init)
  -H, --header 'N: V'    a request field (explain); repeatable
  -h, --help             this text
  -V, --version          the version
`;

const DEFAULT_CONFIG = "./routes.yaml";

/** Words with operands of their own, which they check themselves. */
const TAKES_OPERANDS = new Set(["explain", "init", "import", "unit"]);

/** Runs what `args` ask for; gives the exit status. */
export async function runCommandLine(
  args: readonly string[],
  registry: Registry,
): Promise<number> {
  try {
    const line = readOptions(args);
    if (line.switches.has("help")) {
      print(USAGE.trimEnd());
      return FINE;
    }
    if (line.switches.has("version")) {
      print(`portico ${VERSION}`);
      return FINE;
    }
    const [word = "serve", ...operands] = line.operands;
    const load = loaderOf(word);
    if (operands.length > 0 && !TAKES_OPERANDS.has(word)) {
      throw new UsageError(`${word} takes no operand "${operands[0]}"`);
    }
    const invocation = invocationOf(line, operands, registry);
    const command = await load();
    return await command(invocation);
  } catch (error) {
    return explainFailure(error);
  }
}

function loaderOf(word: string): () => Promise<Command> {
  const known: Readonly<Record<string, () => Promise<Command>>> = commands;
  const load = Object.hasOwn(known, word) ? known[word] : undefined;
  if (load !== undefined) return load;
  throw new UsageError(`Unknown command "${word}": use ${Object.keys(known).join(", ")}`);
}

function invocationOf(
  { values, switches }: CommandLine,
  operands: readonly string[],
  registry: Registry,
): Invocation {
  return {
    configFile: values.config.at(-1) ?? DEFAULT_CONFIG,
    listen: values.listen.map(listenAddress),
    watch: switches.has("watch"),
    json: switches.has("json"),
    force: switches.has("force"),
    headers: values.header,
    operands,
    registry,
  };
}

/** A socket's name is relative to the working folder, as all names on a command line. */
function listenAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address?.transport === "unix") {
    return { transport: "unix", path: resolvePath(address.path, Deno.cwd()) };
  }
  if (address !== undefined) return address;
  throw new UsageError(`Cannot read "${text}" as an address: write 127.0.0.1:8080 or unix:/path`);
}

function explainFailure(error: unknown): number {
  if (error instanceof UsageError) {
    complain(`portico: ${error.message}\nTry --help.`);
    return MISUSED;
  }
  if (error instanceof ConfigError) {
    complain(error.message);
    return FAULTY;
  }
  if (error instanceof Deno.errors.NotCapable) {
    complain(`portico: ${error.message}`);
    return FAULTY;
  }
  complain(`portico: ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
  return FAULTY;
}
