// What the kernel tells of a process (Linux). It is asked through the shell: to
// read it themselves, tests would need all permissions.

import { textOf } from "./text.ts";

async function sh(script: string, pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", String(pid)],
    stderr: "null",
  }).output();
  return Number(textOf(stdout));
}

/** Bytes of memory that a process has in use. */
export const residentBytes = async (pid: number) =>
  1024 * await sh(`awk '/VmRSS/ {print $2}' /proc/$1/status`, pid);

/** The most bytes of memory that a process has had in use. */
export const peakBytes = async (pid: number) =>
  1024 * await sh(`awk '/VmHWM/ {print $2}' /proc/$1/status`, pid);

/**
 * TCP sockets that a process has open, those that were reset included. Deno has
 * some Unix sockets of its own.
 */
export const tcpSockets = (pid: number) =>
  sh(
    `ls -l /proc/$1/fd | sed -n 's/.*socket:\\[\\(.*\\)]/\\1/p' |
     awk 'NR == FNR { unix[$7] } NR > FNR && !($1 in unix)' /proc/net/unix - | wc -l`,
    pid,
  );
