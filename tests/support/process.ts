// The real programs, as processes.

import { assertEquals } from "jsr:@std/assert@1";
import { Client } from "./client.ts";
import { path } from "./files.ts";
import { cleanups, witnesses } from "./testing.ts";
import { bytes } from "./text.ts";

/** How a script is started. */
export interface Options {
  args?: (string | number)[];
  permissions?: string[];
  env?: Record<string, string>;
  /** How the shell starts it, as "$@". */
  shell?: string;
  /** The folder that the script is in, if it is not the project's. */
  folder?: string;
  /** What the script says, if it is not what its file does. */
  source?: string;
}

/** Starts a script, with pipes for all that it reads and says. */
export function spawn(script: string, options: Options = {}) {
  const { args = [], permissions = ["--allow-net"], shell } = options;
  const file = options.source === undefined ? script : "-";
  const command = [Deno.execPath(), "run", ...permissions, file, ...args];
  const [program, ...rest] = (shell ? ["sh", "-c", shell, "sh"] : [])
    .concat(command.map(String));
  const process = new Deno.Command(program, {
    args: rest,
    cwd: options.folder ?? path(""),
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

/** A script as a process. */
export class Program {
  readonly process;
  readonly stdout;
  readonly stderr;
  readonly #stdin;

  constructor(script: string, options: Options = {}) {
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
  port = 0;

  /** Starts a server, and waits until it says where it listens. */
  static async start(script: string, options: Options = {}): Promise<Server> {
    const server = new Server(script, { args: ["127.0.0.1", 0], ...options });
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
    return this.stdout.text + this.stderr.text.replace(/^.*\n/, "");
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
    const { code } = await this.over();
    assertEquals(code, 128 + 9, `the server ended by itself: ${this.log}`);
  }
}

/** Starts a client, and returns it with the test's own end of the connection. */
export async function startClient(script: string, options: Options = {}) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = ["127.0.0.1", listener.addr.port];
  const program = new Program(script, { args, ...options });
  return { program, server: new Client(await listener.accept()) };
}

/**
 * Types the lines of `session` that are not indented into netcat2, each when all
 * that stands before it has appeared, and checks that a terminal shows the rest.
 */
export async function replay(script: string, session: string) {
  await using server = await Server.start(script);
  const args = ["127.0.0.1", server.port];
  const netcat = new Program("netcat2.ts", { args });
  let shown = "";
  for (const line of session.split(/(?<=\n)/)) {
    if (!line.startsWith("\t")) {
      await netcat.stdout.shows(shown);
      netcat.stdout.add(line);
      await netcat.type(line);
    }
    shown += line;
  }
  await netcat.stdout.shows(session.match(/.*\n$/)![0]);
  await netcat.endInput(); // ^D
  assertEquals(await netcat.over(), { code: 0, stdout: session, stderr: "" });
  assertEquals(server.log, "");
}
