/**
 * A unit for systemd that grants as little as the table allows: systemd guards the system from the programs
 * that Portico starts, which the runtime's permissions do not bind.
 */
import { commandOf, type Plan, portsOf, stopSeconds } from "./plan.ts";

export function systemdUnit(plan: Plan): string {
  const { configFile, installed, changesUser } = plan;
  const { executable, main } = installed;
  const check = main === undefined ? [executable, "check", "--config", configFile] : [
    executable,
    "run",
    "--no-prompt",
    `--allow-read=${configFile}`,
    main,
    "check",
    "--config",
    configFile,
  ];
  return `# Portico for ${configFile}, by "portico unit systemd". Print it again when the table changes: flags and
# paths follow from it. Try it with: systemd-analyze verify FILE, systemd-analyze security NAME.
[Unit]
Description=Portico, serving ${escapeSpecifiers(configFile)}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=10

[Service]
Type=exec
ExecStartPre=${commandLine(check)}
ExecStart=${commandLine(commandOf(plan))}
ExecReload=/bin/kill -HUP $MAINPID
# The main process drains first (${plan.drainSeconds}s) and ends its programs itself; what is left is killed.
KillMode=mixed
TimeoutStopSec=${stopSeconds(plan)}
Restart=on-failure
RestartSec=1
${main === undefined ? "" : RUNTIME_CACHE}
${changesUser ? AS_ROOT : account(plan)}
${capabilities(plan)}

${MACHINE}

# Of the files: nothing can be written but what the table names.
ProtectSystem=strict
ProtectHome=${homes(plan)}
PrivateTmp=${usesTmp(plan) ? "no" : "yes"}
${folders(plan)}UMask=0027

${SYSTEM}

[Install]
WantedBy=multi-user.target
`;
}

const MACHINE = `# Of the machine
MemoryMax=1G
TasksMax=512
LimitNOFILE=65536
OOMPolicy=continue`;

const SYSTEM = `# Of the system
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# MemoryDenyWriteExecute stays off: the runtime compiles as it goes.`;

const RUNTIME_CACHE =
  `# Modules that the runtime fetched once; fetched at the first start if there are none.
CacheDirectory=portico
Environment=DENO_DIR=/var/cache/portico DENO_NO_UPDATE_CHECK=1`;

const AS_ROOT = `# Routes run programs as other users, which takes the superuser to start with.
User=root`;

/** Files that outlive the service need an owner that does. */
function account(plan: Plan): string {
  const groups = plan.fastcgi.length === 0 ? "" : `
# To reach the sockets of programs, as their group: php-fpm's is www-data on Debian.
#SupplementaryGroups=www-data`;
  // A user made up for the service has a /tmp of its own in any case.
  if (ownFolders(plan).length === 0 && !usesTmp(plan)) return `DynamicUser=yes${groups}`;
  return `# For files that others share: useradd --system portico; what it writes has to be there, and portico's.
User=portico
Group=portico${groups}`;
}

function capabilities(plan: Plan): string {
  const wanted = [
    ...(portsOf(plan).some((port) => port > 0 && port < 1024) ? ["CAP_NET_BIND_SERVICE"] : []),
    ...(plan.changesUser
      ? ["CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_CHOWN", "CAP_DAC_OVERRIDE"]
      : []),
  ];
  return `CapabilityBoundingSet=${wanted.join(" ")}\nAmbientCapabilities=${wanted.join(" ")}`;
}

/** What of its files lies in people's homes: the table, the gateway, the runtime. */
function homes({ configFile, installed, reads, writes }: Plan): string {
  const files = [configFile, installed.executable, installed.main ?? "/", ...reads, ...writes];
  const isHome = (path: string) => /^\/(?:home|root)(?:\/|$)/.test(path);
  if (writes.some(isHome)) return "no";
  return files.some(isHome) ? "read-only" : "yes";
}

/** Folders that are Portico's own in every start, which a private /tmp may hold. */
const FLEETING = /^\/tmp\/portico-[\w-]+(?:\/|$)/;

/** Sockets and files in /tmp that others have to see. */
function usesTmp({ reads, writes, configFile }: Plan): boolean {
  return [configFile, ...reads, ...writes].some((path) =>
    /^(?:\/var)?\/tmp\//.test(path) && !FLEETING.test(path)
  );
}

/** Sockets of others are written to, but not made. */
function ownFolders({ writes, fastcgi }: Plan): readonly string[] {
  const sockets = fastcgi.map(({ address }) => address.replace(/^unix:/, ""));
  return writes.filter((path) =>
    !FLEETING.test(path) && !sockets.includes(path) && !path.startsWith("/run/") &&
    !path.startsWith("/var/run/")
  );
}

/** A socket to listen on lies in a folder below /run, which systemd makes. */
function folders(plan: Plan): string {
  const runs = plan.listen.flatMap((address) => {
    const [, folder] = address.transport === "unix"
      ? /^\/run\/([^/]+)\/[^/]+$/.exec(address.path) ?? []
      : [];
    return folder === undefined ? [] : [folder];
  });
  // All of /tmp where it is everybody's: what is made in it has no name yet.
  const own = [...usesTmp(plan) ? ["/tmp"] : [], ...ownFolders(plan)];
  const paths = own.map((path) => quoted(`-${path}`));
  return [
    ...(runs.length === 0
      ? []
      : [`RuntimeDirectory=${[...new Set(runs)].join(" ")}\nRuntimeDirectoryMode=0755\n`]),
    ...(paths.length === 0 ? [] : [`ReadWritePaths=${paths.join(" ")}\n`]),
  ].join("");
}

/** Words as systemd.service(5) reads them, none of them a variable or a specifier. */
function commandLine(words: readonly string[]): string {
  return words.map((word) => quoted(word.replaceAll("$", "$$$$"))).join(" ");
}

function quoted(word: string): string {
  const text = escapeSpecifiers(word);
  return /^[\w@%+=:,./$*[\]-]+$/.test(text) ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`;
}

function escapeSpecifiers(text: string): string {
  return text.replaceAll("%", "%%");
}
