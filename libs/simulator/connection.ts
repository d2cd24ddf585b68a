// The stream between a pmap manager and a directory: two directions that break together.
import type { Down, Up } from './messages.ts';
import { Stream } from './network.ts';
import type { DirectoryPart } from './parts/directory.ts';
import type { PmapPart } from './parts/pmap.ts';
import type { World } from './world.ts';

/** A side hears of a break within this time. */
const NOTICE_MS = 20;

export class Connection {
  readonly up: Stream<Up>;
  readonly down: Stream<Down>;
  readonly node: PmapPart;
  readonly directory: DirectoryPart;
  /** When the hello was sent, on the clock of the node. */
  readonly helloSentMs: number;
  private readonly world: World;

  constructor(world: World, node: PmapPart, directory: DirectoryPart) {
    this.world = world;
    this.node = node;
    this.directory = directory;
    this.helloSentMs = node.localMs;
    this.up = new Stream(world.network, world, node, directory, (message) =>
      directory.receive(this, message),
    );
    this.down = new Stream(world.network, world, directory, node, (message) =>
      node.links.all[directory.shard]!.receive(this, message),
    );
  }

  get broken(): boolean {
    return this.up.broken;
  }

  break(): void {
    if (this.broken) return;
    this.up.break();
    this.down.break();
    const { random } = this.world;
    this.node.after(random.between(0, NOTICE_MS), () =>
      this.node.links.all[this.directory.shard]!.lost(this),
    );
    this.directory.after(random.between(0, NOTICE_MS), () => this.directory.detach(this));
  }
}
