// The tests' own end of a connection.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { within } from "./wait.ts";

export class Client {
  sent = 0; // bytes that the system has taken
  #text = ""; // what has come, and was not asked for yet
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(readonly conn: Deno.Conn) {}

  static async connect(port: number): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends all of `data`. */
  async send(data: string | Uint8Array) {
    let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (rest.length > 0) {
      const n = await this.conn.write(rest);
      this.sent += n;
      rest = rest.subarray(n);
    }
  }

  /** The next `length` characters, or as many as come before the end. */
  async receive(length: number): Promise<string> {
    await within(20, this.#fill(length), () => this.#text);
    const text = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return text;
  }

  /** All that comes until the server closes the connection. */
  rest(): Promise<string> {
    return this.receive(Infinity);
  }

  async #fill(length: number) {
    const buffer = new Uint8Array(64 * 1024);
    while (this.#text.length < length) {
      const n = await this.conn.read(buffer);
      if (n === null) return;
      const part = buffer.subarray(0, n);
      this.#text += this.#decoder.decode(part, { stream: true });
    }
  }

  /** Reads and drops `length` bytes, which all have to come. */
  async skip(length: number) {
    const buffer = new Uint8Array(256 * 1024);
    while (length > 0) {
      const n = await this.conn.read(buffer.subarray(0, length));
      if (n === null) throw new Error(`${length} bytes are missing`);
      length -= n;
    }
  }

  /** Sends `line` `count` times immediately, and waits for all its voices. */
  async burst(line: string, count: number) {
    await Promise.all([
      this.skip(3 * count * `\t ${line}\n`.length),
      this.send(`${line}\n`.repeat(count)),
    ]);
  }

  /** Sends `data` again and again, until the connection breaks. */
  async flood(data: string) {
    try {
      while (true) await this.send(data);
    } catch {
      // closed at this end, or at the other
    }
  }

  [Symbol.dispose]() {
    this.conn[Symbol.dispose](); // which may be done twice
  }
}

/** A connection that can be reset, as Deno's cannot: with `reset`. */
export async function connectNode(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Resets a connection: what is under way on it is lost. */
export async function reset(socket: Socket) {
  socket.resetAndDestroy();
  if (!socket.closed) await once(socket, "close");
}
