// The real scripts, as processes.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { Client } from "./client.ts";
import { within } from "./wait.ts";

export const CLOCKS = ["clock1.ts", "clock2.ts"];
export const REVERBS = ["reverb1.ts", "reverb2.ts"];
export const SERVERS = [...CLOCKS, ...REVERBS];
export const CLIENTS = ["netcat1.ts", "netcat2.ts"];
export const SCRIPTS = [...SERVERS, ...CLIENTS];

/** The folder of the scripts. */
export const FOLDER = `${import.meta.dirname}/../..`;

/** The text of a file, which must contain `part`. */
export async function read(name: string, part = "") {
  const text = await Deno.readTextFile(`${FOLDER}/${name}`);
  if (!text.includes(part)) throw new Error(`${name} has no ${part}`);
  return text;
}

/** What stands in a script, and what is to stand there instead. */
export type Change = readonly [from: string, to: string];

/** The text of a script, changed. */
export async function changed(script: string, ...[from, to]: Change) {
  return (await read(script, from)).replace(from, () => to);
}

/**
 * What a child inherits: what Deno needs to find its cache, and no colours or
 * other settings of whoever runs the tests.
 */
function environment(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME"]
    .concat("USERPROFILE", "LOCALAPPDATA", "SystemRoot", "TEMP")
    .filter((name) => Deno.env.has(name));
  const env = names.map((name) => [name, Deno.env.get(name)]);
  return { NO_COLOR: "1", ...Object.fromEntries(env) };
}

/** What a stream has said so far. */
class Transcript {
  text = "";
  readonly ended: Promise<void>;
  #more = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#follow(stream);
  }

  async #follow(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      this.text += part;
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    }
    this.#more.promise.catch(() => {}); // perhaps nobody waits for more
    this.#more.reject(new Error(`it ended after: ${this.text}`));
  }

  /** Waits until the text contains `part`. */
  async shows(part: string) {
    const shown = async () => {
      while (!this.text.includes(part)) await this.#more.promise;
    };
    await within(20, shown(), () => this.text);
  }
}

/** How a script is started. */
export interface Options {
  flags?: string[]; // what goes before it
  source?: string; // what it says, if not what its file does
  change?: Change; // what is changed in a server
  cwd?: string;
  env?: Record<string, string>;
  shell?: string; // what starts it, as "$@", where more than itself is needed
}

/** A script as a process, which may use the network and nothing else. */
export class Program implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  readonly stdout: Transcript;
  readonly stderr: Transcript;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;

  constructor(name: string, args: unknown[] = [], options: Options = {}) {
    const { flags = ["--allow-net"], source, cwd = FOLDER, shell } = options;
    const file = source === undefined ? name : "-";
    const run = ["run", "--no-prompt", ...flags, file, ...args.map(String)];
    const deno = Deno.execPath();
    this.process = new Deno.Command(shell ? "sh" : deno, {
      args: shell ? ["-c", shell, "sh", deno, ...run] : run,
      cwd,
      clearEnv: true,
      env: { ...environment(), ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    addEventListener("unload", () => this.kill()); // if the test takes too long
    this.stdout = new Transcript(this.process.stdout);
    this.stderr = new Transcript(this.process.stderr);
    this.#stdin = this.process.stdin.getWriter();
    if (source !== undefined) this.type(source).then(() => this.endInput());
  }

  /** Types `text`; a program that does not read it any more loses it. */
  async type(text: string) {
    await this.#stdin.write(new TextEncoder().encode(text)).catch(() => {});
  }

  /** What ^D does. */
  async endInput() {
    await this.#stdin.close().catch(() => {});
  }

  /** Waits for its end: its status, and all that it has said. */
  async end(seconds = 30) {
    const { process: { status }, stdout, stderr } = this;
    const ended = Promise.all([status, stdout.ended, stderr.ended]);
    const said = () => stdout.text + stderr.text;
    const [{ code }] = await within(seconds, ended, said);
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  kill() {
    try {
      this.process.kill();
      this.process.kill("SIGCONT"); // if a test has stopped it
    } catch {
      // it has ended already
    }
  }

  async [Symbol.asyncDispose]() {
    this.kill();
    await this.endInput();
    await this.end();
  }
}

/** Runs a script to its end on `input`. */
export async function run(
  name: string,
  args: unknown[],
  options: Options = {},
  input = "",
) {
  await using program = new Program(name, args, options);
  if (options.source === undefined) {
    await program.type(input);
    await program.endInput();
  }
  return await program.end();
}

/** The status of a process that was killed. */
const KILLED = Deno.build.os === "windows" ? 1 : 128 + 15;

/** A server that says where it listens. */
export class Server implements AsyncDisposable {
  constructor(readonly program: Program, readonly port: number) {}

  static async start(name: string, options: Options = {}): Promise<Server> {
    const { change } = options;
    const source = change && await changed(name, ...change);
    const program = new Program(name, [0], { source, ...options });
    await program.stderr.shows("\n");
    const [, port] = program.stderr.text.match(/port (\d+)\n$/) ?? [];
    return new Server(program, Number(port));
  }

  connect = () => Client.connect(this.port);

  get pid() {
    return this.program.process.pid;
  }

  /** Sends `data`, half-closes, and returns all that comes. */
  async answer(data: string): Promise<string> {
    using client = await this.connect();
    await client.send(data);
    await client.conn.closeWrite();
    return await client.rest();
  }

  /** Ends it; it must be running still, and have said no more than `said`. */
  async stop(said = /^$/) {
    this.program.kill();
    const { code, stdout, stderr } = await this.program.end();
    assertMatch(stdout + stderr.replace(/.*\n/, ""), said);
    assertEquals(code, KILLED, "it has ended by itself");
  }

  /** Waits for its end by a mistake, of which it says `said`. */
  async crashes(said: RegExp) {
    const { code, stderr } = await this.program.end();
    assertMatch(stderr, said);
    assertEquals(code, 1);
  }

  [Symbol.asyncDispose]() {
    return this.program[Symbol.asyncDispose]();
  }
}

/** Starts a client, and returns it with the server's end of its connection. */
export async function startClient(name: string, options: Options = {}) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const program = new Program(name, [listener.addr.port], options);
  const conn = await within(20, listener.accept(), () => program.stderr.text);
  return { program, server: new Client(conn) };
}
