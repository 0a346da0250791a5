/** The real git as a client, repositories made with it, and `git http-backend` as a route. */
import assert from "node:assert/strict";
import { fillRandom } from "./noise.ts";
import { which } from "./needs.ts";

export const BACKEND = "git-http-backend";

export interface GitOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** What git reads on its standard input. */
  readonly input?: string;
}

/** Runs git, and gives what it prints on both streams. */
export type Git = (args: readonly string[], options?: GitOptions) => Promise<string>;

/** git as on a machine without any configuration. */
export function gitAt(home: string): Git {
  return async (args, { env = {}, input } = {}) => {
    const child = new Deno.Command("git", {
      args: ["-c", "init.defaultBranch=main", "-c", "protocol.version=2", ...args],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
        HOME: home,
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_TERMINAL_PROMPT: "0",
        GIT_AUTHOR_NAME: "a",
        GIT_AUTHOR_EMAIL: "a@example.org",
        GIT_COMMITTER_NAME: "c",
        GIT_COMMITTER_EMAIL: "c@example.org",
        ...env,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    await new Blob([input ?? ""]).stream().pipeTo(child.stdin);
    const { success, stdout, stderr } = await output;
    const text = new TextDecoder();
    assert.ok(success, `git ${args.join(" ")}: ${text.decode(stderr)}`);
    return text.decode(stdout) + text.decode(stderr);
  };
}

/** The commit that a branch of a repository is at. */
export async function headOf(git: Git, repository: string, branch = "main"): Promise<string> {
  return (await git(["-C", repository, "rev-parse", branch])).trim();
}

/** Commits a file of incompressible bytes to the repository that it lies in. */
export async function commitNoise(git: Git, file: string, bytes: number): Promise<void> {
  await Deno.writeFile(file, fillRandom(new Uint8Array(bytes)));
  const repository = file.slice(0, file.lastIndexOf("/"));
  await git(["-C", repository, "add", file]);
  await git(["-C", repository, "commit", "-q", "-m", "Add noise"]);
}

/** A bare repository that takes pushes, holding one commit of `bytes` of noise. */
export async function createOrigin(git: Git, folder: string, bytes: number): Promise<string> {
  const origin = `${folder}/origin.git`;
  await git(["init", "-q", "--bare", origin]);
  await git(["-C", origin, "config", "http.receivepack", "true"]);
  const work = `${folder}/tree`;
  await git(["init", "-q", work]);
  await commitNoise(git, `${work}/first.bin`, bytes);
  await git(["-C", work, "push", "-q", origin, "main"]);
  return origin;
}

/** Input of `git fast-import`: a branch of as many commits, each with a branch of its own if told so. */
export function formatHistory(branch: string, commits: number, branches = false): string {
  const steps = Array.from({ length: commits }, (_, i) => {
    const text = `${branch} ${i}\n`;
    const data = `data ${text.length}\n${text}`;
    const head = `commit refs/heads/${branch}\ncommitter c <c@example.org> ${1e9 + i} +0000\n`;
    const own = branches ? `reset refs/heads/${branch}-${i}\nfrom refs/heads/${branch}\n\n` : "";
    return `${head}${data}M 100644 inline ${branch}.txt\n${data}\n${own}`;
  });
  return steps.join("");
}

export interface BackendRoute {
  /** Default: every repository in the folder. */
  readonly exportAll?: boolean;
  /** Further options of the route. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A route of routes.yaml that serves the repositories in a folder. */
export function backendRoute(path: string, folder: string, route: BackendRoute = {}): string {
  const { exportAll = true, options = {} } = route;
  const env = { GIT_PROJECT_ROOT: folder, ...(exportAll ? { GIT_HTTP_EXPORT_ALL: "1" } : {}) };
  return `  - ${JSON.stringify({ path, ...options, cgi: { script: which(BACKEND), env } })}`;
}
