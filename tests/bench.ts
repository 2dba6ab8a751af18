// Loads the scripts, and prints what that takes:
//
//   deno task bench [SCRIPT] [--against COMMAND] [--quick]
//
// SCRIPT (reverb2, say) measures that one alone. COMMAND starts another program
// that does what SCRIPT does, to be measured beside it; the address is added at
// its end. --quick shows only that everything runs, with a hundredth of the load.

import {
  bytes,
  Client,
  delay,
  freePort,
  node,
  path,
  residentBytes,
  TICK,
  times,
} from "./helpers.ts";

/** Runs of each load; the table shows their medians. */
const RUNS = 3;

/** Seconds that an echo takes at the least. */
const IDEAL_SECONDS = 2;

/** Seconds for which the lines of a clock server are counted. */
const CLOCK_SECONDS = 3;

/** What a load took. */
interface Figures {
  /** Beyond the ideal, where there is one. */
  seconds: number;
  /** Lines or megabytes that came, per second. */
  rate: number;
  /** Clients that got all that they waited for. */
  clients: number;
  /** The most memory in use, in megabytes; NaN where the system does not tell. */
  memory: number;
}

interface Load {
  script: string;
  name: string;
  unit: string;
  /** Loads the program that `command` starts once the address is added. */
  measure(command: string[]): Promise<Figures>;
}

const loads = (scale: number): Load[] => [
  echoes(1, 50_000 / scale, 16),
  echoes(100, 1000 / scale, 16),
  echoes(1, 2000 / scale, 60_000),
  echoes(1000 / scale, 20, 16),
  echoes(5000 / scale, 20, 16),
  ticks(2000 / scale),
  download(1e9 / scale, "null"),
  download(1e9 / scale, "piped"),
  upload(1e9 / scale),
];

/** Clients of reverb2 that send all their lines at once. */
function echoes(clients: number, lines: number, size: number): Load {
  const shouts = bytes(
    `${"x".repeat(size - 1)}\n`.repeat(lines),
  );
  const answer = 3 * lines * (size + "\t ".length);
  const name = `${clients} x ${lines} lines of ${size} B`;
  const measure = (command: string[]) =>
    withServer(command, async (port) => {
      let served = 0;
      const total = await stopwatch(() =>
        times(clients, clients, async () => {
          using client = await Client.connect(port);
          const answered = skip(client.conn, answer);
          await client.send(shouts);
          if (await answered === answer) served++;
        })
      );
      const rate = 3 * lines * served / total;
      return { seconds: total - IDEAL_SECONDS, rate, clients: served };
    });
  return { script: "reverb2", name, unit: "lines", measure };
}

/** Clients of clock2 that come all at once. */
function ticks(clients: number): Load {
  const name = `${clients} clients, ${CLOCK_SECONDS} s`;
  const measure = (command: string[]) =>
    withServer(command, async (port) => {
      const connected: Client[] = [];
      const seconds = await stopwatch(() =>
        times(clients, clients, async () => {
          const client = await Client.connect(port);
          if (await skip(client.conn, TICK) === TICK) connected.push(client);
        })
      );
      const counts = connected.map(({ conn }) => skip(conn, Infinity));
      await delay((CLOCK_SECONDS + 0.5) * 1000); // ends between two lines
      for (const { conn } of connected) conn.close();
      const bytes = (await Promise.all(counts)).reduce((a, b) => a + b, 0);
      const rate = bytes / TICK / CLOCK_SECONDS;
      return { seconds, rate, clients: connected.length };
    });
  return { script: "clock2", name, unit: "lines", measure };
}

/** A server that sends `bytes` to netcat1. */
function download(bytes: number, stdout: "null" | "piped"): Load {
  const name = `${bytes / 1e6} MB, ${
    stdout === "null" ? "dropped" : "into a pipe"
  }`;
  const measure = (command: string[]) =>
    withClient(command, "null", stdout, async (conn, process) => {
      const received = stdout === "null" ? bytes : count(process.stdout);
      const server = new Client(conn);
      for (const block of blocks(bytes)) await server.send(block);
      await server.halfClose();
      await process.status;
      return Number(await received === bytes);
    }, bytes);
  return { script: "netcat1", name, unit: "MB", measure };
}

/** A server that takes `bytes` from netcat2. */
function upload(bytes: number): Load {
  const name = `${bytes / 1e6} MB from a pipe`;
  const measure = (command: string[]) =>
    withClient(command, "piped", "null", async (conn, process) => {
      const received = skip(conn, bytes);
      const stdin = process.stdin.getWriter();
      for (const block of blocks(bytes)) await stdin.write(block);
      await stdin.close();
      await process.status;
      return Number(await received === bytes);
    }, bytes);
  return { script: "netcat2", name, unit: "MB", measure };
}

/** Starts a server, loads it, and ends it. */
async function withServer(
  command: string[],
  load: (port: number) => Promise<Omit<Figures, "memory">>,
): Promise<Figures> {
  const port = freePort();
  const process = spawn([...command, `127.0.0.1:${port}`], "null", "null");
  const memory = watchMemory(process.pid);
  try {
    (await Client.whenUp(port)).conn.close();
    return { ...await load(port), memory: memory.peak() };
  } finally {
    memory.stop();
    process.kill("SIGKILL");
    await process.status;
  }
}

/** Starts a client, and loads it; `load` returns how many clients were served. */
async function withClient(
  command: string[],
  stdin: "null" | "piped",
  stdout: "null" | "piped",
  load: (conn: Deno.Conn, process: Deno.ChildProcess) => Promise<number>,
  bytes: number,
): Promise<Figures> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  const process = spawn([...command, address], stdin, stdout);
  const memory = watchMemory(process.pid);
  using conn = await listener.accept();
  let clients = 0;
  const seconds = await stopwatch(async () =>
    clients = await load(conn, process)
  );
  memory.stop();
  return {
    seconds,
    rate: bytes / 1e6 / seconds,
    clients,
    memory: memory.peak(),
  };
}

function spawn(
  [program, ...args]: string[],
  stdin: "null" | "piped",
  stdout: "null" | "piped",
) {
  return new Deno.Command(program, { args, stdin, stdout, stderr: "null" })
    .spawn();
}

/** Follows the memory of a process. */
function watchMemory(pid: number) {
  let peak = NaN;
  const look = () => {
    try {
      peak = Math.max(peak || 0, residentBytes(pid) / 1e6);
    } catch {
      // It has ended, or this system does not tell.
    }
  };
  const timer = setInterval(look, 50);
  return {
    stop: () => clearInterval(timer),
    peak: () => (look(), peak),
  };
}

/** Seconds that `work` takes. */
async function stopwatch(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

/** Reads and drops `bytes`, or what comes before; returns how many came. */
async function skip(conn: Deno.Conn, bytes: number): Promise<number> {
  const buffer = new Uint8Array(
    bytes > 1e6 && bytes < Infinity ? 1 << 20 : 1 << 10,
  );
  let done = 0;
  while (done < bytes) {
    const part = buffer.subarray(0, Math.min(bytes - done, buffer.length));
    const n = await conn.read(part).catch(() => null); // e.g., a reset
    if (n === null) break;
    done += n;
  }
  return done;
}

async function count(stream: ReadableStream<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const block of stream) bytes += block.length;
  return bytes;
}

/** Blocks that make up `bytes` together. */
function* blocks(bytes: number) {
  const block = new Uint8Array(1 << 20);
  for (let left = bytes; left > 0; left -= block.length) {
    yield block.subarray(0, Math.min(left, block.length));
  }
}

const median = (values: number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Prints a row of the table. */
function print([first, ...others]: string[]) {
  const widths = [8, 9, 15, 9, 8];
  const cells = others.map((cell, i) => cell.padStart(widths[i]));
  console.log((first.padEnd(36) + cells.join("")).trimEnd());
}

/** The medians of several measurements, as cells of the table. */
function cells(runs: Figures[], unit: string): string[] {
  const of = (key: keyof Figures) => median(runs.map((run) => run[key]));
  return [
    of("seconds").toFixed(2),
    `${Math.round(of("rate")).toLocaleString("en-US")} ${unit}`,
    String(of("clients")),
    of("memory") ? of("memory").toFixed(0) : "?",
  ];
}

if (import.meta.main) {
  const { values, positionals } = (await node("util")).parseArgs({
    args: Deno.args,
    options: { against: { type: "string" }, quick: { type: "boolean" } },
    allowPositionals: true,
  });
  const [only] = positionals;
  if (values.against && !only) {
    console.error(
      "usage: deno task bench [SCRIPT] [--against COMMAND] [--quick]",
    );
    Deno.exit(2);
  }
  const [scale, runs] = values.quick ? [100, 1] : [1, RUNS];
  print(["", "", "seconds*", "per second", "clients", "MB"]);
  for (const { script, name, unit, measure } of loads(scale)) {
    if (only && script !== only) continue;
    const ours = [
      Deno.execPath(),
      "run",
      "--allow-net",
      path(`${script}.ts`).pathname,
    ];
    const sides = [{ side: "ours", command: ours, figures: [] as Figures[] }];
    if (values.against) {
      sides.push({
        side: "theirs",
        command: values.against.split(" "),
        figures: [],
      });
    }
    // By turns, so that a slow moment of the machine hits both.
    for (let i = 0; i < runs; i++) {
      for (const { command, figures } of sides) {
        figures.push(await measure(command));
      }
    }
    for (const { side, figures } of sides) {
      print([`${script}: ${name}`, side, ...cells(figures, unit)]);
    }
  }
  console.log("\n* reverb2: beyond the two that an echo takes");
}
