// What Linux tells of a process. (A shell reads /proc: Deno itself would want
// to be allowed everything.)

import { sh } from "./process.ts";

/**
 * Megabytes of memory that a process has in use, and has had at the most; NaN
 * where that cannot be known, and NaN is within no limit.
 */
export async function memoryOf(pid: number) {
  const { stdout } = await sh(
    `awk '/VmHWM|VmRSS/ { print $2 * 1024e-6 }' /proc/${pid}/status`,
  );
  const [peak, now = NaN] = stdout.split("\n").map(parseFloat);
  return { peak, now };
}

/**
 * How many TCP sockets a process has open. They are counted as all sockets but
 * those of the kernel's list of Unix sockets, of which Deno has some: a TCP
 * socket that was reset is in no list of the kernel's.
 */
export async function tcpSocketsOf(pid: number) {
  const { stdout } = await sh(
    `ls -l /proc/${pid}/fd | sed -n 's/.*socket:\\[\\(.*\\)]/\\1/p' |
      awk 'NR == FNR { unix[$7] } NR > FNR && !($1 in unix)' /proc/net/unix - |
      wc -l`,
  );
  return parseFloat(stdout);
}
