// Loads the programs, and prints how many seconds and megabytes that takes:
//
//   deno task bench [SCRIPT] [--against COMMAND] [--quick]
//
// SCRIPT (reverb2, say) measures that one alone; COMMAND starts another program
// that does the same, to be measured beside it, by turns. All programs use their
// default address. --quick shows that everything runs, with 1 % of the load.

import { parseArgs } from "node:util";
import { Client } from "./support/client.ts";
import { path } from "./support/files.ts";
import { memoryOf } from "./support/linux.ts";
import { bytes, TICK } from "./support/text.ts";
import { eventually, stopwatch, times } from "./support/time.ts";

const ADDRESS = { hostname: "localhost", port: 8000 };
const MEGABYTE = new Uint8Array(1e6);

/** What is done with a script. A client is connected to `peer`. */
type Work = (peer: Client) => Promise<unknown>;

/** Where a script needs a pipe, the shell starts it, as "$@". */
type Load = [script: string, name: string, work: Work, shell?: string];

function loads(scale: number): Load[] {
  const megabytes = 2000 / scale;
  const send: Work = (peer) => times(megabytes, 1, () => peer.send(MEGABYTE));
  const take: Work = (peer) => peer.skip(megabytes * 1e6);
  const zeros = `head -c ${megabytes}MB /dev/zero | "$@"`;
  return [
    echoes(1, 50_000 / scale, 16),
    echoes(1, 100_000 / scale, 16), // beyond what one client may have at once
    echoes(100, 1000 / scale, 16),
    echoes(1, 2000 / scale, 60_000),
    echoes(1000 / scale, 20, 16),
    echoes(5000 / scale, 20, 16),
    ticks(10_000 / scale),
    ["netcat1", `${megabytes} MB, dropped`, send],
    ["netcat1", `${megabytes} MB, to a pipe`, send, '"$@" | cat'],
    ["netcat2", `${megabytes} MB, from a pipe`, take, zeros],
  ];
}

/** Clients of reverb2 that send all their lines at once. */
function echoes(clients: number, lines: number, size: number): Load {
  const shouts = bytes(`${"x".repeat(size - 1)}\n`.repeat(lines));
  const work = () =>
    times(clients, clients, async () => {
      using client = await Client.connect(ADDRESS.port);
      const answered = client.skip(3 * lines * (size + "\t ".length));
      await client.send(shouts);
      await answered;
    });
  const name = `${clients} client(s) x ${lines} lines of ${size} bytes`;
  return ["reverb2", name, work];
}

/** Clients of clock2 that come all at once, and stay. */
function ticks(clients: number): Load {
  const work = async () => {
    using connected = new DisposableStack();
    await times(clients, 256, async () => {
      const client = connected.use(await Client.connect(ADDRESS.port));
      await client.skip(TICK);
    });
  };
  return ["clock2", `${clients} clients, until each has the time`, work];
}

/** Whether a server listens. */
const listens = () =>
  Client.connect(ADDRESS.port).then(({ conn }) => {
    conn.close();
    return true;
  }, () => false);

/** Seconds (reverb2's beyond two) and megabytes (if known) that a load takes. */
async function measure(command: string[], [script, , work, shell]: Load) {
  const server = !script.startsWith("netcat");
  using listener = server ? undefined : Deno.listen(ADDRESS);
  const [program, ...args] = (shell ? ["sh", "-c", shell, "sh"] : [])
    .concat(command);
  const pipes = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const process = new Deno.Command(program, { args, ...pipes }).spawn();
  try {
    if (server) await eventually(listens);
    using peer = listener && new Client(await listener.accept());
    const seconds = await stopwatch(() => work(peer!));
    const memory = shell ? NaN : (await memoryOf(process.pid)).peak;
    return [script === "reverb2" ? seconds - 2 : seconds, memory];
  } finally {
    if (server) process.kill("SIGKILL");
    await process.status;
  }
}

/** Prints a row: the medians of what `runs` took, as far as they are known. */
function print([script, name]: Load, side: string, runs: number[][]) {
  const [seconds, megabytes] = [0, 1].map((i) =>
    runs.map((run) => run[i]).sort((a, b) => a - b)[runs.length >> 1]
  );
  const what = `${script}: ${name}`.padEnd(54) + side.padEnd(6);
  const memory = isNaN(megabytes) ? "" : `${megabytes.toFixed()} MB`;
  console.log(`${what} ${seconds.toFixed(2)} s ${memory}`.trimEnd());
}

async function main() {
  const { values: { against, quick }, positionals: [only] } = parseArgs({
    options: { against: { type: "string" }, quick: { type: "boolean" } },
    allowPositionals: true,
  });
  const chosen = loads(quick ? 100 : 1)
    .filter(([script]) => !only || script === only);
  if (chosen.length === 0) throw new Error(`${only} is not measured`);
  if (against && !only) throw new Error("--against needs a SCRIPT");
  try {
    Deno.listen(ADDRESS).close();
  } catch (error) {
    throw new Error(`localhost port 8000: ${(error as Error).message}`);
  }
  for (const load of chosen) {
    const ours = [Deno.execPath(), "run", "--allow-net", path(`${load[0]}.ts`)];
    const runs: number[][][] = [[], []];
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      // By turns, so that a slow moment of the machine hits both.
      runs[0].push(await measure(ours, load));
      if (against) runs[1].push(await measure(against.split(" "), load));
    }
    print(load, "ours", runs[0]);
    if (against) print(load, "theirs", runs[1]);
  }
  console.log("\nOf reverb2, the seconds beyond the two that an echo takes.");
}

await main().catch((error) => {
  console.error(`bench: ${error.message}`);
  Deno.exit(1);
});
