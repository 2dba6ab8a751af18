// The real programs, as processes.

import {
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "jsr:@std/assert@1";
import { basename, dirname } from "node:path";
import { Client } from "./client.ts";
import { path, read } from "./files.ts";
import { cleanups, witnesses } from "./testing.ts";
import { bytes } from "./text.ts";

/** Starts a command of the shell's, with pipes for all that it reads and says. */
function start(command: string, args: string[] = [], env = {}) {
  const process = new Deno.Command("sh", {
    args: ["-c", command, "sh", ...args],
    cwd: path(""),
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = () => process.kill("SIGKILL");
  cleanups.add(kill);
  process.status.then(() => cleanups.delete(kill));
  return process;
}

/** How a script is started. */
export interface Options {
  port?: number; // of 127.0.0.1, which it is told
  args?: (string | number)[]; // what it is told instead
  permissions?: string[];
  shell?: string; // starts it, as "$@", where more is needed around it
  source?: string; // what the script says, if it is not what its file does
}

/** Starts a script. */
export function spawn(script: string, options: Options = {}) {
  const { port, permissions = ["--allow-net"], shell = 'exec "$@"' } = options;
  const { args = port === undefined ? [] : ["127.0.0.1", port] } = options;
  const file = options.source === undefined ? path(script) : "-";
  const command = [Deno.execPath(), "run", ...permissions, file, ...args];
  return start(shell, command.map(String));
}

/** Reads a stream of bytes as text, as far as it has come. */
class Transcript {
  text = "";
  readonly ended: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#follow(stream.pipeThrough(new TextDecoderStream()));
    witnesses.add(() => this.text);
  }

  async #follow(stream: ReadableStream<string>) {
    for await (const part of stream) {
      this.text += part;
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
    this.#changed.promise.catch(() => {}); // perhaps nobody waits for more
    this.#changed.reject(new Error(`it ended after ${this.text}`));
  }

  /** Resolves when the text contains `part`. */
  async shows(part: string) {
    while (!this.text.includes(part)) await this.#changed.promise;
  }
}

/** A process: what it has said, and what it is to read. */
class Process {
  readonly stdout;
  readonly stderr;
  readonly #stdin;

  constructor(readonly process: ReturnType<typeof start>) {
    this.stdout = new Transcript(process.stdout);
    this.stderr = new Transcript(process.stderr);
    this.#stdin = process.stdin.getWriter();
  }

  /** Types `text`; a program that does not read it any more loses it. */
  async type(text: string) {
    await this.#stdin.write(bytes(text)).catch(() => {});
  }

  async endInput() {
    await this.#stdin.close().catch(() => {});
  }

  /** Waits for its end; returns its status, and what it has said. */
  async over() {
    const { code } = await this.process.status;
    await Promise.all([this.stdout.ended, this.stderr.ended, this.endInput()]);
    return { code, stdout: this.stdout.text, stderr: this.stderr.text };
  }
}

/** Runs a command of the shell's to its end, where `deno` is this Deno. */
export async function sh(command: string) {
  const deno = Deno.execPath();
  if (basename(deno) !== "deno") throw new Error(`${deno} is not named deno`);
  const onPath = `PATH="$DENO_FOLDER:$PATH"\n${command}`;
  const process = new Process(
    start(onPath, [], { DENO_FOLDER: dirname(deno) }),
  );
  await process.endInput();
  return await process.over();
}

/** A script as a process. */
export class Program extends Process {
  constructor(readonly script: string, options: Options = {}) {
    super(spawn(script, options));
    if (options.source) this.type(options.source).then(() => this.endInput());
  }
}

/** Runs a script to its end on `input`. */
export async function run(script: string, options: Options = {}, input = "") {
  const program = new Program(script, options);
  await program.type(input);
  await program.endInput();
  return await program.over();
}

/** A server script as a process. */
export class Server extends Program {
  readonly pid = this.process.pid;
  port = 0;
  greeting = ""; // its first line: where it listens
  mayLog = /^$/; // what it may say after that

  /** Starts a server, and waits until it says where it listens. */
  static async start(script: string, options: Options = {}): Promise<Server> {
    const server = new Server(script, { port: 0, ...options });
    await server.stderr.shows("\n");
    server.greeting = server.stderr.text.split("\n")[0];
    server.port = Number(server.greeting.split(" ").at(-1));
    return server;
  }

  connect = () => Client.connect(this.port);

  /** Sends `data`, half-closes, and returns all that comes. */
  async answer(data: string | Uint8Array): Promise<string> {
    using client = await this.connect();
    await client.send(data);
    await client.conn.closeWrite();
    return await client.rest();
  }

  /** Ends the server, which must be running still, and have said no more. */
  async [Symbol.asyncDispose]() {
    const ended = await Promise.race([this.process.status, undefined]);
    if (!ended) this.process.kill("SIGKILL");
    const { code, stdout, stderr } = await this.over();
    assertMatch(stdout + stderr.replace(`${this.greeting}\n`, ""), this.mayLog);
    assertEquals([ended, code], [undefined, 128 + 9], "it ended by itself");
  }
}

/** Starts a server with `to` in the place of `from`. */
export async function startChanged(script: string, from: string, to: string) {
  const text = await read(script);
  assertStringIncludes(text, from);
  const source = text.replace(from, () => to);
  return await Server.start(script, { source });
}

/** Starts a client, and returns it with the test's own end of the connection. */
export async function startClient(script: string, options: Options = {}) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const program = new Program(script, { port, ...options });
  return { program, server: new Client(await listener.accept()) };
}
