// What Linux tells of a process. (Deno itself may not read what is in /proc.)

async function output(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args }).output();
  return new TextDecoder().decode(stdout);
}

/** The most memory that a process has had, in MB; NaN where nobody tells. */
export async function peakOf(pid: number): Promise<number> {
  const status = await output("cat", `/proc/${pid}/status`).catch(() => "");
  return Math.round(Number(status.match(/VmHWM:\s+(\d+)/)?.[1]) * 1024 / 1e6);
}

/** How many files and connections a process has open. */
export const openOf = async (pid: number) =>
  (await output("ls", `/proc/${pid}/fd`)).split("\n").length;
