// A simulated process: reads, writes, atomic additions, locked sections, waits and wakes, and syncs, one at a time. What
// it writes to a page is the number of the write, so each read shows which write it sees.

import type { LockMode } from '@odonata/coherency/locks/range-lock.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { MappingProcess } from './parts/mapping.ts';
import type { AskingVkernel, Range, SyncPart } from './parts/sync.ts';
import type { MemoryFile } from './stores/memory-file.ts';
import { MAPPED_READ, MAPPED_WRITE } from './stores/memory-file.ts';
import type { Surroundings } from './world/surroundings.ts';

/** A lock that it asks for. */
interface Wanted extends Range {
  mode: LockMode;
  timeoutMs: number;
}

/** The node of a process. */
export interface ProcessNode {
  after(delayMs: number, work: () => void): void;
  readonly sync: SyncPart;
  readonly memory: {
    readonly file: MemoryFile;
    fault(process: MappingProcess, page: number, write: boolean): void;
  };
  readonly backing: {
    sync(run: PageRun, done: (values: ReadonlyMap<number, number> | undefined) => void): void;
  };
  /** True while the leader of a dataspace's locks can be trusted. */
  homeUsable(dataspace: bigint, nowMs: number): boolean;
}

/** The virtual kernel of a process. */
export interface ProcessVkernel extends AskingVkernel {
  readonly name: string;
  readonly world: Surroundings;
  readonly node: ProcessNode;
  readonly file: MemoryFile;
  readonly maps: Uint8Array;
  readonly clockMs: number;
  /** True while the lease of the node it knows lasts. */
  readonly trusts: boolean;
  after(delayMs: number, work: () => void): void;
  map(page: number, writable: boolean): void;
}

type Kind = 'read' | 'write' | 'add';
type Done = (outcome: 'OK' | 'ERROR') => void;

interface Access {
  page: number;
  kind: Kind;
  done: Done;
}

const LOCK_BYTES = 4;

export class Process implements MappingProcess {
  readonly pid: bigint;
  readonly vkernel: ProcessVkernel;
  /** What it does, and since when; undefined between operations. */
  doing: { what: string; page: number | undefined; sinceMs: number } | undefined;
  /** Sleeps until another process changes its word. */
  sleepsOn: number | undefined;
  private readonly world: Surroundings;
  private access: Access | undefined;
  private lastRead = 0;
  private lock: Wanted | undefined;
  /** Beside that one, in the same dataspace: two that lock two ranges may wait for each other. */
  private second: Wanted | undefined;
  private lostLock = false;
  private thoughts = 0;

  constructor(vkernel: ProcessVkernel, pid: bigint) {
    this.vkernel = vkernel;
    this.world = vkernel.world;
    this.pid = pid;
  }

  get name(): string {
    return `${this.vkernel.name}/${this.pid}`;
  }

  start(): void {
    this.think();
  }

  /** It is no more: nothing that it did is waited for. */
  end(): void {
    this.doing = undefined;
    this.sleepsOn = undefined;
    this.access = undefined;
    this.world.locks.ended(this.pid);
  }

  private think(): void {
    this.doing = undefined;
    const { random } = this.world;
    const meanMs = random.oneIn(10) ? 12 : 1.5;
    this.beginAfter(-Math.log(1 - random.between(0, 0.999)) * meanMs);
  }

  // In quiet times it looks now and then whether they are over. What it was made to do meanwhile sets its next time anew.
  private beginAfter(delayMs: number): void {
    const thought = ++this.thoughts;
    this.vkernel.after(delayMs, () => {
      if (thought !== this.thoughts || this.doing !== undefined) return;
      if (this.world.quiet) this.beginAfter(10);
      else this.begin();
    });
  }

  private begin(): void {
    const { random, layout } = this.world;
    const page = random.below(layout.pages);
    const what = random.below(100);
    const done = () => this.think();
    if (what < 31) this.run('read', page, () => this.touch(page, 'read', done));
    else if (what < 51) this.run('write', page, () => this.touch(page, 'write', done));
    else if (what < 71) this.run('add', page, () => this.touch(page, 'add', done));
    else if (what < 83) this.run('lock', page, () => this.lockedSection(page, done));
    else if (what < 87) this.run('wait', page, () => this.waitForChange(page, done));
    else if (what < 92) this.run('wake', page, () => this.change(page, done));
    else if (layout.isDurable(page)) this.run('sync', page, () => this.sync(page, done));
    else this.run('read', page, () => this.touch(page, 'read', done));
  }

  private run(what: string, page: number, work: () => void): void {
    this.doing = { what, page, sinceMs: this.world.nowMs };
    work();
  }

  /** Reads a page, whatever it does otherwise: it must be idle. */
  readNow(page: number): void {
    this.run('read', page, () => this.touch(page, 'read', () => this.think()));
  }

  /** Changes a page and wakes all who wait for that. */
  changeNow(page: number): void {
    this.run('wake', page, () => this.change(page, () => this.think()));
  }

  // ---- accesses

  private touch(page: number, kind: Kind, done: Done): void {
    this.access = { page, kind, done };
    this.tryAccess();
  }

  private tryAccess(): void {
    const { access, vkernel, world } = this;
    if (access === undefined || !vkernel.alive) return;
    const { page, kind } = access;
    const write = kind !== 'read';
    if (vkernel.maps[page]! >= (write ? MAPPED_WRITE : MAPPED_READ)) {
      const value = vkernel.file.values[page] ?? 0;
      if (write) {
        const written = world.latest.wrote(page, kind === 'add' ? value : undefined, this.name);
        vkernel.file.values[page] = written;
        this.lastRead = written;
      } else {
        world.latest.read(page, value, this.name);
        this.lastRead = value;
      }
      if (world.random.oneIn(4))
        world.history.note(world, this.name, kind, world.layout.runOf(page), { value });
      this.access = undefined;
      if (this.lock !== undefined && !this.lostLock) world.locks.accessed(this);
      access.done('OK');
      return;
    }
    const { node } = vkernel;
    node.after(world.random.between(0.01, 0.2), () => node.memory.fault(this, page, write));
  }

  /** Whoever served its fault is not there any more. */
  faultAnew(): void {
    if (this.access !== undefined) this.resume();
  }

  /** The page was mapped: it looks again, and may fault again. */
  resume(): void {
    this.vkernel.after(this.world.random.between(0.01, 0.1), () => this.tryAccess());
  }

  failed(): void {
    const { access } = this;
    this.access = undefined;
    if (access !== undefined) this.vkernel.after(0.05, () => access.done('ERROR'));
  }

  // ---- locks

  private lockedSection(page: number, done: Done): void {
    const { world, vkernel } = this;
    const { random, layout } = world;
    const begin = BigInt(layout.inDataspace(page) * LOCK_BYTES + random.below(LOCK_BYTES));
    const mode: LockMode = random.pick(['SHARED', 'SHARED', 'EXCLUSIVE', 'MODIFYING'] as const);
    const timeoutMs = random.oneIn(8) ? 150 : -1;
    const end = begin + BigInt(random.below(2 * LOCK_BYTES));
    const ask = { dataspace: layout.dataspaceOf(page), begin, end, mode, owner: this.pid, timeoutMs };
    this.lostLock = false;
    this.toNode(() => {
      vkernel.node.sync.lock(vkernel, ask, (outcome) => {
        this.fromNode(() => {
          if (outcome !== 'OK' || this.lostLock) {
            if (outcome === 'OK') this.giveBack(ask, () => done('ERROR'));
            else done('ERROR');
            return;
          }
          this.lock = ask;
          world.locks.entered(this, ask);
          const inside = () => this.insideLock(page, 1 + random.below(3), done);
          if (random.oneIn(3)) this.lockSecond(ask, inside);
          else inside();
        });
      });
    });
  }

  private lockSecond(first: Wanted, then: () => void): void {
    const { world, vkernel } = this;
    const begin = first.end + BigInt(1 + world.random.below(2 * LOCK_BYTES));
    const ask = { ...first, begin, end: begin + BigInt(world.random.below(LOCK_BYTES)) };
    this.toNode(() => {
      vkernel.node.sync.lock(vkernel, ask, (outcome) => {
        this.fromNode(() => {
          if (outcome === 'OK' && this.lostLock) this.giveBack(ask, then);
          else {
            if (outcome === 'OK') {
              this.second = ask;
              world.locks.entered(this, ask);
            }
            then();
          }
        });
      });
    });
  }

  private insideLock(page: number, left: number, done: Done): void {
    const { lock } = this;
    if (lock === undefined || this.lostLock || left === 0) {
      if (lock !== undefined) this.leaveLock(lock, done);
      else done('OK');
      return;
    }
    this.world.locks.still(this);
    this.touch(page, lock.mode === 'MODIFYING' ? 'add' : 'read', (outcome) => {
      if (outcome === 'ERROR') this.insideLock(page, 0, done);
      else this.vkernel.after(this.world.random.between(0, 2), () => this.insideLock(page, left - 1, done));
    });
  }

  private leaveLock(lock: Wanted, done: Done): void {
    const { second } = this;
    this.world.locks.left(this.pid);
    this.lock = undefined;
    this.second = undefined;
    if (this.lostLock) done('OK');
    else if (second === undefined) this.giveBack(lock, () => done('OK'));
    else this.giveBack(second, () => this.giveBack(lock, () => done('OK')));
  }

  // It goes on when its node heard it: an unlock that came after the next lock would undo that one.
  private giveBack(lock: Wanted, then: () => void): void {
    this.toNode(() => {
      this.vkernel.node.sync.unlock(this.vkernel, lock, () => this.fromNode(then));
    });
  }

  /** Its node was dead for the directory: what it had locked is locked by others by now. */
  locksLost(): void {
    this.lostLock = true;
    this.world.locks.left(this.pid);
  }

  /** True where it may go on under its locks. */
  get trusted(): boolean {
    const { vkernel } = this;
    // What a new pmap manager emptied can be used no more.
    const emptied = vkernel.node.memory.file !== vkernel.file;
    return vkernel.alive && !emptied && !this.lostLock && vkernel.trusts && this.lockHolds;
  }

  // Without a lease of the shard of its lock it gets at no page of that dataspace.
  private get lockHolds(): boolean {
    const { lock, vkernel } = this;
    if (lock === undefined) return true;
    return vkernel.node.homeUsable(lock.dataspace, vkernel.clockMs);
  }

  private toNode(work: () => void): void {
    this.vkernel.node.after(this.world.random.between(0.01, 0.2), () => {
      if (this.vkernel.alive && this.vkernel.node.memory.file === this.vkernel.file) work();
    });
  }

  private fromNode(work: () => void): void {
    this.vkernel.after(this.world.random.between(0.01, 0.2), work);
  }

  // ---- waits and wakes

  private waitForChange(page: number, done: Done): void {
    this.touch(page, 'read', (outcome) => {
      if (outcome === 'ERROR') done(outcome);
      else this.sleepUntilChanged(page, this.lastRead, done);
    });
  }

  // Registers, looks once more, sleeps; so a change between the first look and the sleep is seen.
  private sleepUntilChanged(page: number, before: number, done: Done): void {
    let looking = false;
    let woken = false;
    let over = false;
    let cancel = () => {};
    const look = () => {
      looking = true;
      this.sleepsOn = undefined;
      this.touch(page, 'read', (read) => {
        looking = false;
        if (read === 'ERROR' || this.lastRead !== before) {
          over = true;
          this.toNode(cancel);
          done('OK');
        } else if (woken) {
          over = true;
          this.sleepUntilChanged(page, before, done);
        } else this.sleepsOn = page;
      });
    };
    const answered = (outcome: string) => {
      if (over) return;
      if (outcome !== 'REGISTERED') woken = true;
      if (!looking) look();
    };
    this.toNode(() => {
      const { vkernel } = this;
      const about = { dataspace: this.world.layout.dataspaceOf(page), offset: BigInt(page), owner: this.pid };
      cancel = vkernel.node.sync.wait(vkernel, about, (outcome) => this.fromNode(() => answered(outcome)));
    });
  }

  private change(page: number, done: Done): void {
    this.touch(page, 'add', () => {
      this.toNode(() => {
        const dataspace = this.world.layout.dataspaceOf(page);
        const { vkernel } = this;
        const about = { dataspace, offset: BigInt(page), count: 1_000 };
        vkernel.node.sync.wake(vkernel, about, () => this.fromNode(() => done('OK')));
      });
    });
  }

  // ---- sync

  private sync(page: number, done: Done): void {
    const { random, layout } = this.world;
    const run = layout.runOf(page, random.oneIn(4) ? layout.pagesFrom(page) : 1);
    this.toNode(() => {
      this.vkernel.node.backing.sync(run, (values) => {
        this.fromNode(() => {
          for (const [synced, value] of values ?? []) this.world.durability.acknowledged(synced, value);
          done(values === undefined ? 'ERROR' : 'OK');
        });
      });
    });
  }
}
