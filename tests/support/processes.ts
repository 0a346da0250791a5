/** The processes that a test's gateway has started, and theirs: found by what stands in their environ. */

/** Ids of running processes (not zombies) whose environ holds `NAME=value`. Linux alone. */
export function processesWith(variable: string): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (
      /^\d+$/.test(name) && Number(name) !== Deno.pid && environOf(name).includes(`\0${variable}\0`)
    ) {
      found.push(Number(name));
    }
  }
  return found;
}

function environOf(pid: string): string {
  try {
    return `\0${new TextDecoder().decode(Deno.readFileSync(`/proc/${pid}/environ`))}`;
  } catch {
    // It has ended, or belongs to somebody else.
    return "";
  }
}
