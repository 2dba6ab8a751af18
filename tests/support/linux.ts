// What Linux tells of a process. (A shell reads /proc: Deno itself would want
// to be allowed everything.)

import { textOf } from "./text.ts";

/** The numbers that a shell command prints, one on each line. */
async function numbersFrom(command: string) {
  const args = ["-c", command];
  const { stdout } = await new Deno.Command("sh", { args }).output();
  return textOf(stdout).split("\n").map(Number);
}

/** Megabytes of memory that a process has in use, and has had at the most. */
export async function memoryOf(pid: number) {
  const [peak, now] = await numbersFrom(
    `awk '/VmHWM|VmRSS/ { print $2 * 1024e-6 }' /proc/${pid}/status`,
  );
  return { peak, now };
}

/**
 * How many TCP sockets a process has open. They are counted as all sockets but
 * those of the kernel's list of Unix sockets, of which Deno has some: a TCP
 * socket that was reset is in no list of the kernel's.
 */
export async function tcpSocketsOf(pid: number) {
  const [count] = await numbersFrom(
    `ls -l /proc/${pid}/fd | sed -n 's/.*socket:\\[\\(.*\\)]/\\1/p' |
      awk 'NR == FNR { unix[$7] } NR > FNR && !($1 in unix)' /proc/net/unix - |
      wc -l`,
  );
  return count;
}
