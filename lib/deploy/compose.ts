/** A compose file: the gateway in its image, and a php-fpm for each one that the table connects to. */
import { USER } from "./docker.ts";
import { type Connected, type Plan, portsOf, stopSeconds } from "./plan.ts";

export function composeFile(plan: Plan): string {
  // What has no tree of scripts is no php-fpm.
  const applications = plan.fastcgi.filter(({ roots }) => roots.length > 0).map(fpmService);
  const volumes = applications.flatMap(({ volume }) => volume === undefined ? [] : [volume]);
  const lines = [
    `# Portico for ${plan.configFile}, by "portico unit compose"; "portico unit docker" prints the Dockerfile.`,
    "services:",
    ...gatewayService(plan, applications),
    ...applications.flatMap(({ lines }) => ["", ...lines]),
    ...section("volumes", volumes.map(({ name }) => `  ${name}:`)),
    ...section("configs", applications.flatMap(({ config }) => config)),
  ];
  return `${lines.join("\n")}\n`;
}

function section(name: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", `${name}:`, ...lines];
}

function gatewayService(plan: Plan, applications: readonly Application[]): readonly string[] {
  const { main } = plan.installed;
  const source = main === undefined ? "FOLDER-OF-THE-BINARY" : main.slice(0, main.lastIndexOf("/"));
  const ports = portsOf(plan).map((port) => text(`127.0.0.1:${port}:${port}`));
  const mounts = applications.flatMap(({ volume }) =>
    volume === undefined ? [] : [`      - ${text(`${volume.name}:${volume.folder}`)}`]
  );
  const before = applications.filter(({ follows }) => !follows).map(({ name }) => name);
  return [
    "  portico:",
    "    build:",
    "      context: .",
    "      additional_contexts:",
    `        portico: ${text(source)}`,
    `    user: "${USER}:${USER}"`,
    "    init: true",
    "    restart: unless-stopped",
    `    stop_grace_period: ${stopSeconds(plan)}s`,
    "    read_only: true",
    '    tmpfs: ["/tmp"]',
    "    cap_drop: [ALL]",
    '    security_opt: ["no-new-privileges:true"]',
    "    mem_limit: 1g",
    "    pids_limit: 512",
    "    ulimits: { nofile: 65536 }",
    ...(ports.length === 0 ? [] : [`    ports: [${ports.join(", ")}]`]),
    ...(mounts.length === 0 ? [] : ["    volumes:", ...mounts]),
    ...(before.length === 0 ? [] : [`    depends_on: [${before.join(", ")}]`]),
  ];
}

interface Application {
  readonly name: string;
  readonly lines: readonly string[];
  readonly config: readonly string[];
  /** Whether it lives in the gateway's network, which has to be there first. */
  readonly follows: boolean;
  readonly volume: { readonly name: string; readonly folder: string } | undefined;
}

/** Where the table looks for it, it listens: at its name, at the gateway's loopback, or at a socket. */
function fpmService({ address, roots }: Connected, at: number): Application {
  const socket = address.startsWith("unix:") ? address.slice("unix:".length) : undefined;
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  const isName = socket === undefined && /^[a-z][a-z0-9-]*$/.test(host) && host !== "localhost";
  const isLocal = socket === undefined && !isName;
  const name = isName ? host : at === 0 ? "php" : `php${at + 1}`;
  const socketFolder = socket?.slice(0, socket.lastIndexOf("/"));
  const volume = socketFolder === undefined
    ? undefined
    : { name: `${name}-run`, folder: socketFolder };
  const trees = roots.map((root) => `${root}:${root}:ro`);
  const mounts = [...trees, ...(volume === undefined ? [] : [`${volume.name}:${volume.folder}`])];
  const listen = socket ?? (isName ? port : `127.0.0.1:${port}`);
  return {
    name,
    volume,
    follows: isLocal,
    lines: [
      `  ${name}:`,
      "    image: php:8.4-fpm",
      "    restart: unless-stopped",
      ...(isLocal ? ['    network_mode: "service:portico"'] : []),
      "    volumes:",
      ...mounts.map((mount) => `      - ${text(mount)}`),
      "    configs:",
      `      - { source: ${name}-pool, target: /usr/local/etc/php-fpm.d/zz-portico.conf }`,
    ],
    config: [
      `  ${name}-pool:`,
      "    content: |",
      "      [www]",
      `      listen = ${listen}`,
      ...(socket === undefined ? [] : ["      listen.mode = 0666"]),
    ],
  };
}

function text(value: string): string {
  return JSON.stringify(value);
}
