// The real programs, as processes.

import { assertEquals } from "jsr:@std/assert@1";
import { Client } from "./client.ts";
import { path } from "./files.ts";
import { cleanups, type Need, witnesses } from "./testing.ts";
import { bytes, textOf } from "./text.ts";
import { eventually } from "./time.ts";

/** What it takes to start a program and talk to it. */
export const PROGRAM: Need[] = ["run", "net"];

/** How a script is started. */
export interface Options {
  args?: string[];
  permissions?: string[];
  env?: Record<string, string>;
  /** What the shell is to do first: set a limit, redirect. */
  shell?: string;
  /** The folder that the script is in, if it is not the project's. */
  folder?: string;
  /** What the script says, if it is not what its file does. */
  source?: string;
}

/** Starts a script with `--allow-net`, and with pipes for all that it reads and says. */
export function start(script: string, options: Options = {}) {
  const { args = [], permissions = ["--allow-net"], shell } = options;
  const folder = options.folder ?? path("");
  const file = options.source === undefined ? script : "-";
  const command = [Deno.execPath(), "run", ...permissions, file, ...args];
  const [program, ...rest] = shell === undefined
    ? command
    : ["sh", "-c", `${shell}; exec "$@"`, "sh", ...command];
  const process = new Deno.Command(program, {
    args: rest,
    cwd: folder,
    env: { NO_COLOR: "1", ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = () => process.kill("SIGKILL");
  cleanups.add(kill);
  process.status.then(() => cleanups.delete(kill));
  return process;
}

/** Writes `text` to the stdin of `process`, and ends it. */
export async function type(process: Deno.ChildProcess, text: string) {
  const stdin = process.stdin.getWriter();
  // A program that ends without reading breaks the pipe; its status tells why.
  await stdin.write(bytes(text)).catch(() => {});
  await stdin.close().catch(() => {});
}

/** Runs a script to its end on `input`. */
export async function run(script: string, options: Options = {}, input = "") {
  const process = start(script, options);
  await type(process, options.source ?? input);
  const { code, stdout, stderr } = await process.output();
  return { code, stdout: textOf(stdout), stderr: textOf(stderr) };
}

/** Calls `write` again and again until `process` has ended; returns its status. */
export async function writeUntilEnded(
  process: Deno.ChildProcess,
  write: () => Promise<void>,
): Promise<number> {
  let code: number | undefined;
  process.status.then((status) => code = status.code);
  await eventually("its end", async () => {
    await write().catch(() => {});
    return code !== undefined;
  });
  return code!;
}

/** Reads a stream of bytes as text, as far as it has come. */
export class Transcript {
  text = "";
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  #open = true;
  #changed = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#follow(stream);
    witnesses.add(() => this.text);
  }

  async #follow(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      this.add(part);
    }
    this.#open = false;
    this.#changed.resolve();
  }

  /** Adds what is known from elsewhere, such as what was typed. */
  add(part: string) {
    this.text += part;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Resolves when the text contains `part`. */
  async shows(part: string) {
    while (!this.text.includes(part)) {
      if (!this.#open) throw new Error(`${part} is missing from ${this.text}`);
      await this.#changed.promise;
    }
  }
}

/** A server script as a process. */
export class Server {
  readonly process;
  readonly #stdout;
  readonly stderr;
  port = 0;

  private constructor(script: string, options: Options) {
    this.process = start(script, { args: ["127.0.0.1", "0"], ...options });
    this.#stdout = new Transcript(this.process.stdout);
    this.stderr = new Transcript(this.process.stderr);
  }

  /** Starts a server, and waits until it says where it listens. */
  static async start(script: string, options: Options = {}): Promise<Server> {
    const server = new Server(script, options);
    await type(server.process, options.source ?? "");
    await server.stderr.shows("\n");
    server.port = Number(server.greeting.split(" ").at(-1));
    return server;
  }

  get pid() {
    return this.process.pid;
  }

  /** The first line: where it listens. */
  get greeting() {
    return this.stderr.text.split("\n")[0];
  }

  /** What it has said since, on both streams. */
  get log() {
    return this.#stdout.text + this.stderr.text.replace(/^.*\n/, "");
  }

  connect(): Promise<Client> {
    return Client.connect(this.port);
  }

  /** Sends `data`, half-closes, and returns all that comes. */
  async answer(data: string | Uint8Array): Promise<string> {
    using client = await this.connect();
    await client.send(data);
    await client.conn.closeWrite();
    return await client.rest();
  }

  /** Ends the server, which must be running still. */
  async [Symbol.asyncDispose]() {
    this.process.kill("SIGKILL");
    const { signal } = await this.process.status;
    await Promise.all([this.#stdout.ended, this.stderr.ended]);
    assertEquals(signal, "SIGKILL", `the server ended by itself: ${this.log}`);
  }
}

/** Starts a client, and returns it with the test's own end of the connection. */
export async function startClient(script: string) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = ["127.0.0.1", String(listener.addr.port)];
  const process = start(script, { args });
  const stderr = new Transcript(process.stderr);
  const server = new Client(await listener.accept());
  return { process, stderr, server };
}

/**
 * Types the lines of `session` that are not indented into netcat2, each when all
 * that stands before it has appeared, and checks that a terminal shows the rest.
 */
export async function replay(script: string, session: string) {
  await using server = await Server.start(script);
  const args = ["127.0.0.1", String(server.port)];
  const process = start("netcat2.ts", { args });
  const terminal = new Transcript(process.stdout);
  const stderr = new Transcript(process.stderr);
  const stdin = process.stdin.getWriter();
  let shown = "";
  for (const line of session.split(/(?<=\n)/)) {
    if (!line.startsWith("\t")) {
      await terminal.shows(shown);
      terminal.add(line);
      await stdin.write(bytes(line));
    }
    shown += line;
  }
  await terminal.shows(session.match(/.*\n$/)![0]);
  await stdin.close(); // ^D
  assertEquals((await process.status).code, 0);
  await Promise.all([terminal.ended, stderr.ended]);
  assertEquals(terminal.text, session);
  assertEquals(stderr.text + server.log, "");
}
