/**
 * talk: a service by a name, in AssemblyScript. A request is a line, and so is its reply; many may follow each other.
 *
 *   talk serve NAME    replies to each line with `AssemblyScript: ` and the line; one thread, all connections
 *   talk ask NAME TEXT prints the reply to TEXT
 */
import { accept, close, readable, receive, send } from "../../../libs/guest/assembly/connection";
import { connectToName, listenOn } from "../../../libs/guest/assembly/odonata";
import { exit, print, printError, programArguments } from "../../../libs/guest/assembly/wasi";

class Caller {
  line: string = "";
  constructor(public fd: i32) {}
}

function must(result: i32, what: string): i32 {
  if (result >= 0) return result;
  printError(what + ": errno " + (-result).toString());
  exit(3);
  return 0;
}

const buffer = new ArrayBuffer(4096);

/** False: it is over. */
function serveOne(caller: Caller): bool {
  const bytes = receive(caller.fd, buffer);
  if (bytes <= 0) return false;
  const lines = (caller.line + String.UTF8.decode(buffer.slice(0, bytes))).split("\n");
  caller.line = lines.pop();
  for (let i = 0; i < lines.length; i++)
    if (send(caller.fd, String.UTF8.encode("AssemblyScript: " + lines[i] + "\n")) < 0) return false;
  return true;
}

function serve(name: string): void {
  const listener = must(listenOn(name), "listen");
  print("listening");
  const callers = new Map<i32, Caller>();
  for (;;) {
    const fds = callers.keys();
    fds.push(listener);
    const found = readable(fds, 60_000);
    for (let i = 0; i < found.length; i++) {
      const fd = found[i];
      if (fd == listener) {
        const connection = must(accept(listener), "accept");
        callers.set(connection, new Caller(connection));
      } else if (!serveOne(callers.get(fd))) {
        close(fd);
        callers.delete(fd);
      }
    }
  }
}

function main(args: string[]): void {
  if (args[1] == "serve") serve(args[2]);
  const fd = must(connectToName(args[2], 5_000), "connect");
  must(send(fd, String.UTF8.encode(args[3] + "\n")), "send");
  let reply = "";
  while (!reply.includes("\n")) {
    const bytes = must(receive(fd, buffer), "receive");
    if (bytes == 0) break;
    reply += String.UTF8.decode(buffer.slice(0, bytes));
  }
  print(reply.trimEnd());
}

main(programArguments());
