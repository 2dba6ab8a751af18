// A connection of the test's own, and ports to connect to.

import { witnesses } from "./testing.ts";
import { bytes, textOf } from "./text.ts";
import { eventually } from "./time.ts";

export class Client {
  #received = new Uint8Array();
  #ended = false;

  constructor(readonly conn: Deno.TcpConn) {
    conn.setNoDelay();
    witnesses.add(() => textOf(this.#received));
  }

  static async connect(port: number): Promise<Client> {
    return new Client(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(data: string | Uint8Array) {
    let rest = typeof data === "string" ? bytes(data) : data;
    while (rest.length > 0) {
      rest = rest.subarray(await this.conn.write(rest));
    }
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

  /** All that comes until the server closes, or resets what it did not read. */
  async rest(): Promise<string> {
    try {
      return await this.receive(Infinity);
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
      this.#ended = true;
      return this.receive(Infinity);
    }
  }

  /** Sends `data` again and again, and reads nothing; throws when that ends. */
  async flood(data: string): Promise<never> {
    while (true) await this.send(data);
  }

  [Symbol.dispose]() {
    this.conn.close();
  }
}

/** A port that nothing listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Waits until something listens on `port` of localhost. */
export const listening = (port: number) =>
  eventually(async () => {
    const conn = await Deno.connect({ port }).catch(() => undefined);
    conn?.close();
    return conn !== undefined;
  });
