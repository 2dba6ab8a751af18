// What the tests share: connections in memory, and the real programs as processes.

import { assertEquals } from "jsr:@std/assert@1";

/**
 * A module of Node's, for what Deno's own API lacks. Deno 2.5 would fetch a
 * package of types if its name stood in an `import`.
 */
// deno-lint-ignore no-explicit-any
export const node = (name: string): Promise<any> => import(`node:${name}`);

export const REVERBS = ["reverb1.ts", "reverb2.ts"];
export const SERVERS = ["clock1.ts", "clock2.ts", ...REVERBS];
export const CLIENTS = ["netcat1.ts", "netcat2.ts"];
export const SCRIPTS = [...SERVERS, ...CLIENTS];

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The bytes of `text` in UTF-8. */
export const bytes = (text: string) => encoder.encode(text);

/** The text that `data` is in UTF-8, byte order marks included. */
export const textOf = (data: Uint8Array) => decoder.decode(data);

/** Resolves after `ms` milliseconds. */
export const delay = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The path of a file of this project. */
export const path = (name: string) => new URL(`../${name}`, import.meta.url);

/** The text of a file of this project. */
export const read = (name: string) => Deno.readTextFile(path(name));

/** A line of the clock servers, and how many bytes it has. */
export const TIME = /^\d\d:\d\d:\d\d\n$/;
export const TICK = "15:04:05\n".length;

/** The three voices of an echo, as the servers write them. */
export const voices = (shout: string) => [
  `\t ${shout.toUpperCase()}\n`,
  `\t ${shout}\n`,
  `\t ${shout.toLowerCase()}\n`,
];

/** What reverb1 answers: one echo after the other. */
export const inTurn = (...shouts: string[]) =>
  shouts.flatMap((shout) => voices(shout)).join("");

/** What reverb2 answers to lines that come at once. */
export const overlapping = (...shouts: string[]) =>
  [0, 1, 2].flatMap((i) => shouts.map((shout) => voices(shout)[i])).join("");

/** What is left of the lines of `text` without comments: the code. */
export function codeLines(text: string): string[] {
  return text.split("\n")
    .filter((line) => !/^\s*(\/\/|\/\*\*|\*)/.test(line))
    .map((line) => line.replace(/ +\/\/ .*$/, ""));
}

/** The lines of `a` and `b` as a diff shows them: marked " ", "-" or "+". */
export function difference(a: string[], b: string[]): string[] {
  // same[i][j]: how many lines a from i on and b from j on have in common.
  const same = Array.from(a, () => new Uint32Array(b.length + 1));
  same.push(new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      same[i][j] = a[i] === b[j]
        ? same[i + 1][j + 1] + 1
        : Math.max(same[i + 1][j], same[i][j + 1]);
    }
  }
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(` ${a[i++]}`);
      j++;
    } else if (
      i < a.length && (j === b.length || same[i + 1][j] >= same[i][j + 1])
    ) {
      lines.push(`-${a[i++]}`);
    } else {
      lines.push(`+${b[j++]}`);
    }
  }
  return lines;
}

/**
 * A connection in memory. It gives `chunks` to its readers, then ends; it takes
 * `maxWrite` bytes a write, and fails once it has taken `capacity` bytes.
 */
export function memoryConn(
  chunks: (string | Uint8Array)[] = [],
  { maxWrite = Infinity, capacity = Infinity } = {},
) {
  const input = chunks.map((chunk) =>
    typeof chunk === "string" ? bytes(chunk) : chunk
  );
  const taken: number[] = [];
  const conn = {
    closed: 0,
    /** What each write took. */
    writes: [] as string[],
    text: () => textOf(new Uint8Array(taken)),
    async read(buffer: Uint8Array) {
      await Promise.resolve();
      const chunk = input.shift();
      if (chunk === undefined) return null;
      const n = Math.min(chunk.length, buffer.length);
      buffer.set(chunk.subarray(0, n));
      if (n < chunk.length) input.unshift(chunk.subarray(n));
      return n;
    },
    async write(data: Uint8Array) {
      const part = data.slice(0, maxWrite);
      await Promise.resolve();
      if (taken.length >= capacity) throw new Deno.errors.BrokenPipe("gone");
      for (const byte of part) taken.push(byte);
      conn.writes.push(textOf(part));
      return part.length;
    },
    close() {
      conn.closed++;
    },
  };
  return conn as typeof conn & Deno.Conn;
}

// To read what the kernel tells of a process, Deno wants all permissions.
const ALL = ["net", "run", "read", "write", "env", "sys", "ffi"] as const;
const states = await Promise.all(
  ALL.map((name) => Deno.permissions.query({ name })),
);

/** Whether the permissions are there that starting the programs needs. */
export const permitted = states.every(({ state }) => state === "granted");

/** Whether the kernel tells what a process uses. */
export const linux = Deno.build.os === "linux";

/**
 * A test of the real programs: ignored where the permissions for it are missing,
 * or `needs` is false.
 */
export function programTest(
  name: string,
  fn: () => Promise<void>,
  needs = true,
) {
  Deno.test({ name, fn, ignore: !permitted || !needs });
}

/** How a script is started; by default with `--allow-net` alone. */
export interface Options {
  args?: string[];
  permissions?: string[];
  env?: Record<string, string>;
  /** Descriptors that the process may have. */
  descriptors?: number;
  /** The folder that the script is in, if it is not the project's. */
  folder?: string;
}

/** Starts a script, with pipes for all that it reads and says. */
export function start(script: string, options: Options = {}) {
  const { args = [], permissions = ["--allow-net"], env, descriptors } =
    options;
  const file = options.folder
    ? `${options.folder}/${script}`
    : path(script).pathname;
  const command = [Deno.execPath(), "run", ...permissions, file, ...args];
  const limited = descriptors
    ? ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", ...command]
    : command;
  return new Deno.Command(limited[0], {
    args: limited.slice(1),
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a script to its end on `input`. */
export async function run(script: string, options: Options = {}, input = "") {
  const process = start(script, options);
  const writer = process.stdin.getWriter();
  // A script that ends without reading breaks the pipe; the status tells why.
  await writer.write(bytes(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await process.output();
  return { code, stdout: textOf(stdout), stderr: textOf(stderr) };
}

/** Reads a stream of bytes as text, as far as it has come. */
export class Transcript {
  text = "";
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#follow(stream);
  }

  async #follow(stream: ReadableStream<Uint8Array>) {
    const text = stream.pipeThrough(
      new TextDecoderStream() as TransformStream<Uint8Array, string>,
    );
    for await (const part of text) this.add(part);
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
    let open = true;
    while (!this.text.includes(part)) {
      if (!open) throw new Error(`${part} is missing from ${this.text}`);
      open = await Promise.race([
        this.#changed.promise.then(() => true),
        this.ended.then(() => false),
      ]);
    }
  }
}

/** A server script as a process. */
export class Server {
  readonly #process;
  readonly #stdout;
  readonly #stderr;
  port = 0;

  private constructor(script: string, options: Options) {
    this.#process = start(script, { args: ["127.0.0.1:0"], ...options });
    this.#stdout = new Transcript(this.#process.stdout);
    this.#stderr = new Transcript(this.#process.stderr);
  }

  /** Starts a server, and waits until it says where it listens. */
  static async start(script: string, options: Options = {}): Promise<Server> {
    const server = new Server(script, options);
    await server.#process.stdin.close();
    await server.#stderr.shows("\n");
    server.port = Number(server.#stderr.text.trim().split(":").at(-1));
    return server;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** The first line: where it listens. */
  get greeting() {
    return this.#stderr.text.split("\n")[0];
  }

  /** What it has said since, on both streams. */
  get log() {
    return this.#stdout.text + this.#stderr.text.replace(/^.*\n/, "");
  }

  connect(): Promise<Client> {
    return Client.connect(this.port);
  }

  /** Ends the server, which must be running still. */
  async [Symbol.asyncDispose]() {
    this.#process.kill("SIGKILL");
    const { signal } = await this.#process.status;
    await Promise.all([this.#stdout.ended, this.#stderr.ended]);
    assertEquals(signal, "SIGKILL", `the server ended by itself: ${this.log}`);
  }
}

/** A connection of the test's own to a server. */
export class Client {
  #received = new Uint8Array();
  #ended = false;

  constructor(readonly conn: Deno.Conn) {}

  static async connect(port: number): Promise<Client> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    conn.setNoDelay();
    return new Client(conn);
  }

  /** Connects as soon as somebody listens on `port`. */
  static async whenUp(port: number): Promise<Client> {
    for (let tries = 0; tries < 1000; tries++) {
      try {
        return await Client.connect(port);
      } catch {
        await delay(20);
      }
    }
    throw new Error(`nothing listens on port ${port}`);
  }

  async send(data: string | Uint8Array) {
    let rest = typeof data === "string" ? bytes(data) : data;
    while (rest.length > 0) {
      rest = rest.subarray(await this.conn.write(rest));
    }
  }

  /** Shuts down the sending side. */
  halfClose(): Promise<void> {
    return this.conn.closeWrite();
  }

  async #read() {
    const buffer = new Uint8Array(64 * 1024);
    const n = await this.conn.read(buffer);
    if (n === null) return this.#ended = true;
    const received = new Uint8Array(this.#received.length + n);
    received.set(this.#received);
    received.set(buffer.subarray(0, n), this.#received.length);
    this.#received = received;
  }

  /** The next `n` bytes, or as many as come before the end, as text. */
  async receive(n: number): Promise<string> {
    while (this.#received.length < n && !this.#ended) await this.#read();
    const next = this.#received.subarray(0, n);
    this.#received = this.#received.subarray(n);
    return textOf(next);
  }

  /** All that comes until the server closes. */
  rest(): Promise<string> {
    return this.receive(Infinity);
  }

  /** All that comes until the server closes or resets the connection. */
  async restUntilReset(): Promise<string> {
    try {
      while (!this.#ended) await this.#read();
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      this.#ended = true;
    }
    return this.rest();
  }

  [Symbol.dispose]() {
    this.conn.close();
  }
}

/** Starts a client, and returns it with the test's own end of the connection. */
export async function startClient(script: string) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  const process = start(script, { args: [address] });
  const stderr = new Transcript(process.stderr);
  const server = new Client(await listener.accept());
  listener.close();
  return { address, process, stderr, server };
}

/** Calls `write` again and again until `process` has ended; returns its status. */
export async function writeUntilEnded(
  process: Deno.ChildProcess,
  write: () => Promise<void>,
): Promise<Deno.CommandStatus> {
  let ended = false;
  const status = process.status.finally(() => ended = true);
  while (!ended) {
    await write().catch(() => {});
    await delay(20);
  }
  return await status;
}

/** A port that nothing listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/**
 * Types the lines of `session` that are not indented into netcat2, each when all
 * that stands before it has appeared, and checks that a terminal shows the rest.
 */
export async function replay(script: string, session: string) {
  await using server = await Server.start(script);
  const process = start("netcat2.ts", { args: [server.address] });
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

/** The C library's sockets (Linux): Deno's own cannot be made to send a reset. */
const libc = permitted && linux
  ? Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    listen: { parameters: ["i32", "i32"], result: "i32" },
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    accept: {
      parameters: ["i32", "pointer", "pointer"],
      result: "i32",
      nonblocking: true,
    },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    recv: {
      parameters: ["i32", "buffer", "usize", "i32"],
      result: "isize",
      nonblocking: true,
    },
    setsockopt: {
      parameters: ["i32", "i32", "i32", "buffer", "u32"],
      result: "i32",
    },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols
  : undefined;

/** What is received is not looked at. It must outlive every call. */
const oneByte = new Uint8Array(1);

/** A socket that can leave by a reset (Linux). */
export class RawSocket {
  private constructor(readonly fd: number) {
    if (fd < 0) throw new Error("no socket");
  }

  /** Connects to `port`, or returns a listener's socket if there is none. */
  static open(port?: number): RawSocket {
    const [AF_INET, SOCK_STREAM] = [2, 1];
    const socket = new RawSocket(libc!.socket(AF_INET, SOCK_STREAM, 0));
    const address = new Uint8Array(16);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port ?? 0);
    address.set([127, 0, 0, 1], 4);
    const failed = port === undefined
      ? libc!.bind(socket.fd, address, 16) || libc!.listen(socket.fd, 1)
      : libc!.connect(socket.fd, address, 16);
    if (failed) throw new Error("no connection");
    return socket;
  }

  get port(): number {
    const address = new Uint8Array(16);
    libc!.getsockname(this.fd, address, Uint32Array.of(16));
    return new DataView(address.buffer).getUint16(2);
  }

  async accept(): Promise<RawSocket> {
    return new RawSocket(await libc!.accept(this.fd, null, null));
  }

  send(text: string) {
    libc!.send(this.fd, bytes(text), BigInt(text.length), 0);
  }

  /** Resolves when something has come. */
  async receive() {
    await libc!.recv(this.fd, oneByte, 1n, 0);
  }

  close() {
    libc!.close(this.fd);
  }

  /** Closes with a reset: the socket does not linger, not even for a FIN. */
  reset() {
    const [SOL_SOCKET, SO_LINGER] = [1, 13];
    libc!.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, Uint32Array.of(1, 0), 8);
    this.close();
  }
}

/** Calls `task` for 0 to `count` - 1, at most `width` at a time. */
export async function times(
  count: number,
  width: number,
  task: (i: number) => Promise<unknown>,
) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await task(next++);
  }));
}

/** Waits until `holds` returns true; throws after `seconds`. */
export async function eventually(
  what: string,
  holds: () => boolean,
  seconds = 10,
) {
  const deadline = performance.now() + seconds * 1000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not seen: ${what}`);
    await delay(20);
  }
}

/** Bytes of memory that a process has in use (Linux). */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(status.match(/VmRSS:\s+(\d+)/)![1]) * 1024;
}

/**
 * TCP sockets that a process has open (Linux), those that were reset included.
 * Deno has some Unix sockets of its own.
 */
export function tcpSockets(pid: number): number {
  const unix = new Set(
    Deno.readTextFileSync("/proc/net/unix").split("\n")
      .map((line) => line.split(/\s+/)[6]),
  );
  const folder = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(folder)].filter(({ name }) => {
    const inode = linkOf(`${folder}/${name}`).match(/^socket:\[(\d+)\]$/)?.[1];
    return inode !== undefined && !unix.has(inode);
  }).length;
}

/** Where a link leads, or nowhere if it is gone. */
function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
