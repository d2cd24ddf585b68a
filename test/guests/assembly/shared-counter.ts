/**
 * shared-counter: the AssemblyScript binding at work.
 *
 *   shared-counter DS atomic|lock N    N increments of the first word; prints `counter 123 node 1 pid 100001`
 *   shared-counter DS wait EXPECTED    sleeps while the second word is EXPECTED, at most a minute; prints `woken 0`
 *   shared-counter DS wake VALUE       writes the second word and wakes; prints `woke 1`
 *   shared-counter DS errors           prints the errno of an open that must fail, a try of a lock, and the size
 *
 * Exit codes: 2 wrong use, 3 a call to the virtual kernel failed.
 */
import {
  Dataspace,
  Errno,
  LockMode,
  Open,
  PAGE,
  Protection,
  nodeId,
  processId,
  wait32,
  wake,
} from "../../../libs/guest/assembly/odonata";
import { print, printError, programArguments, exit } from "../../../libs/guest/assembly/wasi";

const SIZE: u64 = 4 * 4096;

function must(errno: i32, what: string): void {
  if (errno == Errno.OK) return;
  printError(what + ": errno " + errno.toString());
  exit(3);
}

function main(args: string[]): void {
  if (args.length < 3) {
    printError("usage: shared-counter DS atomic|lock|wait|wake|errors [N]");
    exit(2);
  }
  const call = args[2];
  const n = args.length > 3 ? <u32>parseInt(args[3]) : 0;
  const space = Dataspace.open(args[1], SIZE, Open.CREATE);
  must(space.errno, "open");
  const base = space.mapWhole(Protection.READ_WRITE);
  if (base == 0) must(Errno.NOMEM, "map");
  const word = base + 4;
  if (call == "atomic" || call == "lock") {
    let seen: u32 = 0;
    for (let i: u32 = 0; i < n; i++) {
      if (call == "atomic") {
        seen = atomic.add<u32>(base, 1) + 1;
        continue;
      }
      must(space.lock(0, 3, LockMode.MODIFYING), "lock");
      seen = load<u32>(base) + 1;
      store<u32>(base, seen);
      must(space.unlock(0, 3), "unlock");
    }
    print("counter " + seen.toString() + " node " + nodeId().toString() + " pid " + processId().toString());
  } else if (call == "wait") {
    const errno = wait32(word, n, 60_000_000_000);
    print("woken " + errno.toString());
  } else if (call == "wake") {
    atomic.store<u32>(word, n);
    print("woke " + wake(word, 100).toString());
  } else if (call == "errors") {
    const other = Dataspace.open(args[1], SIZE + PAGE, Open.CREATE).errno;
    const missing = Dataspace.open(args[1] + ".missing", 0, 0).errno;
    print("other size " + other.toString() + " missing " + missing.toString() + " size " + space.stat().toString());
  } else {
    printError("unknown call " + call);
    exit(2);
  }
}

main(programArguments());
