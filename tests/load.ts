// Loads the scripts at their default address, and prints what that takes: the
// medians of three runs. Programs of the same names in a folder that is named,
// such as the book's, are measured beside them, by turns.
//
//   deno task bench [FOLDER]

import { Client } from "./support/client.ts";
import { fail } from "./support/fail.ts";
import { peakOf } from "./support/linux.ts";
import { FOLDER } from "./support/program.ts";
import { all, stopwatch, until } from "./support/wait.ts";

const ADDRESS = { hostname: "127.0.0.1", port: 8000 };
const connect = () => Client.connect(ADDRESS.port);

/** Clients that send all their lines at once, and wait for all voices. */
const echoes = (clients: number, lines: number) => () =>
  all(clients, async () => {
    using client = await connect();
    await client.burst("123456789012345", lines);
  });

/** Clients that come all at once, and wait until they are told the time. */
const ticks = (clients: number) => async () => {
  const crowd = await all(clients, connect);
  await all(clients, (i) => crowd[i].skip("15:04:05\n".length));
  for (const client of crowd) client.conn.close();
};

/** A server that sends 2 GB to a client. */
async function source() {
  using listener = Deno.listen(ADDRESS);
  using client = new Client(await listener.accept());
  const block = new Uint8Array(1e6);
  for (let i = 0; i < 2000; i++) await client.send(block);
}

const LOADS: [string, string, () => Promise<unknown>][] = [
  ["reverb2", "1 client, 50,000 lines", echoes(1, 50_000)],
  ["reverb2", "1 client, 100,000 lines", echoes(1, 100_000)],
  ["reverb2", "100 clients, 1,000 lines each", echoes(100, 1000)],
  ["reverb2", "5,000 clients, 20 lines each", echoes(5000, 20)],
  ["clock2", "5,000 clients, told the time", ticks(5000)],
  ["netcat1", "2 GB, to /dev/null", source],
];

const listens = () =>
  connect().then((client) => client.conn.close()).then(() => true, () => false);

/** Starts a program that says nothing and is told nothing. */
function start([command, ...args]: string[]) {
  try {
    const [stdin, stdout, stderr] = Array<"null">(3).fill("null");
    return new Deno.Command(command, { args, stdin, stdout, stderr }).spawn();
  } catch (error) {
    fail(`${command}: ${(error as Error).message}`);
  }
}

/** Seconds that a load takes a program, and the most MB that it has had. */
async function measure(command: string[], work: () => Promise<unknown>) {
  if (work === source) {
    const both = () => Promise.all([work(), start(command).status]);
    return [await stopwatch(both)];
  }
  const process = start(command);
  await until(listens);
  const measured = [await stopwatch(work), await peakOf(process.pid)];
  process.kill();
  await process.status;
  return measured;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[1];

if (await listens()) fail("another program listens on 127.0.0.1 port 8000");
const [folder] = Deno.args;
for (const [script, name, work] of LOADS) {
  const ours = ["run", "--allow-net", `${FOLDER}/${script}.ts`];
  const commands = [[Deno.execPath(), ...ours]];
  if (folder) commands.push([`${folder}/${script}`]);
  const runs: number[][][] = commands.map(() => []);
  for (let i = 0; i < 3; i++) {
    for (const [k, command] of commands.entries()) {
      runs[k].push(await measure(command, work));
    }
  }
  for (const [k, measured] of runs.entries()) {
    const what = `${script}: ${name}, ${["ours", "theirs"][k]}:`.padEnd(48);
    const [seconds, megabytes] = [0, 1]
      .map((i) => median(measured.map((run) => run[i])));
    // An echo takes two seconds by design.
    const beyond = (seconds - (script === "reverb2" ? 2 : 0)).toFixed(2);
    console.log(what, beyond, "s,", megabytes || "?", "MB");
  }
}
