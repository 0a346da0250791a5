/**
 * A Dockerfile for the gateway and the folder of its table. In the container the table's
 * folder has the name that it has here, so that all names in it, and the permissions made of them, hold.
 */
import { commandOf, type Plan, portsOf } from "./plan.ts";

const MAIN = "/opt/portico/main.ts";
const RUNTIME = "/usr/bin/deno";
/** Nobody in particular, by a number that no image gives to anybody. */
export const USER = 65532;

/** The plan as it holds within a container, where the gateway's own files lie elsewhere. */
function inside(plan: Plan): Plan {
  const { installed, folder } = plan;
  if (installed.main === undefined) {
    return { ...plan, installed: { ...installed, executable: "/usr/local/bin/portico" } };
  }
  const root = installed.main.slice(0, installed.main.lastIndexOf("/") + 1);
  const move = (path: string) =>
    // Workers are started by the runtime's own name.
    path === installed.executable
      ? RUNTIME
      : path.startsWith(root) && !`${path}/`.startsWith(`${folder}/`)
      ? `/opt/portico/${path.slice(root.length)}`
      : path;
  const flags = plan.flags.map((flag) => {
    const [name = "", ...values] = flag.split(/[=,]/);
    return values.length === 0 ? flag : `${name}=${values.map(move).join(",")}`;
  });
  const reads = plan.reads.map(move).filter((path) => !path.startsWith("/opt/portico/"));
  const runs = plan.runs.filter((program) => program !== installed.executable);
  return {
    ...plan,
    flags,
    reads,
    runs,
    installed: { ...installed, executable: RUNTIME, main: MAIN },
  };
}

/** Debian's packages of programs that tables name. */
const PACKAGES: Readonly<Record<string, string>> = {
  "php-cgi": "php-cgi",
  python3: "python3",
  perl: "perl",
  ruby: "ruby",
  git: "git",
  "git-http-backend": "git",
};

export function dockerfile(plan: Plan): string {
  const { main, version } = plan.installed;
  const packages = packagesOf(plan);
  const source = main === undefined ? "FOLDER-OF-THE-BINARY" : main.slice(0, main.lastIndexOf("/"));
  const install = `apt-get update && apt-get install -y --no-install-recommends ${
    packages.join(" ")
  }`;
  const lines = [
    `# Portico for ${plan.configFile}, by "portico unit docker". Build it in the folder of the table:`,
    `#   docker build --build-context portico=${source} -t portico .`,
    ...missing(inside(plan)),
    `FROM denoland/deno:debian-${version}`,
    ...(packages.length === 0 ? [] : [`RUN ${install} && rm -rf /var/lib/apt/lists/*`]),
    ...(main === undefined ? [BINARY] : SOURCES),
    `COPY ${JSON.stringify([".", `${plan.folder}/`])}`,
    `WORKDIR ${plan.folder}`,
    `USER ${USER}:${USER}`,
    ...portsOf(plan).map((port) => `EXPOSE ${port}`),
    "STOPSIGNAL SIGTERM",
    ...healthCheck(plan),
    `ENTRYPOINT ${JSON.stringify(commandOf(inside(plan)))}`,
  ];
  return `${lines.join("\n")}\n`;
}

const BINARY = "COPY --from=portico portico /usr/local/bin/portico";
const SOURCES = [
  "COPY --from=portico main.ts deno.json deno.lock /opt/portico/",
  "COPY --from=portico lib /opt/portico/lib",
  "ENV DENO_DIR=/opt/deno DENO_NO_UPDATE_CHECK=1",
  `RUN ["deno", "cache", "--frozen", "${MAIN}"]`,
];

function packagesOf({ runs }: Plan): readonly string[] {
  const names = runs.map((program) => program.slice(program.lastIndexOf("/") + 1));
  return [...new Set(names.flatMap((name) => PACKAGES[name] ?? []))];
}

/** What the table names and the image has not by itself. */
function missing({ runs, reads, writes, folder, configFile }: Plan): readonly string[] {
  const isHere = (path: string) => path === folder || path.startsWith(`${folder}/`);
  const programs = runs.filter((name) => {
    const known = PACKAGES[name.slice(name.lastIndexOf("/") + 1)] !== undefined || name === "sh";
    return !known && !isHere(name);
  });
  const files = reads.filter((path) =>
    !isHere(path) && !writes.includes(path) && path !== configFile
  );
  return [
    ...programs.map((name) =>
      `# It also runs ${name === "*" ? "any program" : name}: see that the image has it.`
    ),
    ...files.map((path) => `# It also reads ${path}: mount it there.`),
  ];
}

function healthCheck(plan: Plan): readonly string[] {
  const [port] = portsOf(plan);
  if (port === undefined) return [];
  const admin = plan.admin?.transport === "tcp" ? plan.admin : undefined;
  const test = admin === undefined
    ? `(await import('node:net')).connect(${port}).once("connect",()=>process.exit(0))` +
      `.once("error",()=>process.exit(1))`
    : `process.exit((await fetch("http://127.0.0.1:${admin.port}/healthz")).ok?0:1)`;
  const check = JSON.stringify([RUNTIME, "eval", test]);
  return [`HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ${check}`];
}
