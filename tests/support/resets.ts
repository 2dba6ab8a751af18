// Connections that end with a reset, which Deno's own cannot be made to send.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

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

/** A listener, its port, and the first connection that it accepts. */
export async function resettableServer() {
  const listener = createServer();
  const accepted = once(listener, "connection").then(([socket]) => {
    listener.close();
    return socket as Socket;
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return { port: (listener.address() as { port: number }).port, accepted };
}
