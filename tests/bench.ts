// Loads the programs, and prints how many seconds and megabytes that takes:
//
//   deno task bench [SCRIPT] [--against COMMAND] [--quick]
//
// SCRIPT (reverb2, say) measures that one alone. COMMAND starts another program
// that does what SCRIPT does, to be measured beside it, by turns. All programs
// use their default address. --quick shows only that everything runs, with a
// hundredth of the load.

import { parseArgs } from "node:util";
import { Client, listening } from "./support/client.ts";
import { path } from "./support/files.ts";
import { peakBytes } from "./support/kernel.ts";
import { bytes, TICK } from "./support/text.ts";
import { stopwatch, times } from "./support/time.ts";

const ADDRESS = { hostname: "localhost", port: 8000 };

/** Runs of each load; the table shows their medians. */
const RUNS = 3;

interface Load {
  script: string;
  /** What is done. */
  name: string;
  /** Seconds that it takes at the least, and that do not count. */
  ideal?: number;
  /** How the shell starts a client, as "$@", where it is to have a pipe. */
  shell?: string;
  /** Loads a server, or the client that is connected to `peer`. */
  work(peer?: Client): Promise<unknown>;
}

const loads = (scale: number): Load[] => [
  echoes(1, 50_000 / scale, 16),
  echoes(100, 1000 / scale, 16),
  echoes(1, 2000 / scale, 60_000),
  echoes(1000 / scale, 20, 16),
  echoes(5000 / scale, 20, 16),
  ticks(10_000 / scale),
  download(2000 / scale),
  { ...download(2000 / scale), shell: '"$@" | cat' },
  upload(2000 / scale),
];

const MEGABYTE = new Uint8Array(1e6);

const plural = (n: number, what: string) =>
  `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;

/** Clients of reverb2 that send all their lines at once. */
function echoes(clients: number, lines: number, size: number): Load {
  const shouts = bytes(`${"x".repeat(size - 1)}\n`.repeat(lines));
  const sent = `${plural(lines, "line")} of ${plural(size, "byte")}`;
  const name = `${plural(clients, "client")} x ${sent}`;
  const work = () =>
    times(clients, clients, async () => {
      using client = await Client.connect(ADDRESS.port);
      const answered = skip(client.conn, 3 * lines * (size + "\t ".length));
      await client.send(shouts);
      await answered;
    });
  return { script: "reverb2", name, ideal: 2, work };
}

/** Clients of clock2 that come all at once, and stay. */
function ticks(clients: number): Load {
  const name = `${plural(clients, "client")}, until each has the time`;
  const work = async () => {
    const connected: Client[] = [];
    await times(clients, 256, async () => {
      const client = await Client.connect(ADDRESS.port);
      await skip(client.conn, TICK);
      connected.push(client);
    });
    for (const { conn } of connected) conn.close();
  };
  return { script: "clock2", name, work };
}

/** A server that sends to netcat1. */
const download = (megabytes: number): Load => ({
  script: "netcat1",
  name: `${megabytes} MB to stdout`,
  async work(peer) {
    for (let i = 0; i < megabytes; i++) await peer!.send(MEGABYTE);
  },
});

/** A server that takes from netcat2. */
const upload = (megabytes: number): Load => ({
  script: "netcat2",
  name: `${megabytes} MB from stdin`,
  shell: `head -c ${megabytes}MB /dev/zero | "$@"`,
  work: (peer) => skip(peer!.conn, megabytes * 1e6),
});

/** Reads and drops `total` bytes. */
async function skip(conn: Deno.Conn, total: number) {
  const buffer = new Uint8Array(Math.min(total, MEGABYTE.length));
  while (total > 0) {
    const n = await conn.read(buffer.subarray(0, total));
    if (n === null) throw new Error(`${total} bytes are missing`);
    total -= n;
  }
}

/** Starts a program, and loads it: seconds, and megabytes if they are known. */
async function measure(command: string[], load: Load): Promise<number[]> {
  const client = load.script.startsWith("netcat");
  using listener = client ? Deno.listen(ADDRESS) : undefined;
  const [program, ...args] = load.shell
    ? ["sh", "-c", load.shell, "sh", ...command]
    : command;
  const pipes = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const process = new Deno.Command(program, { args, ...pipes }).spawn();
  try {
    if (!client) await listening(ADDRESS.port);
    using peer = listener && new Client(await listener.accept());
    const seconds = await stopwatch(() => load.work(peer));
    const memory = load.shell ? NaN : await peakBytes(process.pid);
    return [seconds - (load.ideal ?? 0), memory / 1e6];
  } finally {
    if (!client) process.kill("SIGKILL");
    await process.status;
  }
}

/** Prints a row: the medians of what `runs` took, blank where it is not known. */
function print(name: string, side: string, runs: number[][]) {
  const cells = [0, 1].map((i) => {
    const figures = runs.map((run) => run[i]).sort((a, b) => a - b);
    const median = figures[Math.floor(figures.length / 2)];
    return isNaN(median) ? "" : median.toFixed(2 - 2 * i).padStart(10);
  });
  console.log(name.padEnd(54) + side.padStart(6) + cells.join(""));
}

async function main() {
  const { values: { against, quick }, positionals: [only] } = parseArgs({
    options: { against: { type: "string" }, quick: { type: "boolean" } },
    allowPositionals: true,
  });
  const chosen = loads(quick ? 100 : 1)
    .filter(({ script }) => !only || script === only);
  if (chosen.length === 0) throw new Error(`${only} is not measured`);
  if (against && !only) throw new Error("--against needs a SCRIPT");
  try {
    Deno.listen(ADDRESS).close();
  } catch (error) {
    throw new Error(`localhost port 8000: ${(error as Error).message}`);
  }
  console.log(" ".repeat(61) + "seconds*       MB");
  for (const load of chosen) {
    const file = path(`${load.script}.ts`);
    const sides: Record<string, string[]> = {
      ours: [Deno.execPath(), "run", "--allow-net", file],
    };
    if (against) sides.theirs = against.split(" ");
    const runs: Record<string, number[][]> = { ours: [], theirs: [] };
    for (let i = 0; i < (quick ? 1 : RUNS); i++) {
      // By turns, so that a slow moment of the machine hits both.
      for (const [side, command] of Object.entries(sides)) {
        runs[side].push(await measure(command, load));
      }
    }
    const pipe = load.shell ? ", through a pipe" : "";
    for (const side of Object.keys(sides)) {
      print(`${load.script}: ${load.name}${pipe}`, side, runs[side]);
    }
  }
  console.log("\n* of reverb2, beyond the two that an echo takes");
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
