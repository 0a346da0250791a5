/** The open files of this process that lay below a folder and have lost their names. Linux alone. */
export function spoolFiles(folder: string): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const target = readLink(`/proc/self/fd/${name}`);
    if (target.startsWith(`${folder}/`) && target.endsWith(" (deleted)")) found.push(target);
  }
  return found;
}

function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    // Closed meanwhile.
    return "";
  }
}
