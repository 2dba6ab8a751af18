// The tests' own connections. Deno's cannot reset: `resettable` uses Node's.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { witnesses } from "./testing.ts";
import { bytes } from "./text.ts";

export class Client {
  sent = 0; // bytes that the system has taken
  #text = ""; // what has come, and was not asked for yet
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(readonly conn: Deno.TcpConn) {
    conn.setNoDelay();
    witnesses.add(() => this.#text);
  }

  static async connect(port: number): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(data: string | Uint8Array) {
    let rest = typeof data === "string" ? bytes(data) : data;
    while (rest.length > 0) {
      const n = await this.conn.write(rest);
      this.sent += n;
      rest = rest.subarray(n);
    }
  }

  /** The next `length` characters, or as many as come before the end. */
  async receive(length: number): Promise<string> {
    const buffer = new Uint8Array(64 * 1024);
    while (this.#text.length < length) {
      const n = await this.conn.read(buffer);
      if (n === null) break;
      const part = buffer.subarray(0, n);
      this.#text += this.#decoder.decode(part, { stream: true });
    }
    const text = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return text;
  }

  /** All that comes until the server closes, or resets what it did not read. */
  async rest(): Promise<string> {
    try {
      return await this.receive(Infinity);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      return this.#text;
    }
  }

  /** Reads and drops `length` bytes, which all have to come. */
  async skip(length: number) {
    const buffer = new Uint8Array(Math.min(length, 256 * 1024));
    while (length > 0) {
      const n = await this.conn.read(buffer.subarray(0, length));
      if (n === null) throw new Error(`${length} bytes are missing`);
      length -= n;
    }
  }

  /** Sends `data` again and again, and reads nothing, until that fails. */
  async flood(data: string) {
    while (true) await this.send(data);
  }

  [Symbol.dispose]() {
    this.conn.close();
  }
}

/** Connects to `port`; the socket that is returned can reset the connection. */
export async function resettable(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Resets the connection. */
export async function reset(socket: Socket) {
  socket.resetAndDestroy();
  if (!socket.closed) await once(socket, "close");
}
