// The real programs, as processes.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { Client } from "./client.ts";
import { path } from "./files.ts";
import { cleanups, witnesses } from "./testing.ts";
import { bytes } from "./text.ts";

/** How a script is started. */
export interface Options {
  port?: number; // of 127.0.0.1, which it is told
  args?: (string | number)[]; // what it is told instead
  permissions?: string[];
  shell?: string; // starts it, as "$@"
  source?: string; // what the script says, if it is not what its file does
}

/** Starts a script, with pipes for all that it reads and says. */
export function spawn(script: string, options: Options = {}) {
  const { port, permissions = ["--allow-net"] } = options;
  const { args = port === undefined ? [] : ["127.0.0.1", port] } = options;
  const file = options.source === undefined ? path(script) : "-";
  const command = [Deno.execPath(), "run", ...permissions, file, ...args];
  const process = new Deno.Command("sh", {
    args: ["-c", options.shell ?? 'exec "$@"', "sh", ...command.map(String)],
    cwd: path(""),
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const kill = () => process.kill("SIGKILL");
  cleanups.add(kill);
  process.status.then(() => cleanups.delete(kill));
  return process;
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

/** A script as a process. */
export class Program {
  readonly process;
  readonly stdout;
  readonly stderr;
  readonly #stdin;

  constructor(readonly script: string, options: Options = {}) {
    this.process = spawn(script, options);
    this.stdout = new Transcript(this.process.stdout);
    this.stderr = new Transcript(this.process.stderr);
    this.#stdin = this.process.stdin.getWriter();
    if (options.source) this.type(options.source).then(() => this.endInput());
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

/** Starts a client, and returns it with the test's own end of the connection. */
export async function startClient(script: string, options: Options = {}) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const program = new Program(script, { port, ...options });
  return { program, server: new Client(await listener.accept()) };
}
