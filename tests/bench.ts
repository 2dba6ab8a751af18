// Loads the programs, and prints what that takes:
//
//   deno task bench [SCRIPT] [--against COMMAND] [--quick]
//
// SCRIPT (reverb2, say) measures that one alone. COMMAND starts another program
// that does what SCRIPT does, to be measured beside it, by turns. All programs
// use their default address. --quick shows only that everything runs, with a
// hundredth of the load.

import { parseArgs } from "node:util";
import { Client, listening, reasonNotToListen } from "./support/client.ts";
import { path } from "./support/files.ts";
import { peakBytes } from "./support/kernel.ts";
import { bytes, textOf, TICK } from "./support/text.ts";
import { delay, stopwatch, times } from "./support/time.ts";

const ADDRESS = { hostname: "localhost", port: 8000 };

/** Runs of each load; the table shows their medians. */
const RUNS = 3;

/** Seconds that an echo takes at the least. */
const IDEAL_SECONDS = 2;

/** Seconds for which the lines of a clock are counted. */
const CLOCK_SECONDS = 3;

/** What a load took. What is left out does not apply. */
interface Figures {
  seconds: number;
  /** Lines or megabytes that came, per second. */
  rate: number;
  /** Clients that got all that they waited for. */
  clients?: number;
  /** The most memory in use, in megabytes, where the system tells. */
  memory?: number;
}

interface Load {
  script: string;
  /** What is done. */
  name: string;
  unit: "lines" | "MB";
  /** Loads the program that `command` starts. */
  measure(command: string[]): Promise<Figures>;
}

const loads = (scale: number): Load[] => [
  echoes(1, 50_000 / scale, 16),
  echoes(100, 1000 / scale, 16),
  echoes(1, 2000 / scale, 60_000),
  echoes(1000 / scale, 20, 16),
  echoes(5000 / scale, 20, 16),
  ticks(10_000 / scale),
  download(2e9 / scale, "null"),
  download(2e9 / scale, "piped"),
  upload(2e9 / scale),
];

const plural = (n: number, what: string) =>
  `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;

/** Clients of reverb2 that send all their lines at once. */
function echoes(clients: number, lines: number, size: number): Load {
  const shouts = bytes(`${"x".repeat(size - 1)}\n`.repeat(lines));
  const answer = 3 * lines * (size + "\t ".length);
  return {
    script: "reverb2",
    name: `${plural(clients, "client")} x ${
      plural(lines, "line")
    } of ${size} B`,
    unit: "lines",
    measure: (command) =>
      withServer(command, async () => {
        let served = 0;
        const total = await stopwatch(() =>
          times(clients, clients, async () => {
            using client = await Client.connect(ADDRESS.port);
            const answered = skip(client.conn, answer);
            await client.send(shouts);
            if (await answered === answer) served++;
          })
        );
        const rate = 3 * lines * served / total;
        return { seconds: total - IDEAL_SECONDS, rate, clients: served };
      }),
  };
}

/** Clients of clock2 that come all at once. */
function ticks(clients: number): Load {
  return {
    script: "clock2",
    name: `${plural(clients, "client")}, until each has the time`,
    unit: "lines",
    measure: (command) =>
      withServer(command, async () => {
        const connected: Client[] = [];
        const seconds = await stopwatch(() =>
          times(clients, 256, async () => {
            const client = await Client.connect(ADDRESS.port);
            if (await skip(client.conn, TICK) === TICK) connected.push(client);
          })
        );
        const counts = connected.map(({ conn }) => skip(conn, Infinity));
        await delay((CLOCK_SECONDS + 0.5) * 1000); // ends between two lines
        for (const { conn } of connected) conn.close();
        const bytes = (await Promise.all(counts)).reduce((a, b) => a + b, 0);
        const rate = bytes / TICK / CLOCK_SECONDS;
        return { seconds, rate, clients: connected.length };
      }),
  };
}

/** A server that sends `total` bytes to netcat1. */
function download(total: number, stdout: "null" | "piped"): Load {
  // A pipe has another process at its end, which counts.
  const counted = ["sh", "-c", '"$@" | wc -c', "sh"];
  return {
    script: "netcat1",
    name: `${total / 1e9} GB ${stdout === "null" ? "dropped" : "into a pipe"}`,
    unit: "MB",
    measure: (command) => {
      const whole = stdout === "null" ? command : [...counted, ...command];
      return withClient(
        whole,
        total,
        "null",
        stdout,
        async (server, process) => {
          for (const block of blocks(total)) await server.send(block);
          const memory = stdout === "null"
            ? await peakOf(process.pid)
            : undefined;
          await server.conn.closeWrite();
          if (stdout === "piped") {
            const [count] = await Array.fromAsync(process.stdout, textOf);
            if (Number(count) !== total) throw new Error("bytes were lost");
          }
          await process.status;
          return memory;
        },
      );
    },
  };
}

/** A server that takes `total` bytes from netcat2. */
function upload(total: number): Load {
  return {
    script: "netcat2",
    name: `${total / 1e9} GB from a pipe`,
    unit: "MB",
    measure: (command) =>
      withClient(command, total, "piped", "null", async (server, process) => {
        const received = skip(server.conn, total);
        const stdin = process.stdin.getWriter();
        for (const block of blocks(total)) await stdin.write(block);
        if (await received !== total) throw new Error("bytes were lost");
        const memory = await peakOf(process.pid);
        await stdin.close();
        await process.status;
        return memory;
      }),
  };
}

/** Starts a server, loads it, and ends it. */
async function withServer(
  command: string[],
  load: () => Promise<Figures>,
): Promise<Figures> {
  const process = spawn(command, "null", "null");
  try {
    await listening(ADDRESS.port);
    return { ...await load(), memory: await peakOf(process.pid) };
  } finally {
    process.kill("SIGKILL");
    await process.status;
  }
}

/** Starts a client, and loads it; `load` returns the memory that it took. */
async function withClient(
  command: string[],
  total: number,
  stdin: "null" | "piped",
  stdout: "null" | "piped",
  load: (
    server: Client,
    process: Deno.ChildProcess,
  ) => Promise<number | undefined>,
): Promise<Figures> {
  using listener = Deno.listen(ADDRESS);
  const process = spawn(command, stdin, stdout);
  using server = new Client(await listener.accept());
  let memory: number | undefined;
  const seconds = await stopwatch(async () => {
    memory = await load(server, process);
  });
  return { seconds, rate: total / 1e6 / seconds, memory };
}

function spawn(
  [program, ...args]: string[],
  stdin: "null" | "piped",
  stdout: "null" | "piped",
) {
  return new Deno.Command(program, { args, stdin, stdout, stderr: "null" })
    .spawn();
}

const peakOf = async (pid: number) => await peakBytes(pid) / 1e6 || undefined;

/** Reads and drops `total` bytes, or what comes before; returns how many came. */
async function skip(conn: Deno.Conn, total: number): Promise<number> {
  const buffer = new Uint8Array(total > 1e6 && total < Infinity ? 1e6 : 1000);
  let done = 0;
  while (done < total) {
    const part = buffer.subarray(0, Math.min(total - done, buffer.length));
    const n = await conn.read(part).catch(() => null); // e.g., a reset
    if (n === null) break;
    done += n;
  }
  return done;
}

/** Blocks that make up `total` bytes together. */
function* blocks(total: number) {
  const block = new Uint8Array(1e6);
  for (let left = total; left > 0; left -= block.length) {
    yield block.subarray(0, Math.min(left, block.length));
  }
}

/** Prints a row of the table. */
function print([first, ...others]: string[]) {
  const widths = [8, 9, 16, 9, 8];
  const cells = others.map((cell, i) => cell.padStart(widths[i]));
  console.log((first.padEnd(44) + cells.join("")).trimEnd());
}

/** The medians of several measurements, as cells of the table. */
function cells(runs: Figures[], unit: string): string[] {
  const of = (key: keyof Figures) => {
    const values = runs.map((run) => run[key] ?? NaN).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)];
  };
  const shown = (n: number) =>
    isNaN(n) ? "" : Math.round(n).toLocaleString("en-US");
  return [
    of("seconds").toFixed(2),
    `${shown(of("rate"))} ${unit}`,
    shown(of("clients")),
    shown(of("memory")),
  ];
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { against: { type: "string" }, quick: { type: "boolean" } },
    allowPositionals: true,
  });
  const [only] = positionals;
  const [scale, runs] = values.quick ? [100, 1] : [1, RUNS];
  const chosen = loads(scale).filter(({ script }) => !only || script === only);
  if (chosen.length === 0) throw new Error(`${only} is not measured`);
  if (values.against && !only) throw new Error("--against needs a SCRIPT");
  const taken = reasonNotToListen(ADDRESS.hostname, ADDRESS.port);
  if (taken) throw new Error(`localhost port ${ADDRESS.port}: ${taken}`);
  print(["", "", "seconds*", "per second", "clients", "MB"]);
  for (const { script, name, unit, measure } of chosen) {
    const file = path(`${script}.ts`);
    const ours = [Deno.execPath(), "run", "--allow-net", file];
    const sides = [{ side: "ours", command: ours, figures: [] as Figures[] }];
    if (values.against) {
      const command = values.against.split(" ");
      sides.push({ side: "theirs", command, figures: [] });
    }
    for (let i = 0; i < runs; i++) {
      // By turns, so that a slow moment of the machine hits both.
      for (const { command, figures } of sides) {
        figures.push(await measure(command));
      }
    }
    for (const { side, figures } of sides) {
      print([`${script}: ${name}`, side, ...cells(figures, unit)]);
    }
  }
  console.log(`\n* reverb2: beyond the ${IDEAL_SECONDS} that an echo takes`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
